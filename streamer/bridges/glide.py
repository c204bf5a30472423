"""Values on their way to a target, as functions of time: how often they are asked changes nothing."""

from __future__ import annotations

import math

Numbers = tuple[float, ...]


class Glide:
    """Numbers that go to a target together, exponentially or in a straight line.

    Parameters
    ----------
    value : tuple of float
        Where it starts, and stays until it is given a target.
    """

    def __init__(self, value: Numbers) -> None:
        self._start = self._target = value
        self._since = 0.0
        self._constant = 0.0
        self._duration = 0.0

    def value(self, now: float) -> Numbers:
        """Return where it is.

        Parameters
        ----------
        now : float
            Seconds, on the clock that `aim` and `fade` were called with.

        Returns
        -------
        tuple of float
        """
        gone = now - self._since
        if self._constant > 0:
            rest = math.exp(-max(0.0, gone) / self._constant)
        else:
            rest = min(1.0, max(0.0, 1 - gone / self._duration)) if self._duration > 0 else 0.0
        if rest == 0:
            return self._target
        return tuple(end + (start - end) * rest for start, end in zip(self._start, self._target, strict=True))

    def aim(self, target: Numbers, now: float, attack: float, release: float) -> None:
        """Go to a target exponentially.

        Parameters
        ----------
        target : tuple of float
            As many numbers as before.
        now : float
            Seconds.
        attack, release : float
            Seconds in which it goes two thirds (1 - 1/e) of its way when the numbers' sum rises, and when it falls; 0
            jumps.
        """
        value = self.value(now)
        self._begin(value, target, now)
        self._constant = attack if sum(target) > sum(value) else release

    def fade(self, target: Numbers, now: float, seconds: float) -> None:
        """Go to a target in a straight line.

        Parameters
        ----------
        target : tuple of float
            As many numbers as before.
        now : float
            Seconds.
        seconds : float
            How long it takes; 0 jumps.
        """
        self._begin(self.value(now), target, now)
        self._duration = seconds

    def _begin(self, start: Numbers, target: Numbers, now: float) -> None:
        self._start, self._target, self._since = start, target, now
        self._constant = self._duration = 0.0
