"""A sound card that is not there: hours of generated music, a clock that is off, uneven delivery, and losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.features import FloatArray
from streamer.source import Block

SAMPLE_RATE = 44100
BEGAN = 1.8e9
"""UTC at which the simulated card began; any will do."""
DRIFT = 1e-4
"""Share by which the card's clock is off: slow in the first half, fast in the second."""
LONGEST_DELAY = 0.06
"""Seconds that a block usually comes late at most; one in a hundred comes up to a second late."""
LOSSES_PER_HOUR = 4
_LONGEST_LOSS = 5.0
_BAR = 2 * SAMPLE_RATE


class Music:
    """Chords for ever, no bar like another, rests among them; holds one bar at a time.

    Parameters
    ----------
    seed : int
        What to play.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        time = np.arange(_BAR) / SAMPLE_RATE
        pitches = 110 * 2 ** (np.arange(24) / 12)
        self._notes = np.stack(
            [
                sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 5)) * np.exp(-1.5 * (time % 0.5))
                for pitch in pitches
            ]
        ).astype(np.float32)
        self._bar = np.zeros(0, np.float32)

    def take(self, samples: int) -> FloatArray:
        """Play on.

        Parameters
        ----------
        samples : int
            At most a bar's.

        Returns
        -------
        ndarray of float32, shape (samples, 1)
        """
        if len(self._bar) < samples:
            self._bar = np.concatenate([self._bar, self._next_bar()])
        taken, self._bar = self._bar[:samples], self._bar[samples:]
        return taken[:, np.newaxis]

    def _next_bar(self) -> FloatArray:
        if self._random.random() < 0.02:
            return np.zeros(2 * _BAR, np.float32)
        root, third = self._random.integers(0, 17), self._random.integers(3, 5)
        gain = np.float32(10 ** self._random.uniform(-2, -0.8))
        bar: FloatArray = gain * self._notes[[root, root + third, root + 7]].sum(axis=0)
        return bar


@dataclass(frozen=True)
class Loss:
    """Samples that never came.

    Attributes
    ----------
    start, end : int
        Where they would have been, lost ones included.
    """

    start: int
    end: int


class SimulatedCard:
    """A live source that delivers as fast as it is read, and says when a real one would have.

    Parameters
    ----------
    hours : float
        How much audio there is.
    seed : int
        What is played, lost and late.
    """

    name = "a simulated sound card"
    live = True
    zeros_hint = ""
    sample_rate = SAMPLE_RATE

    def __init__(self, hours: float, seed: int) -> None:
        self.total = round(hours * 3600 * SAMPLE_RATE)
        self.losses = _losses(self.total, hours, seed)
        self._seed = seed
        self._closed = False

    def time(self, sample: int) -> float:
        """Tell the UTC at which a sample was captured, the card being off by `DRIFT`."""
        turn = self.total // 2
        return BEGAN + (min(sample, turn) * (1 + DRIFT) + max(0, sample - turn) * (1 - DRIFT)) / SAMPLE_RATE

    def blocks(self) -> Iterator[Block]:
        """Yield the audio in blocks of 20 to 200 ms."""
        random = np.random.default_rng(self._seed + 1)
        music = Music(self._seed)
        losses = iter([*self.losses, Loss(self.total, self.total)])
        loss, position, lost, arrival = next(losses), 0, 0, 0.0
        while position < self.total and not self._closed:
            size = min(int(random.integers(882, 8820)), loss.start - position)
            position += size
            delay = LONGEST_DELAY if random.random() < 0.99 else 1.0
            arrival = max(arrival, self.time(position) + delay * random.random())
            yield Block(music.take(size), lost, arrival)
            lost = 0
            if position == loss.start:
                lost, position = loss.end - loss.start, loss.end
                loss = next(losses, loss)

    def close(self) -> None:
        """Make `blocks` end after the current one."""
        self._closed = True


def _losses(total: int, hours: float, seed: int) -> list[Loss]:
    """Draw losses of 1 sample to `_LONGEST_LOSS`, one somewhere in each of as many equal parts."""
    random = np.random.default_rng(seed + 2)
    parts = max(1, round(hours * LOSSES_PER_HOUR))
    length = total // parts
    starts = [length * part + int(random.integers(length // 4, length // 2)) for part in range(parts)]
    return [Loss(start, start + 1 + int(random.integers(0, round(_LONGEST_LOSS * SAMPLE_RATE)))) for start in starts]
