"""A report as a picture (PNG), drawn with matplotlib, which is loaded when the first is made."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model.errors import MoodringError
from streamer.circumplex import OCTANTS
from streamer.report.curve import Hearing, Values
from streamer.report.drawings import MOST_DRAWN, MOST_NUMBERED, merge, path_colours, runs
from streamer.report.explanations import notes
from streamer.report.fragments import colour_of
from streamer.report.sections import Section
from streamer.report.summary import Summary, in_words
from streamer.report.wording import decibels, minus, time_marks, time_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE: Final = (16.0, 10.0)
_DPI: Final = 120
_MOST_COLUMNS: Final = 1200
_TEXT, _SOFT, _LINE, _VALENCE, _AROUSAL = "#15181e", "#505866", "#c9ced8", "#0b5cba", "#a63c06"
"""The colours of the page, light."""
_CHARACTERS_PER_LINE: Final = 78
_NARROWEST: Final = 0.0068
"""Share of the width per character that a section's label needs."""


def require_matplotlib() -> None:
    """Make sure that there is matplotlib.

    Raises
    ------
    MoodringError
        If it is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MoodringError('a picture needs matplotlib: pip install "moodring[plots]"; a page (.html) needs nothing')


def make_picture(name: str, hearing: Hearing, summary: Summary, sections: Sequence[Section]) -> bytes:
    """Draw the picture.

    Parameters
    ----------
    name : str
        What the file is called.
    hearing : Hearing
        What was heard of it.
    summary : Summary
        The same in numbers.
    sections : sequence of Section
        Of it.

    Returns
    -------
    bytes
        PNG; the same for the same report.

    Raises
    ------
    MoodringError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 11,
        "text.color": _TEXT,
        "text.parse_math": False,
        "text.usetex": False,
        "axes.edgecolor": _LINE,
        "axes.labelcolor": _SOFT,
        "xtick.color": _SOFT,
        "ytick.color": _SOFT,
    }
    with rc_context(style), warnings.catch_warnings():
        # a file's name may have letters that no font here has; boxes stand for them
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor="white")
        grid = figure.add_gridspec(
            5, 2, left=0.045, right=0.985, top=0.965, bottom=0.05, wspace=0.08, hspace=0.3,
            width_ratios=(1.35, 1), height_ratios=(5.6, 0.45, 1.1, 2.4, 2.4),
        )  # fmt: skip
        _draw_words(figure.add_subplot(grid[0, 0]), name, hearing, summary, sections)
        _draw_plane(figure.add_subplot(grid[0, 1]), hearing, summary, sections)
        duration = max(hearing.duration, hearing.curve.step)
        over_time = [figure.add_subplot(grid[row, :]) for row in range(1, 5)]
        _draw_strip(over_time[0], sections, duration)
        _draw_waveform(over_time[1], hearing)
        curve = hearing.curve
        _draw_curve(over_time[2], hearing, sections, (curve.valence, curve.valence_std), ("Valence", _VALENCE))
        _draw_curve(over_time[3], hearing, sections, (curve.arousal, curve.arousal_std), ("Arousal", _AROUSAL))
        for axes in over_time:
            axes.set_xlim(0, duration)
            axes.spines[:].set_visible(False)
            axes.set_xticks([])
        times = time_marks(duration, 13)
        over_time[-1].set_xticks(times, [time_text(time) for time in times])
        return _as_png(figure)


def _draw_words(axes: Axes, name: str, hearing: Hearing, summary: Summary, sections: Sequence[Section]) -> None:
    axes.axis("off")
    title = name if len(name) <= 60 else f"{name[:59]}…"
    about = f"{time_text(hearing.duration)} · loudness {decibels(summary.loudness)} · model {hearing.model} · moodring"
    axes.text(0, 1, title, size=19, weight="bold", va="top", transform=axes.transAxes)
    axes.text(0, 0.89, about, color=_SOFT, va="top", transform=axes.transAxes)
    colour = colour_of(*summary.means)
    axes.text(0, 0.78, "▌", size=44, color=colour, va="top", transform=axes.transAxes)
    axes.text(0.04, 0.78, summary.word, size=44, weight="bold", va="top", transform=axes.transAxes)
    sentences = [*in_words(summary, sections), *notes(hearing)]
    lines = [minus(line) for sentence in sentences for line in textwrap.wrap(sentence, _CHARACTERS_PER_LINE)]
    axes.text(0, 0.54, "\n".join(lines), size=13, va="top", linespacing=1.5, transform=axes.transAxes)


