"""``moodring annotate``: whole files to a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.errors import MoodringError
from streamer.commands.options import lag_option, model_option

if TYPE_CHECKING:
    from threading import Event

    from model.checkpoint import Checkpoint
    from streamer.table import Table

_ROWS_PER_WRITE = 1000


@click.command()
@click.argument("paths", metavar="FILE|FOLDER...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    default="-",
    help="A file that ends in .csv, .jsonl or .parquet.  [default: CSV on standard output]",
)
@model_option
@lag_option
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
def annotate(paths: tuple[str, ...], output: str, model: str | None, lag: float, quiet: bool) -> None:
    """Track whole files as fast as possible and write one row per 500 ms frame.

    Folders are searched for audio files, with everything below them. OUT appears when it is complete. A file or folder
    that cannot be read does not stop the others: it is named at the end, and the exit status is 1.

    \b
    Examples:
      moodring annotate song.mp3
      moodring annotate music/ more/song.flac -o mood.csv
      moodring annotate music/ -o mood.parquet
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from model.checkpoint import load_checkpoint
    from streamer.interruption import interruption
    from streamer.table import Table

    checkpoint = load_checkpoint(model)
    checkpoint.frames_of_lag(lag)
    problems: list[str] = []
    files = list(_audio_files(paths, problems))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        interruption() as interrupted,
        Table(output) as table,
        Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar,
    ):
        task = bar.add_task("annotate", total=len(files))
        for file in files:
            bar.update(task, description=Path(file).name[:40])
            _annotate(file, table, checkpoint, lag, problems, interrupted)
            bar.advance(task)
        if not table.rows:
            problems.append("nothing could be tracked, so nothing was written")
            raise MoodringError("\nmoodring: ".join(problems))
    if problems:
        raise MoodringError("\nmoodring: ".join(problems))


def _audio_files(paths: tuple[str, ...], problems: list[str]) -> Iterator[str]:
    from streamer.audio_file import EXTENSIONS

    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        found = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(path, onerror=lambda error: problems.append(_unreadable(error)))
            for name in names
            if Path(name).suffix.lower() in EXTENSIONS
        )
        if not found:
            problems.append(f'folder "{path}" holds no audio files')
        for file in found:
            yield str(file)


def _unreadable(error: OSError) -> str:
    return f'cannot read folder "{error.filename}": {error.strerror}'


def _annotate(
    file: str, table: Table, checkpoint: Checkpoint, lag: float, problems: list[str], interrupted: Event
) -> None:
    from streamer.audio_file import AudioFile
    from streamer.framer import Framer
    from streamer.offline import track
    from streamer.source import SourceError
    from streamer.table import row_of

    rows = []
    try:
        source = AudioFile(file)
        framer = Framer(source.sample_rate, checkpoint.frontend.parameters)
        for estimate in track(source, framer, checkpoint, "file", lag):
            if interrupted.is_set():
                raise KeyboardInterrupt
            rows.append(row_of(file, estimate))
            if len(rows) == _ROWS_PER_WRITE:
                table.write(rows)
                rows = []
        if framer.invalid:
            click.echo(f'moodring: {framer.invalid} samples of "{file}" were not finite, taken as silence', err=True)
    except SourceError as error:
        problems.append(str(error))
    table.write(rows)
