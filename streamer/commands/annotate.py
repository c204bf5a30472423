"""``moodring annotate``: whole files to a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import click

from model.errors import MoodringError
from model.loading import ModelChoice
from streamer.commands.options import lag_option, model_option


@click.command()
@click.argument("paths", metavar="FILE|FOLDER|LIST...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    default="-",
    help="A file that ends in .csv, .jsonl or .parquet; a folder with --engine ray.  [default: CSV on standard output]",
)
@model_option
@lag_option
@click.option("--restart", is_flag=True, help="Track every file again, also those that an earlier run was done with.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processes that track files side by side; each takes 100 MB, in torch 200.  [default: one per core]",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What does the work: processes of this machine, or a Ray cluster.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="With --engine ray: the cluster's head.  [default: $RAY_ADDRESS, or a cluster of this machine alone]",
)
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
def annotate(
    paths: tuple[str, ...],
    output: str,
    model: ModelChoice,
    lag: float,
    restart: bool,
    jobs: int | None,
    engine: str,
    ray_address: str | None,
    quiet: bool,
) -> None:
    """Track whole files as fast as possible and write one row per 500 ms frame.

    Folders are searched for audio files, with everything below them. OUT appears when it is complete. A file or folder
    that cannot be read does not stop the others: it is named at the end, and the exit status is 1.

    If it is stopped or killed, the rows of the files that are done stay in .OUT.part, and the same command goes on with
    them. Files that have changed since, or could not be opened, are tracked again. The table is the same with any
    number of jobs, byte for byte.

    A LIST of paths is a text file with one on each line (.txt), or a table with a column "path" or "file" (.parquet).

    With --engine ray, OUT is a folder of Parquet files, of which the table "bad" names the files that could not be
    read; it is added to when there are more files. See streamer/ARCHIVES.md.

    Let OUT end in .srt, .vtt or .lrc for subtitles of one file: a line to be shown beside it whenever its mood changes.

    M4A, AAC, WMA, and the sound of video files need PyAV: pip install "moodring[formats]"

    \b
    Examples:
      moodring annotate song.mp3
      moodring annotate music/ more/song.flac -o mood.csv
      moodring annotate music/ -o mood.parquet
      moodring annotate film.mkv -o film.srt
      moodring annotate music/ --jobs 2 -o mood.csv    leave the other cores alone
      moodring annotate paths.txt --engine ray --ray-address head:6379 -o archive
    """
    from streamer.annotation import Annotation, usual_jobs
    from streamer.interruption import interruption
    from streamer.table import validate_table_path

    if engine == "ray":
        _annotate_by_ray(paths, output, model, lag, restart, jobs, ray_address, quiet)
        return
    if ray_address is not None:
        raise click.UsageError("--ray-address needs --engine ray")
    validate_table_path(output)
    checkpoint = model.load()
    checkpoint.frames_of_lag(lag)
    problems: list[str] = []
    files = list(_audio_files(paths, problems))
    with interruption() as interrupted, _progress_bar(len(files), quiet) as show:
        annotation = Annotation(files, checkpoint, lag, interrupted, show, model, jobs or usual_jobs(files))
        written = annotation.write(output, restart)
    problems += annotation.problems
    if not written:
        problems.append("nothing could be tracked, so nothing was written")
    if problems:
        raise MoodringError("\nmoodring: ".join(problems))


def _annotate_by_ray(
    paths: tuple[str, ...],
    output: str,
    model: ModelChoice,
    lag: float,
    restart: bool,
    jobs: int | None,
    ray_address: str | None,
    quiet: bool,
) -> None:
    from streamer.table import SUFFIXES, import_pyarrow

    if output == "-" or Path(output).suffix.lower() in SUFFIXES or Path(output).is_file():
        raise click.UsageError("--engine ray writes a folder: give one with -o FOLDER")
    import_pyarrow()
    from streamer.archive.archiving import Task, archive
    from streamer.archive.cluster import require_ray
    from streamer.interruption import interruption

    require_ray()

    checkpoint = model.load()
    problems: list[str] = []
    files = list(_audio_files(paths, problems))
    address = ray_address or os.environ.get("RAY_ADDRESS")
    task = Task(files, output, model, lag, address, jobs, restart)
    # a second signal, or an end that takes long, shall not keep the cluster from being left in order
    with ExitStack() as resources, interruption() as interrupted, _progress_bar(len(files), quiet) as show:
        problems += archive(task, checkpoint, interrupted, show, resources)
    if problems:
        raise MoodringError("\nmoodring: ".join(problems))


@contextmanager
def _progress_bar(total: int, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    task = bar.add_task("annotate", total=total)
    bar.start()
    try:
        yield lambda file, done: bar.update(task, description=Path(file).name[:40], completed=done)
        bar.update(task, completed=total)
    finally:
        with suppress(OSError):  # a terminal that was closed stops nothing
            bar.stop()


def _audio_files(paths: tuple[str, ...], problems: list[str]) -> Iterator[str]:
    from streamer.opening import CONTAINERS, EXTENSIONS, WAY_OUT, has_pyav
    from streamer.path_lists import LISTS, read_paths

    for path in paths:
        if Path(path).suffix.lower() in LISTS and not os.path.isdir(path):
            yield from read_paths(path)
            continue
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
        if not has_pyav():
            readable = [file for file in found if file.suffix.lower() not in CONTAINERS]
            if len(readable) < len(found):
                problems.append(f'{len(found) - len(readable)} files below "{path}" need the package PyAV; {WAY_OUT}')
            found = readable
        for file in found:
            yield str(file)


def _unreadable(error: OSError) -> str:
    return f'cannot read folder "{error.filename}": {error.strerror}'