def _draw_plane(axes: Axes, hearing: Hearing, summary: Summary, sections: Sequence[Section]) -> None:
    from matplotlib.collections import LineCollection

    axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", anchor="E", xticks=[], yticks=[])
    axes.set_xlabel("valence: unpleasant … pleasant")
    axes.set_ylabel("arousal: calm … excited")
    axes.axhline(0, color=_LINE, lw=0.8)
    axes.axvline(0, color=_LINE, lw=0.8)
    for octant in OCTANTS:
        across, up = octant.border
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        axes.text(across * 0.72, up * 0.9, octant.mild, color=_SOFT, ha="center", va="center", bbox=box)
    valence, arousal, colours = path_colours(hearing.curve)
    points = np.stack([valence, arousal], axis=1)
    axes.add_collection(
        LineCollection(
            list(np.stack([points[:-1], points[1:]], axis=1)), colors=colours[:-1], lw=2 if len(points) < 1200 else 1
        )
    )
    numbered = len(sections) <= MOST_NUMBERED
    for number, section in enumerate(sections if len(sections) <= MOST_DRAWN else [], 1):
        if section.valence is None or section.arousal is None:
            continue
        size = 15 if numbered else 6
        axes.plot(section.valence, section.arousal, "o", ms=size, mfc="white", mec=_TEXT, zorder=3)
        if numbered:
            place: dict[str, Any] = {"ha": "center", "va": "center_baseline", "zorder": 4}
            axes.text(section.valence, section.arousal, str(number), size=9, weight="bold", **place)


def _draw_strip(axes: Axes, sections: Sequence[Section], duration: float) -> None:
    axes.set(ylim=(0, 1), yticks=[])
    for number, section in enumerate(sections, 1):
        wide = section.end - section.start
        colour = colour_of(section.valence, section.arousal)
        axes.add_patch(_rectangle(section.start, 0, wide, 1, facecolor=colour, alpha=0.25))
        axes.add_patch(_rectangle(section.start, 0.85, wide, 0.15, facecolor=colour))
        label = f" {number} {section.word}"
        if wide / duration < _NARROWEST * len(label):
            label = f" {number}" if wide / duration > _NARROWEST * 1.5 else ""
        axes.text(section.start, 0.4, label, va="center", clip_on=True)
    if len(sections) <= MOST_DRAWN:
        for section in sections[1:]:
            axes.axvline(section.start, color="white", lw=1.5)


def _draw_waveform(axes: Axes, hearing: Hearing) -> None:
    waveform = hearing.waveform
    times = (np.arange(len(waveform.peak)) + 0.5) * waveform.bin_duration
    largest = max(float(waveform.peak.max(initial=0.0)), 1e-6)
    axes.fill_between(times, -waveform.peak, waveform.peak, color="#747d8c", alpha=0.45, lw=0)
    axes.fill_between(times, -waveform.level, waveform.level, color="#747d8c", lw=0)
    axes.set(ylim=(-largest, largest), yticks=[])


def _draw_curve(
    axes: Axes, hearing: Hearing, sections: Sequence[Section], columns: tuple[Values, Values], style: tuple[str, str]
) -> None:
    curve = hearing.curve
    (name, colour), merged = style, -(-len(curve.valence) // _MOST_COLUMNS)
    values, stds = (merge(column, merged) for column in columns)
    times = (np.arange(len(values)) + 0.5) * merged * curve.step
    times[0], times[-1] = 0.0, max(hearing.duration, times[-1])
    for places, shade in ((~curve.heard, 0.25), (curve.warming, 0.12)):
        for begin, end in runs(places):
            axes.axvspan(begin * curve.step, end * curve.step, color="#747d8c", alpha=shade, lw=0)
    axes.axhline(0, color=_LINE, lw=0.8)
    drawn = sections if len(sections) <= MOST_DRAWN else []
    for section in drawn[1:]:
        axes.axvline(section.start, color="#747d8c", lw=0.8, dashes=(3, 3))
    axes.fill_between(times, values - stds, values + stds, color=colour, alpha=0.17, lw=0)
    axes.plot(times, values, color=colour, lw=2, solid_capstyle="round")
    for section in drawn:
        mean = section.valence if name == "Valence" else section.arousal
        if mean is not None:
            axes.hlines(mean, section.start, section.end, color=colour, lw=1.2, alpha=0.6, linestyles="dashed")
    axes.set(ylim=(-1, 1), yticks=(-1, 0, 1))
    axes.set_title(name, color=colour, size=11, weight="bold", loc="left", pad=3)


def _rectangle(x: float, y: float, width: float, height: float, **style: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **{"lw": 0, **style})


def _as_png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()
