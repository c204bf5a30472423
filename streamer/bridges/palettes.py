"""Palettes: from a point of the valence-arousal plane to a colour of light."""

from __future__ import annotations

import colorsys
import math
import re
from dataclasses import dataclass
from typing import Final

Colour = tuple[float, float, float]
"""Red, green and blue, each from 0 to 1."""

ANCHORS: Final = 8
"""Colours of a palette: one for each octant of `streamer.circumplex`, counter-clockwise from pleasant."""
FULL_RADIUS: Final = 0.5
"""Distance from the plane's centre at which a colour is as saturated as its palette has it: estimates of whole pieces
seldom go beyond 0.6."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Palette:
    """Colours around the circle of moods.

    The angle in the plane gives hue and saturation, between the anchors by the shorter way around the circle of hues;
    the distance from the centre says how much of that colour is mixed into the neutral one; arousal gives the
    brightness. So the colour has no jump anywhere.

    Attributes
    ----------
    name : str
        What mappings call it.
    anchors : tuple of Colour
        `ANCHORS` colours of full brightness, counter-clockwise from pleasant.
    neutral : Colour
        In the centre.
    brightness : tuple of float
        At arousal -1 and at +1, in [0, 1].
    """

    name: str
    anchors: tuple[Colour, ...]
    neutral: Colour
    brightness: tuple[float, float]

    def colour(self, valence: float, arousal: float) -> Colour:
        """Return the colour of a mood.

        Parameters
        ----------
        valence, arousal : float
            In [-1, 1].

        Returns
        -------
        Colour
        """
        turned = math.atan2(arousal, valence) % math.tau / math.tau * ANCHORS
        index = int(turned) % ANCHORS
        edge = _between(self.anchors[index], self.anchors[(index + 1) % ANCHORS], turned - int(turned))
        amount = min(1.0, math.hypot(valence, arousal) / FULL_RADIUS)
        low, high = self.brightness
        level = low + (high - low) * (arousal + 1) / 2
        red, green, blue = (level * (n + (e - n) * amount) for n, e in zip(self.neutral, edge, strict=True))
        return red, green, blue


def parse_colour(text: object) -> Colour:
    """Read a colour as web pages write it.

    Parameters
    ----------
    text : object
        ``#rrggbb``.

    Returns
    -------
    Colour

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def write_colour(colour: Colour) -> str:
    """Write a colour as ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def _between(here: Colour, there: Colour, share: float) -> Colour:
    (hue, saturation, _), (other, other_saturation, _) = colorsys.rgb_to_hsv(*here), colorsys.rgb_to_hsv(*there)
    arc = (other - hue + 0.5) % 1 - 0.5
    return colorsys.hsv_to_rgb((hue + share * arc) % 1, saturation + share * (other_saturation - saturation), 1.0)


def _of_hues(hues: tuple[float, ...], saturation: float) -> tuple[Colour, ...]:
    return tuple(colorsys.hsv_to_rgb(hue / 360, saturation, 1.0) for hue in hues)


PALETTES: Final = {
    palette.name: palette
    for palette in (
        # yellow, orange, red, crimson, purple, blue, turquoise, green
        Palette("vivid", _of_hues((58, 29, 4, 338, 288, 230, 180, 122), 1.0), (1.0, 0.9, 0.75), (0.3, 1.0)),
        # amber, orange, red, crimson, magenta, blue, indigo, rose: no green, which does faces no good
        Palette("dusk", _of_hues((38, 20, 0, 340, 300, 250, 275, 330), 0.75), (1.0, 0.8, 0.6), (0.2, 0.9)),
    )
}
"""The built-in palettes by name."""
