"""From a file to its report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.estimator import Estimator
from streamer.report.curve import hear_file
from streamer.report.page import make_page
from streamer.report.sections import find_sections
from streamer.report.summary import summarise
from streamer.report.wording import printable, time_text
from streamer.report.writing import write_whole


@dataclass(frozen=True)
class Made:
    """A report that was written.

    Attributes
    ----------
    headline : str
        Length, mood and number of sections.
    problem : str
        Why the file was not heard to its end; empty if it was.
    """

    headline: str
    problem: str


def make_report(
    path: str,
    target: Path,
    checkpoint: Estimator,
    on_progress: Callable[[float, float], None] = lambda heard, duration: None,
    ask: Callable[[], None] = lambda: None,
) -> Made:
    """Track a file and write its report.

    Parameters
    ----------
    path : str
        The file.
    target : Path
        A picture if it ends in ``.png``, otherwise a page; replaced when all is done.
    checkpoint : Estimator
        The model.
    on_progress, ask : callable
        As `streamer.report.curve.hear_file` takes them.

    Returns
    -------
    Made

    Raises
    ------
    SourceError
        If the file cannot be read, or holds less than one frame; nothing is written then.
    MoodringError
        If the report cannot be written, or is a picture and matplotlib is missing.
    """
    hearing = hear_file(path, checkpoint, on_progress, ask)
    sections = find_sections(hearing.curve, hearing.duration)
    summary = summarise(hearing)
    name = printable(Path(path).name)
    if target.suffix.lower() == ".png":
        from streamer.report.picture import make_picture

        content = make_picture(name, hearing, summary, sections)
    else:
        content = make_page(name, hearing, summary, sections).encode()
    write_whole(target, content)
    count = "1 section" if len(sections) == 1 else f"{len(sections)} sections"
    return Made(f"{time_text(hearing.duration)}, {summary.word}, {count}", hearing.problem)
