"""Stretches of like mood in a row of estimates, long enough to be read: what subtitles show.

An estimate twice a second would flicker, and its word with it. So the word is that of the mean over `SHORTEST` seconds,
and stretches that follow each other with the same word are one cue. Where there is no estimate there is no cue.

Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from streamer.circumplex import mood_word

SHORTEST = 2.0
"""Seconds that a cue lasts at least, where the music does: enough to read a word and two numbers."""


@dataclass(frozen=True)
class Cue:
    """A stretch of like mood.

    Attributes
    ----------
    start, end : float
        Seconds.
    word : str
        As `streamer.circumplex.mood_word` gives it.
    valence, arousal : float
        Their means, in [-1, 1].
    """

    start: float
    end: float
    word: str
    valence: float
    arousal: float


class _Stretch:
    def __init__(self, start: float) -> None:
        self.start = self.end = start
        self.rows = 0
        self.word = ""
        self._valence = self._arousal = 0.0

    def add(self, end: float, valence: float, arousal: float) -> None:
        self.end = end
        self.rows += 1
        self._valence += valence
        self._arousal += arousal

    def join(self, other: _Stretch) -> None:
        self.end = other.end
        self.rows += other.rows
        self._valence += other._valence
        self._arousal += other._arousal

    def finish(self) -> Cue:
        valence, arousal = self._valence / self.rows, self._arousal / self.rows
        return Cue(self.start, self.end, self.word or mood_word(valence, arousal), valence, arousal)


class CueMaker:
    """Makes cues of estimates that follow each other without gaps, such as a file's.

    Parameters
    ----------
    lag : float
        How many seconds before its position the instant lies that each estimate describes.
    """

    def __init__(self, lag: float = 0.0) -> None:
        self._lag = lag
        self._step: float | None = None
        self._stretch: _Stretch | None = None
        self._cue: _Stretch | None = None

    def push(self, position: float, valence: float | None, arousal: float | None) -> Iterator[Cue]:
        """Take the next estimate.

        Parameters
        ----------
        position : float
            Seconds from the beginning to its frame's end; the first one's is how long a frame is.
        valence, arousal : float or None
            In [-1, 1]; None where there is nothing to be estimated.

        Yields
        ------
        Cue
            Each that is complete by now.
        """
        if self._step is None:
            self._step = position
        if valence is None or arousal is None:
            yield from self.finish()
            return
        end = position - self._lag
        if self._stretch is None:
            self._stretch = _Stretch(max(0.0, end - self._step))
        self._stretch.add(end, valence, arousal)
        if self._stretch.rows >= math.ceil(SHORTEST / self._step):
            yield from self._complete(self._stretch)
            self._stretch = None

    def _complete(self, stretch: _Stretch) -> Iterator[Cue]:
        stretch.word = stretch.finish().word
        if self._cue is not None and self._cue.word == stretch.word:
            self._cue.join(stretch)
            return
        if self._cue is not None:
            yield self._cue.finish()
        self._cue = stretch

    def finish(self) -> Iterator[Cue]:
        """End what is at hand: what is left is shorter than a cue, and goes to the one before it if there is one.

        Yields
        ------
        Cue
            The last one before silence, or the end.
        """
        last, self._cue = self._cue, None
        rest, self._stretch = self._stretch, None
        if last is not None and rest is not None:
            last.join(rest)
        last = last or rest
        if last is not None:
            yield last.finish()
