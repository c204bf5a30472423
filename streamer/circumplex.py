"""Plain words for a point of the valence-arousal plane.

The circumplex of J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39 (1980),
pp. 1161-1178, orders words for feelings on a circle: the angle, counted from pleasant (0°) over aroused (90°), says
which feeling, the distance from the centre how strong. :data:`OCTANTS` holds a word people would use of music for each
45° of it, in two strengths.

Standard library only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NEUTRAL: Final = "neutral"
NEUTRAL_RADIUS: Final = 0.1
"""Nearer to the centre than this, a feeling has no name."""
STRONG_RADIUS: Final = 0.4
"""From here outwards the stronger word is used: estimates of whole pieces seldom go beyond 0.6."""


@dataclass(frozen=True)
class Octant:
    """An eighth of the circle.

    Attributes
    ----------
    angle : float
        Its middle, in degrees from the valence axis, counter-clockwise.
    mild, strong : str
        The word below and from `STRONG_RADIUS`.
    """

    angle: float
    mild: str
    strong: str

    @property
    def border(self) -> tuple[float, float]:
        """Valence and arousal where its middle meets the edge of the plane: a corner or the middle of an edge."""
        valence, arousal = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        largest = max(abs(valence), abs(arousal))
        return round(valence / largest, 9), round(arousal / largest, 9)


OCTANTS: Final = (
    Octant(0, "pleasant", "happy"),  # pleasure
    Octant(45, "cheerful", "excited"),  # excitement
    Octant(90, "energetic", "intense"),  # arousal
    Octant(135, "tense", "angry"),  # distress
    Octant(180, "uneasy", "miserable"),  # displeasure
    Octant(225, "melancholy", "sad"),  # depression
    Octant(270, "subdued", "sleepy"),  # sleepiness
    Octant(315, "content", "calm"),  # relaxation
)
"""The circle, counter-clockwise from pleasant; the comments give Russell's own names for the eight angles."""


def octant_at(valence: float, arousal: float) -> Octant | None:
    """Return the eighth of the circle in which a point lies.

    Parameters
    ----------
    valence, arousal : float
        In [-1, 1].

    Returns
    -------
    Octant or None
        None within `NEUTRAL_RADIUS` of the centre.
    """
    if math.hypot(valence, arousal) < NEUTRAL_RADIUS:
        return None
    angle = math.degrees(math.atan2(arousal, valence))
    return OCTANTS[round(angle / 360 * len(OCTANTS)) % len(OCTANTS)]


def mood_word(valence: float, arousal: float) -> str:
    """Return a plain word for a mood.

    Parameters
    ----------
    valence, arousal : float
        In [-1, 1].

    Returns
    -------
    str
        One of the words of `OCTANTS`, or `NEUTRAL` near the centre.

    Examples
    --------
    >>> mood_word(0.5, 0.6)
    'excited'
    >>> mood_word(-0.2, -0.2)
    'melancholy'
    """
    octant = octant_at(valence, arousal)
    if octant is None:
        return NEUTRAL
    return octant.strong if math.hypot(valence, arousal) >= STRONG_RADIUS else octant.mild
