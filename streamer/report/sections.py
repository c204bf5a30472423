"""Sections of like mood: where the valence-arousal curve of a file keeps to one level.

Silence of some length is a section by itself. What lies between is cut by `streamer.report.partition` so that the
estimates of a section lie close to their mean. What a border costs follows from the Bayesian information criterion (G.
Schwarz, "Estimating the dimension of a model", The Annals of Statistics 6, 1978): a further section has three further
parameters, where it begins and its mean valence and arousal, and must explain three times the logarithm of the number
of independent observations. Estimates less than `MEMORY` apart heard much of the same and are no independent ones:
all those within it together count as one. What each differs by from its section's mean is taken to have the standard
deviation `LIKE`, for every file, so that an eventful piece does not need larger steps than an even one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamer.circumplex import mood_word
from streamer.report.curve import Curve
from streamer.report.partition import partition

SHORTEST: Final = 10.0
"""Seconds of music that a section has at least, and of silence from which on it is a section: as long as the bundled
models hear at once, so that each section has an estimate of its own."""
MEMORY: Final = 10.0
"""Seconds after which an estimate depends on nothing but what came since, a slow part apart."""
LIKE: Final = 0.06
"""How far estimates of like mood lie from their mean, as a standard deviation. In 16 medleys of twelve recordings each
(scripts/benchmarks/sections.py), this value finds 154 of the 154 joins at which the mood moves by 0.2 or more, half
of them within 3 s, and 4 borders where there is no join: with 0.04 there are 33 of these, and 0.1 finds 122."""
SILENCE: Final = "silence"
_PARAMETERS = 3


@dataclass(frozen=True)
class Section:
    """A stretch of a file that keeps to one mood.

    Attributes
    ----------
    start, end : float
        Seconds.
    valence, arousal : float or None
        Means over what was heard of it, without first guesses unless there is nothing else; None in silence.
    loudness : float
        dBFS, of its mean power.
    """

    start: float
    end: float
    valence: float | None
    arousal: float | None
    loudness: float

    @property
    def word(self) -> str:
        """Its mood in a word of `streamer.circumplex`, or `SILENCE`."""
        if self.valence is None or self.arousal is None:
            return SILENCE
        return mood_word(self.valence, self.arousal)


def find_sections(curve: Curve, duration: float) -> list[Section]:
    """Cut a file into sections of like mood.

    Parameters
    ----------
    curve : Curve
        Its mood over time.
    duration : float
        Seconds of the file; the last section ends there.

    Returns
    -------
    list of Section
        In order, without gaps, from 0 to `duration`. Each lasts `SHORTEST` at least, but for the file itself and for
        music between silences, where that is shorter.
    """
    heard = curve.heard
    shortest = max(1, math.ceil(SHORTEST / curve.step - 1e-9))
    borders: list[int] = []
    for begin, end in _stretches(heard, shortest):
        places = begin + _settled(curve, slice(begin, end))
        if not len(places):
            borders.append(begin)  # silence
            continue
        values = np.stack([curve.valence[places], curve.arousal[places]], axis=1)
        starts = partition(values, penalty(len(places), curve.step), shortest)
        # first guesses, and what is silent before the music begins, belong to its first section
        borders += [begin, *(_onset(heard, int(places[start - 1]), int(places[start])) for start in starts[1:])]
    ends = [*borders[1:], len(heard)]
    times = [*(border * curve.step for border in borders), max(duration, (len(heard) - 1) * curve.step)]
    return [
        _section(curve, slice(begin, end), *times[number : number + 2])
        for number, (begin, end) in enumerate(zip(borders, ends, strict=True))
    ]


def penalty(points: int, step: float) -> float:
    """Return what a border costs, in the unit of the sum of squared differences of points from their section's mean.

    Parameters
    ----------
    points : int
        Estimates to be cut into sections.
    step : float
        Seconds from each to the next.

    Returns
    -------
    float
    """
    together = max(1.0, MEMORY / step)
    observations = max(2.0, points / together)
    return _PARAMETERS * math.log(observations) * LIKE**2 * together


def _stretches(heard: NDArray[np.bool_], shortest: int) -> list[tuple[int, int]]:
    """Cut at silences of some length; shorter ones are part of the music around them."""
    changes = np.flatnonzero(heard[1:] != heard[:-1]) + 1
    runs = list(zip([0, *changes.tolist()], [*changes.tolist(), len(heard)], strict=True))
    silences = [(begin, end) for begin, end in runs if not heard[begin] and end - begin >= shortest]
    borders = sorted({0, len(heard), *(border for silence in silences for border in silence)})
    return list(pairwise(borders))


def _onset(heard: NDArray[np.bool_], before: int, first: int) -> int:
    """Return where the music begins whose first full estimate is at `first`, after another at `before`."""
    quiet = np.flatnonzero(~heard[before + 1 : first])
    return before + 1 + (int(quiet[-1]) + 1 if len(quiet) else 0)


def _settled(curve: Curve, part: slice) -> NDArray[np.intp]:
    """Return the places in a part whose estimates are no first guesses; those that are, if there are no others."""
    heard = curve.heard[part]
    settled = np.flatnonzero(heard & ~curve.warming[part])
    return settled if len(settled) else np.flatnonzero(heard)


def _section(curve: Curve, part: slice, start: float, end: float) -> Section:
    places = _settled(curve, part)
    power = float(np.mean(10 ** (curve.loudness[part] / 10)))
    return Section(
        start,
        end,
        float(curve.valence[part][places].mean()) if len(places) else None,
        float(curve.arousal[part][places].mean()) if len(places) else None,
        10 * math.log10(max(power, 1e-20)),
    )
