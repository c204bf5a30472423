"""Tracks a list of files one after the other and writes their rows as a table; goes on where it was stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import click

from model.estimator import Estimator
from streamer.audio_file import AudioFile
from streamer.framer import Framer
from streamer.interruption import Interrupted, Interruption
from streamer.kept_rows import KeptRows, identify, settings_of
from streamer.offline import track
from streamer.source import SourceError
from streamer.table import Row, Table, TableError, row_of

_ROWS_PER_WRITE = 1000


class Annotation:
    """Files that are to be tracked, and what there is to say about them.

    Parameters
    ----------
    files : sequence of str
        Their paths.
    checkpoint : Estimator
        The model.
    lag : float
        Seconds to look back.
    interrupted : Interruption
        Asked after every estimate.
    on_progress : callable
        Is told the path of the file at hand, and how many are done.

    Attributes
    ----------
    problems : list of str
        Which files could not be read, or broke, and why.
    """

    def __init__(
        self,
        files: Sequence[str],
        checkpoint: Estimator,
        lag: float,
        interrupted: Interruption,
        on_progress: Callable[[str, int], None],
    ) -> None:
        self.problems: list[str] = []
        self._files = files
        self._checkpoint = checkpoint
        self._lag = lag
        self._interrupted = interrupted
        self._on_progress = on_progress

    def write(self, output: str, restart: bool = False) -> bool:
        """Write the table.

        On standard output it is written while the files are tracked, and an interruption loses it. A file is written
        when all are done; until then the rows of those that are done are kept beside it.

        Parameters
        ----------
        output : str
            The table; see `Table`.
        restart : bool
            Throw away what an earlier run kept.

        Returns
        -------
        bool
            Whether there was anything to write.

        Raises
        ------
        TableError
            If it cannot be written, or another run is writing it.
        streamer.interruption.Interrupted
            If a signal asked for the end.
        """
        return self._stream() if output == "-" else self._keep(output, restart)

    def _stream(self) -> bool:
        with Table("-") as table:
            for done, file in enumerate(self._files):
                self._on_progress(file, done)
                self._tell(file, *self._track(file, table.write))
            return table.rows > 0

    def _keep(self, output: str, restart: bool) -> bool:
        settings = settings_of(self._checkpoint, self._checkpoint.frames_of_lag(self._lag))
        with KeptRows(output, settings, restart) as kept:
            self._tell_what_is_kept(kept)
            try:
                for done, file in enumerate(self._files):
                    self._on_progress(file, done)
                    if not kept.holds(file):
                        identity = identify(file)
                        kept.finish(file, identity, *self._track(file, kept.write))
                    self._tell(file, kept.invalid(file), kept.problem(file))
                written = self._copy(kept, output)
            except TableError as error:
                raise TableError("; ".join((str(error), *self._kept(kept)))) from error
            except KeyboardInterrupt as error:
                number = error.number if isinstance(error, Interrupted) else signal.SIGINT
                raise Interrupted(number, *self._kept(kept)) from error
            kept.remove()
        return written

    def _kept(self, kept: KeptRows) -> list[str]:
        done = sum(kept.holds(file) for file in self._files)
        of_all = f'{done} of {len(self._files)} files are kept in "{kept.path}"; the same command goes on with them'
        return [of_all] if done else []

    def _copy(self, kept: KeptRows, output: str) -> bool:
        if not any(kept.count(file) for file in self._files):
            return False
        with Table(output) as table:
            for file in self._files:
                for rows in kept.rows(file):
                    self._interrupted.raise_if_set()
                    table.write(rows)
        return True

    def _tell_what_is_kept(self, kept: KeptRows) -> None:
        for notice in kept.notices:
            click.echo(f"moodring: {notice}", err=True)
        changed = sum(kept.changed(file) for file in self._files)
        if changed:
            click.echo(f"moodring: {changed} files have changed since they were tracked, and are again", err=True)
        done = sum(kept.holds(file) for file in self._files)
        if done:
            click.echo(
                f"moodring: going on: {done} of {len(self._files)} files are done (--restart tracks all again)",
                err=True,
            )

    def _track(self, file: str, write: Callable[[list[Row]], None]) -> tuple[int, str | None]:
        """Track a file; gives how many of its samples were not finite, and why it could not be read to its end."""
        rows: list[Row] = []
        invalid = 0
        problem = None
        try:
            source = AudioFile(file)
            framer = Framer(source.sample_rate, self._checkpoint.frontend.parameters)
            for estimate in track(source, framer, self._checkpoint, "file", self._lag):
                self._interrupted.raise_if_set()
                rows.append(row_of(file, estimate))
                if len(rows) == _ROWS_PER_WRITE:
                    write(rows)
                    rows = []
            invalid = framer.invalid
        except SourceError as error:
            problem = str(error)
        write(rows)
        return invalid, problem

    def _tell(self, file: str, invalid: int, problem: str | None) -> None:
        if problem is not None:
            self.problems.append(problem)
        if invalid:
            click.echo(f'moodring: {invalid} samples of "{file}" were not finite, taken as silence', err=True)
