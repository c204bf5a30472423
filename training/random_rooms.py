"""Rooms that nobody has described: for networks that are to hear in rooms which they were not trained in.

Sizes, places, walls, loudspeakers and microphones' distances are drawn from wide ranges, so that none of
`training.air.ROOMS`, in which networks are measured, is among them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from training.air import Point, Room

COUNT = 48
"""Rooms that are enough; simulating one takes seconds, so that clips share them."""

_LENGTHS = (3.5, 26.0)
_HEIGHTS = (2.3, 8.0)
_WIDTHS = (0.55, 0.95)
_DECAYS = (0.07, 0.19)
"""Seconds of reverberation per metre of height: bathrooms are lower than churches."""
_LOWEST = (35.0, 140.0)
_FROM_WALLS = 0.4
_SHARE_OF_DISTANCES = (0.15, 0.75)
"""How far from the loudspeaker the microphone is, as a share of the room's length."""


@lru_cache(maxsize=COUNT)
def random_room(number: int) -> Room:
    """Return a room.

    Parameters
    ----------
    number : int
        From 0; the same gives the same room.

    Returns
    -------
    Room
        `rt60` is Eyring's estimate, 1930.
    """
    generator = np.random.default_rng([number, 60])
    length = float(np.exp(generator.uniform(*np.log(_LENGTHS))))
    width = length * generator.uniform(*_WIDTHS)
    height = float(np.clip(length * generator.uniform(0.3, 0.7), *_HEIGHTS))
    rt60 = height * generator.uniform(*_DECAYS)
    volume, surface = length * width * height, 2 * (length * width + length * height + width * height)
    absorption = 1 - np.exp(-0.161 * volume / (surface * rt60))
    size = np.array([length, width, height])
    loudspeaker = _FROM_WALLS + (size - 2 * _FROM_WALLS) * generator.uniform(0, 1, 3)
    direction = generator.normal(size=3) * (1, 1, 0.3)
    distance = length * generator.uniform(*_SHARE_OF_DISTANCES)
    microphone = loudspeaker + distance * direction / np.linalg.norm(direction)
    # what would lie beyond a wall is reflected by it, and in a corner it may end at the wall
    microphone = np.clip(np.abs(microphone), _FROM_WALLS, None)
    microphone = np.clip(np.minimum(microphone, 2 * size - microphone), _FROM_WALLS, size - _FROM_WALLS)
    bumps = tuple(
        _point(np.exp(generator.uniform(np.log(60), np.log(8000))), generator.normal() * 4, generator.uniform(0.7, 1.8))
        for _ in range(4)
    )
    return Room(
        f"random room {number}",
        size=_point(*size),
        absorption=round(float(absorption), 3),
        rt60=round(float(rt60), 3),
        loudspeaker=_point(*loudspeaker),
        microphone=_point(*microphone),
        lowest=round(float(np.exp(generator.uniform(*np.log(_LOWEST)))), 1),
        bumps=bumps,
    )


def _point(*values: float) -> Point:
    first, second, third = (round(float(value), 2) for value in values)
    return first, second, third
