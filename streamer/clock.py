"""Turns positions in a stream into UTC, following the sound card's clock against the system's."""

from __future__ import annotations

SLEW_RATE = 5e-3
"""Largest correction, in seconds per second of audio: fifty times the drift of a poor sound card."""
MINIMUM_SPAN = 10.0
"""Seconds of audio over which the earliest arrival counts: blocks come late by chance, but never early."""
STEP = 1.0
"""Seconds by which the system clock must have jumped forward to be followed at once."""


class StreamClock:
    """The UTC time of a stream's positions; it never goes backwards.

    A block's arrival time is its capture time plus a delay that varies. The smallest difference between arrival
    and position within `MINIMUM_SPAN` is therefore the best guess of when position 0 was, and the clock moves
    towards it by `SLEW_RATE` at most.
    """

    def __init__(self) -> None:
        self._span_start = 0.0
        self._minimum_before: float | None = None
        self._minimum: float | None = None
        self._origin: float | None = None
        self._told = 0.0

    def observe(self, position: float, captured: float) -> None:
        """Take note of when a position had been captured.

        Parameters
        ----------
        position : float
            Seconds of audio since the stream began.
        captured : float
            System time, UTC seconds.
        """
        difference = captured - position
        if self._minimum is None or position - self._span_start >= MINIMUM_SPAN:
            self._minimum_before, self._minimum = self._minimum, difference
            self._span_start = position
        else:
            self._minimum = min(self._minimum, difference)

    def time(self, position: float) -> float:
        """Tell when a position was.

        Parameters
        ----------
        position : float
            Seconds of audio since the stream began, not before any that was asked for already.

        Returns
        -------
        float
            UTC in seconds since the epoch.

        Raises
        ------
        ValueError
            If nothing has been observed yet.
        """
        if self._minimum is None:
            raise ValueError("no arrival has been observed yet")
        target = min(self._minimum, self._minimum if self._minimum_before is None else self._minimum_before)
        if self._origin is None:
            self._origin = target
        else:
            correction = target - self._origin
            if correction < STEP:
                largest = SLEW_RATE * (position - self._told)
                correction = max(-largest, min(largest, correction))
            self._origin += correction
        self._told = position
        return self._origin + position
