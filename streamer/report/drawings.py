"""The page's drawings as SVG.

Those over time are drawn on a ground of `WIDTH` by `HEIGHT` units that the page stretches to whatever room it has, with
lines that keep their width; so they hold no text. Their colours are the page's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamer.circumplex import OCTANTS
from streamer.report.curve import Curve, Values
from streamer.report.envelope import Waveform
from streamer.report.sections import Section

WIDTH: Final = 1000
HEIGHT: Final = 200
MOST_NUMBERED: Final = 12
"""Sections that have their number on the plane; of more, the numbers would cover each other."""
MOST_DRAWN: Final = 60
"""Sections whose borders and means are drawn at all; more of them would cover the curves."""
_PLANE = 340
_MARGIN = 24
_PATH_POINTS = 2400
_PATH_COLOURS = 60
_BUSY = 1200
"""Points of a path from which on it is drawn more lightly: it crosses itself."""
_RAMP = ((0x2F, 0x6F, 0xD0), (0x9A, 0x4F, 0xC0), (0xD6, 0x45, 0x5F), (0xD9, 0x8A, 0x00))
"""Colours of the path from beginning to end; they read on light and dark ground."""


def waveform_svg(waveform: Waveform) -> str:
    """Draw a waveform: its peaks, and its level within them. The largest peak fills the height."""
    scale = max(float(waveform.peak.max(initial=0.0)), 1e-6)
    shapes = []
    for name, column in (("peak", waveform.peak), ("level", waveform.level)):
        merged = -(-len(column) // WIDTH) if len(column) > WIDTH else 1
        heights = [float(column[at : at + merged].max()) / scale for at in range(0, len(column), merged)]
        wide = WIDTH * merged / max(len(column), 1)
        shapes.append(f'<path class="{name}" d="{_mirrored(heights, wide)}"/>')
    return _stretched("".join(shapes))


def curve_svg(
    curve: Curve, values: Values, stds: Values, sections: Sequence[Section], duration: float, name: str
) -> str:
    """Draw valence or arousal with its uncertainty, the sections' borders and means, silence, and warming.

    Parameters
    ----------
    curve : Curve
        Of the file.
    values, stds : ndarray of float64, shape (n,)
        The dimension's.
    sections : sequence of Section
        Of the file.
    duration : float
        Seconds that the drawing is wide.
    name : {'valence', 'arousal'}
        The class of the line and the band.

    Returns
    -------
    str
    """

    def x(time: float) -> str:
        return _number(min(time / duration, 1.0) * WIDTH)

    def y(value: float) -> str:
        return _number((1 - min(max(value, -1.0), 1.0)) / 2 * HEIGHT)

    parts = []
    for kind, places in (("silence", ~curve.heard), ("warming", curve.warming)):
        for begin, end in runs(places):
            box = f'x="{x(begin * curve.step)}" width="{_number((end - begin) * curve.step / duration * WIDTH)}"'
            parts.append(f'<rect class="{kind}" {box} y="0" height="{HEIGHT}"/>')
    parts.append(f'<path class="zero" d="M0 {HEIGHT / 2:g}H{WIDTH}"/>')
    drawn = sections if len(sections) <= MOST_DRAWN else []
    borders = "".join(f"M{x(section.start)} 0V{HEIGHT}" for section in drawn[1:])
    parts.append(f'<path class="border" d="{borders}"/>')
    merged = -(-len(values) // WIDTH)
    middle, spread = merge(values, merged), merge(stds, merged)
    span = merged * curve.step

    def line(heights: Values, begin: int, end: int) -> list[str]:
        inner = [f"{x((at + 0.5) * span)} {y(heights[at])}" for at in range(begin, end)]
        return [f"{x(begin * span)} {y(heights[begin])}", *inner, f"{x(end * span)} {y(heights[end - 1])}"]

    for begin, end in runs(~np.isnan(middle) & ~np.isnan(spread)):
        outline = line(middle + spread, begin, end) + line(middle - spread, begin, end)[::-1]
        parts.append(f'<path class="band {name}" d="M{"L".join(outline)}Z"/>')
    means = "".join(
        f"M{x(section.start)} {y(mean)}H{x(section.end)}"
        for section in drawn
        if (mean := section.valence if name == "valence" else section.arousal) is not None
    )
    parts.append(f'<path class="mean {name}" d="{means}"/>')
    for begin, end in runs(~np.isnan(middle)):
        parts.append(f'<path class="line {name}" d="M{"L".join(line(middle, begin, end))}"/>')
    return _stretched("".join(parts))


def plane_svg(curve: Curve, sections: Sequence[Section], label: str) -> str:
    """Draw the plane with the path, coloured by time, and the sections' means.

    Parameters
    ----------
    curve : Curve
        Of the file.
    sections : sequence of Section
        Of the file.
    label : str
        What it shows, for those who do not see it.

    Returns
    -------
    str
        With an invisible dot ``#here`` and an ellipse ``#spread`` for a cursor.
    """
    middle, half = _PLANE / 2, _PLANE / 2 - _MARGIN

    def x(valence: float) -> str:
        return _number(middle + valence * half)

    def y(arousal: float) -> str:
        return _number(middle - arousal * half)

    parts = [
        f'<rect class="frame" x="{_MARGIN}" y="{_MARGIN}" width="{2 * half:g}" height="{2 * half:g}"/>',
        f'<path class="axes" d="M{_MARGIN} {middle:g}H{_PLANE - _MARGIN}M{middle:g} {_MARGIN}V{_PLANE - _MARGIN}"/>',
        f'<text x="{middle:g}" y="{_MARGIN / 2:g}">excited: arousal +1</text>',
        f'<text x="{middle:g}" y="{_PLANE - _MARGIN / 2:g}">calm: arousal −1</text>',
        f'<text transform="translate({_MARGIN / 2:g} {middle:g}) rotate(-90)">unpleasant: valence −1</text>',
        f'<text transform="translate({_PLANE - _MARGIN / 2:g} {middle:g}) rotate(-90)">pleasant: valence +1</text>',
    ]
    for octant in OCTANTS:
        across, up = octant.border
        place = f'x="{x(across * 0.74)}" y="{y(up * 0.88)}"'
        parts.append(f'<text class="word" {place}>{octant.mild}</text>')
    valence, arousal, colours = path_colours(curve)
    kind = "path busy" if len(valence) > _BUSY else "path"
    for begin, end in runs(~np.isnan(valence)):
        for colour, pieces in groupby(range(begin, end - 1), lambda at: colours[at]):
            places = [*(ats := list(pieces)), ats[-1] + 1]
            line = "L".join(f"{x(valence[at])} {y(arousal[at])}" for at in places)
            parts.append(f'<path class="{kind}" stroke="{colour}" d="M{line}"/>')
        if end - begin == 1:
            place = f'cx="{x(valence[begin])}" cy="{y(arousal[begin])}"'
            parts.append(f'<circle {place} r="3" fill="{colours[begin]}"/>')
    numbered = len(sections) <= MOST_NUMBERED
    for number, section in enumerate(sections if len(sections) <= MOST_DRAWN else [], 1):
        if section.valence is None or section.arousal is None:
            continue
        place = f'"{x(section.valence)}" {{}}="{y(section.arousal)}"'
        parts.append(f'<circle class="section" cx={place.format("cy")} r="{9 if numbered else 3.5}"/>')
        if numbered:
            parts.append(f'<text class="number" x={place.format("y")}>{number}</text>')
    parts.append('<ellipse id="spread" hidden/><circle id="here" r="7" hidden/>')
    box = f'viewBox="0 0 {_PLANE} {_PLANE}" data-middle="{middle:g}" data-half="{half:g}"'
    return f'<svg id="plane" {box} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def path_colours(curve: Curve) -> tuple[Values, Values, list[str]]:
    """Return the path on the plane: valence and arousal of a bounded number of points, and the colour of each."""
    merged = -(-len(curve.valence) // _PATH_POINTS)
    valence, arousal = merge(curve.valence, merged), merge(curve.arousal, merged)
    return valence, arousal, [ramp(at * _PATH_COLOURS // len(valence) / _PATH_COLOURS) for at in range(len(valence))]


def ramp(share: float) -> str:
    """Return the path's colour, as ``#rrggbb``, at a share of the time from 0 to 1."""
    at = min(max(share, 0.0), 1.0) * (len(_RAMP) - 1)
    first = min(int(at), len(_RAMP) - 2)
    mixed = (round(a + (b - a) * (at - first)) for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def runs(places: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each stretch in which a condition holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], places, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def merge(values: Values, merged: int) -> Values:
    """Return the means of so many neighbours each, of those that are not NaN; NaN where all of them are."""
    if merged <= 1:
        return values
    padded = np.concatenate([values, np.full(-len(values) % merged, np.nan)]).reshape(-1, merged)
    known = ~np.isnan(padded)
    counted = known.sum(axis=1)
    return np.where(counted > 0, np.where(known, padded, 0).sum(axis=1) / np.maximum(counted, 1), np.nan)


def _mirrored(heights: Sequence[float], wide: float) -> str:
    middle = HEIGHT / 2
    places = [(_number((at + 0.5) * wide), height * middle) for at, height in enumerate(heights)]
    upper = [f"{x} {_number(middle - height)}" for x, height in places]
    lower = [f"{x} {_number(middle + height)}" for x, height in reversed(places)]
    return f"M{'L'.join([f'0 {middle:g}', *upper, f'{WIDTH} {middle:g}', *lower])}Z"


def _stretched(content: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f"{content}</svg>"
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"
