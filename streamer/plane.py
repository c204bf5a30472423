"""Drawings of a stream's last minute: its trail on the valence-arousal plane, and each dimension over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from rich.style import Style

from streamer.canvas import Canvas
from streamer.circumplex import OCTANTS, Octant, octant_at

HISTORY_SECONDS: Final = 60.0

QUIET: Final = Style(color="#767676")
"""Grey that is as far from white as from black, as the colours below: they read on light and dark terminals."""
VALENCE_STYLE: Final = Style(color="#0087af")
AROUSAL_STYLE: Final = Style(color="#d75f00")

_OCTANT_COLOURS = ("#a87400", "#d75f00", "#e0452f", "#d7263d", "#a44bb5", "#4a6fd8", "#1f87a0", "#2e8b57")
_TRAIL = ((6.0, Style(color="#d7005f", bold=True)), (20.0, Style(color="#af5f87")), (HISTORY_SECONDS, QUIET))
"""Styles of the trail up to each age in seconds."""
_LINE_AGE = 30.0
"""Older parts of the trail are dots without lines between them."""


class Point(NamedTuple):
    """Where a stream was; `valence` and `arousal` are None in silence, `age` is in seconds."""

    age: float
    valence: float | None
    arousal: float | None


def mood_colour(octant: Octant | None) -> str:
    """Return the colour, as ``#rrggbb``, of a mood's eighth of the circle; grey for None."""
    return _OCTANT_COLOURS[OCTANTS.index(octant)] if octant else "#767676"


def draw_plane(canvas: Canvas, points: Sequence[Point], slow: tuple[float, float] | None) -> None:
    """Draw the plane, valence rightwards and arousal upwards, with the trail of a stream on it.

    Parameters
    ----------
    canvas : Canvas
        Empty; the whole plane from -1 to 1 fills it.
    points : sequence of Point
        Oldest first. The last one is marked with ●, unless it is silent.
    slow : tuple of float, optional
        Valence and arousal of the last minute's mood, marked with ○.
    """
    _draw_axes(canvas)
    _draw_words(canvas)
    right, bottom = canvas.dots_across - 1, canvas.dots_down - 1

    def place(valence: float, arousal: float) -> tuple[float, float]:
        return (1 + valence) / 2 * right, (1 - arousal) / 2 * bottom

    for before, point in pairwise([Point(0.0, None, None), *points]):
        if point.valence is None or point.arousal is None or point.age > HISTORY_SECONDS:
            continue
        style = next(style for age, style in _TRAIL if point.age <= age)
        here = place(point.valence, point.arousal)
        canvas.dot(*here, style)
        if before.valence is not None and before.arousal is not None and point.age <= _LINE_AGE:
            canvas.line(*place(before.valence, before.arousal), *here, style)
    if slow is not None:
        mark = "○" if canvas.unicode else "o"
        canvas.write(*canvas.cell_of(*place(*slow)), mark, Style(color=mood_colour(octant_at(*slow)), bold=True))
    if points and points[-1].valence is not None and points[-1].arousal is not None:
        now = points[-1].valence, points[-1].arousal
        mark = "●" if canvas.unicode else "@"
        canvas.write(*canvas.cell_of(*place(*now)), mark, Style(color=mood_colour(octant_at(*now)), bold=True))


def draw_trace(canvas: Canvas, values: Iterable[tuple[float, float | None]], style: Style) -> None:
    """Draw a number between -1 and 1 over the last minute, the present at the right edge.

    Parameters
    ----------
    canvas : Canvas
        Empty.
    values : iterable of (age in seconds, number or None)
        Oldest first; None leaves a gap.
    style : Style
        Of the line.
    """
    canvas.ground(0, canvas.height // 2, ("╌" if canvas.unicode else "-") * canvas.width, QUIET)
    if canvas.height >= 5:
        canvas.ground(0, 0, "+1", QUIET)
        canvas.ground(0, canvas.height - 1, "-1", QUIET)
    right, bottom = canvas.dots_across - 1, canvas.dots_down - 1
    before: tuple[float, float] | None = None
    for age, value in values:
        here = None if value is None else ((1 - age / HISTORY_SECONDS) * right, (1 - value) / 2 * bottom)
        if here is not None:
            canvas.line(*(before or here), *here, style)
        before = here


def _draw_axes(canvas: Canvas) -> None:
    column, row = canvas.width // 2, canvas.height // 2
    across, down, cross = "─│┼" if canvas.unicode else "-|+"
    canvas.ground(0, row, across * canvas.width, QUIET)
    for other in range(canvas.height):
        canvas.ground(column, other, cross if other == row else down, QUIET)


def _draw_words(canvas: Canvas) -> None:
    for octant in OCTANTS:
        valence, arousal = octant.border
        word = octant.strong
        at_edge = 0 in (valence, arousal)
        if canvas.width < (33 if at_edge else 20) or canvas.height < (7 if at_edge else 3):
            continue
        column = round((1 + valence) / 2 * (canvas.width - len(word)))
        row = round((1 - arousal) / 2 * (canvas.height - 1))
        canvas.write(column, row, word, Style(color=mood_colour(octant)))
