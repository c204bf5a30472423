"""A file's mood in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from streamer.circumplex import mood_word
from streamer.panels import signed
from streamer.report.curve import Curve, Hearing, Values
from streamer.report.envelope import Waveform
from streamer.report.sections import SILENCE, Section
from streamer.report.wording import join, length_text, percent, time_text

EXTREMES: Final = (("most joyful", 1, 1), ("most tense", -1, 1), ("saddest", -1, -1), ("calmest", 1, -1))
"""What is furthest in each quadrant, and the quadrant's signs of valence and arousal."""
MOST_STEPS: Final = 5
"""Moods that are told one after another; more of them are summed up."""
_QUIETEST = -200.0


@dataclass(frozen=True)
class Moment:
    """Where a file is furthest in a quadrant.

    Attributes
    ----------
    name : str
        As in `EXTREMES`.
    time : float or None
        Seconds; None if the file is never in that quadrant.
    valence, arousal : float or None
        There.
    """

    name: str
    time: float | None
    valence: float | None
    arousal: float | None


@dataclass(frozen=True)
class Range:
    """Of valence or arousal.

    Attributes
    ----------
    mean, least, greatest : float
        Over the music.
    std : float or None
        Mean of the standard deviations; None if the model gives none.
    """

    mean: float
    least: float
    greatest: float
    std: float | None


@dataclass(frozen=True)
class Summary:
    """A file in numbers; those of its mood leave out where the model warmed up, unless that is all there is.

    Attributes
    ----------
    duration : float
        Seconds.
    valence, arousal : Range or None
        None if nothing but silence was heard.
    quadrants : tuple of float
        Share of the music in each quadrant, in the order of `EXTREMES`; they add up to 1, or are all 0 in silence.
    moments : tuple of Moment
        In the order of `EXTREMES`.
    silence, warming : float
        Seconds of silence, and of music before the model had heard enough for a full estimate.
    loudness, peak : float
        dBFS: of the mean power, and of the largest sample.
    """

    duration: float
    valence: Range | None
    arousal: Range | None
    quadrants: tuple[float, float, float, float]
    moments: tuple[Moment, Moment, Moment, Moment]
    silence: float
    warming: float
    loudness: float
    peak: float

    @property
    def word(self) -> str:
        """The mood on the whole, in a word."""
        valence, arousal = self.means
        return SILENCE if valence is None or arousal is None else mood_word(valence, arousal)

    @property
    def means(self) -> tuple[float | None, float | None]:
        """Valence and arousal on the whole; None in silence."""
        if self.valence is None or self.arousal is None:
            return None, None
        return self.valence.mean, self.arousal.mean


def summarise(hearing: Hearing) -> Summary:
    """Make the numbers.

    Parameters
    ----------
    hearing : Hearing
        What was heard of a file.

    Returns
    -------
    Summary
    """
    curve = hearing.curve
    heard = curve.heard
    valence, arousal = curve.valence[curve.settled], curve.arousal[curve.settled]
    quadrants = [
        float(np.mean(((valence >= 0) == (one > 0)) & ((arousal >= 0) == (other > 0)))) if heard.any() else 0.0
        for _, one, other in EXTREMES
    ]
    moments = [_moment(curve, *extreme) for extreme in EXTREMES]
    return Summary(
        hearing.duration,
        _range(valence, curve.valence_std[curve.settled]),
        _range(arousal, curve.arousal_std[curve.settled]),
        (quadrants[0], quadrants[1], quadrants[2], quadrants[3]),
        (moments[0], moments[1], moments[2], moments[3]),
        min(float(np.count_nonzero(~heard)) * curve.step, hearing.duration),
        float(np.count_nonzero(curve.warming)) * curve.step,
        10 * float(np.log10(np.maximum(np.mean(10 ** (curve.loudness / 10)), 1e-20))),
        _peak(hearing.waveform),
    )


def in_words(summary: Summary, sections: Sequence[Section]) -> list[str]:
    """Say it in sentences, plain text.

    Parameters
    ----------
    summary : Summary
    sections : list of Section
        Of the same file.

    Returns
    -------
    list of str
        Two to four.
    """
    if summary.valence is None or summary.arousal is None:
        return ["There is nothing but silence in this file, so there is no mood to report."]
    sentences = [
        f"On the whole, the music is {summary.word}: valence {signed(summary.valence.mean)}, "
        f"arousal {signed(summary.arousal.mean)}.",
        _course([section for section in sections if section.word != SILENCE]),
        _peaks(summary),
    ]
    asides = []
    if summary.silence:
        asides.append(f"{length_text(summary.silence)} of {length_text(summary.duration)} is silence")
    if summary.warming:
        asides.append(
            f"for {length_text(summary.warming)} the model had not heard enough yet for more than a first guess"
        )
    if asides:
        text = " and ".join(asides)
        sentences.append(f"{text[0].upper()}{text[1:]}.")
    return sentences


def _course(sections: Sequence[Section]) -> str:
    steps = [(one.word, one.start) for one in sections]
    steps = [step for number, step in enumerate(steps) if not number or step[0] != steps[number - 1][0]]
    words = [word for word, _ in steps]
    if len(steps) == 1:
        return f"It stays {words[0]} from beginning to end."
    if len(steps) <= MOST_STEPS:
        turns = join([f"{word} at {time_text(start)}" for word, start in steps[1:]])
        return f"It begins {words[0]} and turns {turns}."
    lengths: Counter[str] = Counter()
    for one in sections:
        lengths[one.word] += round(one.end - one.start)
    common = [f"{word} ({percent(length / lengths.total())})" for word, length in lengths.most_common(3)]
    return f"It changes {len(steps) - 1} times, from {words[0]} to {words[-1]}, and is mostly {join(common)}."


def _peaks(summary: Summary) -> str:
    joy, tension = summary.moments[:2]
    found = [f"{one.name} at {time_text(one.time)}" for one in (joy, tension) if one.time is not None]
    absent = [word for word, one in (("joyful", joy), ("tense", tension)) if one.time is None]
    if not found:
        return f"No moment of it is {join(absent, 'or')}."
    return f"It is {join(found)}{f'; no moment of it is {absent[0]}' if absent else ''}."


def _range(values: Values, stds: Values) -> Range | None:
    if not len(values):
        return None
    known = stds[~np.isnan(stds)]
    std = float(known.mean()) if len(known) else None
    return Range(float(values.mean()), float(values.min()), float(values.max()), std)


def _moment(curve: Curve, name: str, valence: int, arousal: int) -> Moment:
    candidates = curve.settled & (curve.valence * valence > 0) & (curve.arousal * arousal > 0)
    if not candidates.any():
        return Moment(name, None, None, None)
    depth = np.where(candidates, curve.valence * valence + curve.arousal * arousal, -np.inf)
    at = int(depth.argmax())
    return Moment(name, at * curve.step, float(curve.valence[at]), float(curve.arousal[at]))


def _peak(waveform: Waveform) -> float:
    largest = float(waveform.peak.max(initial=0.0))
    return 20 * float(np.log10(largest)) if largest > 0 else _QUIETEST
