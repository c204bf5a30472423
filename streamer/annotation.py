"""Tracks a list of files, in one process or several, and writes their rows as a table; goes on where it was stopped."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from model.estimator import Estimator
from model.loading import DEFAULT_MODEL, ModelChoice
from streamer.file_rows import write_rows
from streamer.interruption import Interrupted, Interruption
from streamer.jobs import End, Jobs, Rows
from streamer.kept_rows import Identity, KeptRows, decode_rows, identify, settings_of
from streamer.spool import Spool
from streamer.table import Row, Table, TableError, validate_subtitles

_FILES_AHEAD = 4
"""Files per process that may be begun before the first that is not done, where rows are written in order: what is done
waits on the disk."""
_BYTES_PER_JOB = 1 << 24
"""A process takes as long to start as it takes to track so many bytes of MP3."""


def usual_jobs(files: Sequence[str]) -> int:
    """Return how many processes to use: as many as there are cores for this one, or fewer where there is little to do.

    Parameters
    ----------
    files : sequence of str
        What is to be tracked.

    Returns
    -------
    int
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    size = sum(identity.size for identity in map(identify, files) if identity is not None)
    return max(1, min(cores, len(files), size // _BYTES_PER_JOB))


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
    model : ModelChoice
        What `checkpoint` was loaded from, for other processes.
    jobs : int
        Processes that track files side by side; with 1 it is this one.

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
        model: ModelChoice = DEFAULT_MODEL,
        jobs: int = 1,
    ) -> None:
        self.problems: list[str] = []
        self._files = files
        self._checkpoint = checkpoint
        self._lag = lag
        self._interrupted = interrupted
        self._on_progress = on_progress
        self._model = model
        self._jobs = jobs
        self._first = 0  # of those whose rows are not all written, where they are in order

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
            If it cannot be written, another run is writing it, or it would be subtitles of several files.
        streamer.interruption.Interrupted
            If a signal asked for the end.
        """
        validate_subtitles(output, self._files)
        return self._stream() if output == "-" else self._keep(output, restart)

    def _stream(self) -> bool:
        with Table("-") as table:
            if self._jobs > 1 and len(self._files) > 1:
                self._stream_from_jobs(table)
            else:
                for done, file in enumerate(self._files):
                    self._on_progress(file, done)
                    self._tell(file, *self._track(file, table.write))
            return table.rows > 0

    def _keep(self, output: str, restart: bool) -> bool:
        with KeptRows(output, self._settings(), restart) as kept:
            self._tell_what_is_kept(kept)
            try:
                missing = [file for file in dict.fromkeys(self._files) if not kept.holds(file)]
                if self._jobs > 1 and len(missing) > 1:
                    self._keep_from_jobs(kept, missing, output)
                else:
                    self._keep_one_by_one(kept)
                written = self._copy(kept, output)
            except TableError as error:
                raise TableError("; ".join((str(error), *self._kept(kept)))) from error
            except KeyboardInterrupt as error:
                number = error.number if isinstance(error, Interrupted) else signal.SIGINT
                raise Interrupted(number, *self._kept(kept)) from error
            kept.remove()
        return written

    def _keep_one_by_one(self, kept: KeptRows) -> None:
        for done, file in enumerate(self._files):
            self._on_progress(file, done)
            if not kept.holds(file):
                identity = identify(file)
                kept.finish(file, identity, *self._track(file, kept.write))
            self._tell(file, kept.invalid(file), kept.problem(file))

    def _keep_from_jobs(self, kept: KeptRows, missing: Sequence[str], output: str) -> None:
        done = len(self._files) - len(missing)
        identities: dict[int, Identity | None] = {}

        def begin(number: int) -> bool:
            if number not in identities:  # a second process goes on with the rows of the first
                identities[number] = identify(missing[number])
            return True

        with self._start_jobs(missing) as jobs, ExitStack() as open_spools:
            spools: defaultdict[int, Spool] = defaultdict(lambda: Spool(Path(output).parent))
            open_spools.callback(_close, spools)
            for event in jobs.events(self._interrupted.raise_if_set, begin):
                file = missing[event.number]
                if isinstance(event, Rows):
                    spools[event.number].write(event.lines)
                    continue
                spool = spools.pop(event.number, None)
                if spool is not None:
                    if not event.killed:
                        for lines in spool.read():
                            kept.write_encoded(b"".join(lines))
                    spool.close()
                # what was killed may have been so for lack of memory: the next run tries again
                identity = identities.pop(event.number)
                kept.finish(file, None if event.killed else identity, event.invalid, event.problem)
                done += 1
                self._on_progress(file, done)
        for file in self._files:
            self._tell(file, kept.invalid(file), kept.problem(file))

    def _stream_from_jobs(self, table: Table) -> None:
        spools: defaultdict[int, Spool] = defaultdict(lambda: Spool(None))
        ends: dict[int, End] = {}
        with self._start_jobs(self._files) as jobs, ExitStack() as open_spools:
            open_spools.callback(_close, spools)
            ahead = _FILES_AHEAD * self._jobs
            for event in jobs.events(self._interrupted.raise_if_set, lambda number: number < self._first + ahead):
                if isinstance(event, Rows):
                    if event.number == self._first:
                        table.write(decode_rows(self._files[self._first], event.lines.splitlines()))
                    else:
                        spools[event.number].write(event.lines)
                    continue
                ends[event.number] = event
                while (end := ends.pop(self._first, None)) is not None:
                    self._tell(self._files[self._first], end.invalid, end.problem)
                    self._first += 1
                    self._on_progress(self._files[event.number], self._first)
                    spool = spools.pop(self._first, None)
                    if spool is not None:
                        for lines in spool.read():
                            table.write(decode_rows(self._files[self._first], lines))
                        spool.close()

    def _start_jobs(self, files: Sequence[str]) -> Jobs:
        return Jobs(files, self._jobs, self._model, self._lag, self._settings())

    def _settings(self) -> dict[str, str]:
        return settings_of(self._checkpoint, self._checkpoint.frames_of_lag(self._lag))

    def _kept(self, kept: KeptRows) -> list[str]:
        done = sum(kept.holds(file) for file in self._files)
        of_all = f'{done} of {len(self._files)} files are kept in "{kept.path}"; the same command goes on with them'
        return [of_all] if done else []

    def _copy(self, kept: KeptRows, output: str) -> bool:
        if not any(kept.count(file) for file in self._files):
            return False
        with Table(output, self._lag) as table:
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
        return write_rows(file, self._checkpoint, self._lag, write, self._interrupted.raise_if_set)

    def _tell(self, file: str, invalid: int, problem: str | None) -> None:
        if problem is not None:
            self.problems.append(problem)
        if invalid:
            click.echo(f'moodring: {invalid} samples of "{file}" were not finite, taken as silence', err=True)


def _close(spools: Mapping[int, Spool]) -> None:
    for spool in spools.values():
        spool.close()
