"""What all pictures share: how they begin, how they look, and how they are written.

Needs matplotlib, which is loaded when the first picture is made. Nothing is drawn through pyplot, so no window opens
and no global state is left behind; the same figures give the same files. Colours are those of Okabe & Ito ("Color
universal design", 2008), and every line also differs in its dash or its marker.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from training.tables import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK, BLUE, VERMILION, GREY = "#000000", "#0072B2", "#D55E00", "#7F7F7F"
_GREEN, _PINK = "#009E73", "#CC79A7"

STYLES = ((BLUE, "o", "-"), (VERMILION, "s", "--"), (_GREEN, "^", "-."), (_PINK, "D", ":"), (GREY, "v", "-"))
"""Colour, marker and dash of the first lines that are drawn together."""

_DPI = 150


def require_matplotlib() -> None:
    """Make sure that there is matplotlib.

    Raises
    ------
    DataError
        If it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise DataError('plots need matplotlib; install it: pip install "moodring[plots]"')


def make_folder(folder: Path) -> None:
    """Make a folder for pictures if it is not there.

    Raises
    ------
    DataError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'cannot make the folder "{folder}": {error.strerror or error}') from error


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    stem : Path
        Without the ending.

    Returns
    -------
    list of Path

    Raises
    ------
    DataError
        If it cannot be written.
    """
    from matplotlib import rc_context

    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    # every draw would move what constrained layout has placed by a hair
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    try:
        figure.savefig(png, dpi=_DPI, metadata={"Software": None})
        # without a salt of its own, every SVG gets other identifiers
        with rc_context({"svg.hashsalt": "moodring"}):
            figure.savefig(svg, metadata={"Date": None, "Creator": None})
    except OSError as error:
        raise DataError(f'cannot write "{stem}": {error.strerror or error}') from error
    return [png, svg]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches.

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06)
    return figure


def tidy(axes: Axes) -> None:
    """Give axes a faint grid behind what is drawn, and no frame above and at the right."""
    axes.grid(True, color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def keep_span(axes: Axes, least: float = 0.1) -> None:
    """Let axes span at least so much upwards, so that differences in the third decimal do not look like much."""
    low, high = axes.get_ylim()
    if high - low < least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of one of the axes below all of them."""
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=min(len(texts), 5), frameon=False, fontsize=9)
