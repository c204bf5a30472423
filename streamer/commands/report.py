"""``moodring report``: a file's whole session as a page or a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from model.errors import MoodringError
from model.loading import ModelChoice
from streamer.commands.options import model_option

_PAGES = (".html", ".htm")
_PICTURE = ".png"


@click.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    help="A file that ends in .html or .png; a folder for a page of each of several files, FILE.html.",
)
@model_option
@click.option("--quiet", is_flag=True, help="Show no progress bar, and say nothing of what was written.")
def report(paths: tuple[str, ...], output: str, model: ModelChoice, quiet: bool) -> None:
    """Draw the mood of a whole file: curves, waveform, sections of like mood, and a summary in words and numbers.

    The page is one file that needs nothing else and asks nobody for anything; it opens in any browser, on a phone too,
    and prints. A picture (.png) needs matplotlib: pip install "moodring[plots]"

    OUT appears when it is complete, and replaces what was there. A file that breaks off is reported up to the break,
    and the exit status is 1; of several files, one that cannot be read does not stop the others.

    \b
    Examples:
      moodring report song.mp3 -o song.html
      moodring report song.mp3 -o song.png
      moodring report album/*.flac -o reports/
    """
    targets = _targets(paths, output)
    from streamer.interruption import interruption
    from streamer.report.making import make_report

    checkpoint = model.load()
    problems: list[str] = []
    with interruption() as interrupted:
        for path, target in targets:
            try:
                with _progress_bar(path, quiet) as show:
                    made = make_report(path, target, checkpoint, show, interrupted.raise_if_set)
            except MoodringError as error:
                problems.append(str(error))
                continue
            problems += [made.problem] if made.problem else []
            if not quiet:
                click.echo(f"{target}   {made.headline}")
    if problems:
        raise MoodringError("\nmoodring: ".join(problems))


def _targets(paths: tuple[str, ...], output: str) -> list[tuple[str, Path]]:
    """Say where the report of each file goes, before any work is done."""
    suffix = Path(output).suffix.lower()
    if suffix == _PICTURE:
        from streamer.report.picture import require_matplotlib

        require_matplotlib()
    is_folder = os.path.isdir(output) or output.endswith(("/", os.sep))
    if not is_folder and suffix in (*_PAGES, _PICTURE):
        if len(paths) > 1:
            raise MoodringError(f'"{output}" is one file; for {len(paths)} reports, name a folder: -o reports/')
        folder = Path(output).parent
        if not folder.is_dir():
            raise MoodringError(f'cannot write "{output}": there is no folder "{folder}"')
        return [(paths[0], Path(output))]
    if not is_folder:
        raise MoodringError(
            f'cannot tell the format of "{output}"; let it end in .html or .png, or name a folder with /'
        )
    targets = [(path, Path(output, f"{Path(path).name}.html")) for path in paths]
    first: dict[Path, str] = {}
    for path, target in targets:
        if target in first:
            raise MoodringError(f'"{first[target]}" and "{path}" would both be "{target}"; make the reports one by one')
        first[target] = path
    try:
        Path(output).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoodringError(f'cannot make the folder "{output}": {error.strerror or error}') from error
    return targets


@contextmanager
def _progress_bar(path: str, quiet: bool) -> Iterator[Callable[[float, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)
    task = bar.add_task(Path(path).name[:40], total=None)
    bar.start()
    try:
        yield lambda heard, duration: bar.update(task, completed=heard, total=duration or None)
    finally:
        with suppress(OSError):  # a terminal that was closed stops nothing
            bar.stop()
