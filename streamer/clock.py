"""Turns positions in a stream into UTC, following the sound card's clock against the system's."""

from __future__ import annotations

SLEW_RATE = 5e-3
"""Largest correction, in seconds per second of audio: fifty times the drift of a poor sound card."""
MINIMUM_SPAN = 10.0
"""Seconds of audio over which the earliest arrival counts: blocks come late by chance, but never early."""
STEP = 1.0
"""Seconds by which the system clock must have jumped forward to be followed at once."""
SETTLING_RATE = 0.5
"""Largest correction backwards, in seconds per second of audio, for `MINIMUM_SPAN` after a loss: how much was lost may
have been guessed badly."""
DOUBT = 2.0
"""Seconds of audio after a loss during which late arrivals prove nothing: there may be a backlog."""


class StreamClock:
    """The UTC time of a stream's positions; it never goes backwards.

    A block's arrival time is its capture time plus a delay that varies. The smallest difference between arrival
    and position within `MINIMUM_SPAN` is therefore the best guess of when position 0 was, and the clock moves
    towards it by `SLEW_RATE` at most. How much audio was lost may not be known exactly, so after a loss the clock
    begins anew, and follows what arrives faster.
    """

    def __init__(self) -> None:
        self._span_start = 0.0
        self._minimum_before: float | None = None
        self._minimum: float | None = None
        self._origin: float | None = None
        self._told = 0.0
        self._resumed = -MINIMUM_SPAN

    def resume(self, position: float) -> None:
        """Take note that audio was lost; what was observed before says little about what comes now.

        Parameters
        ----------
        position : float
            Seconds of audio since the stream began, up to the end of the loss.
        """
        self._minimum_before = self._minimum = None
        self._resumed = position

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
        observed = [minimum for minimum in (self._minimum_before, self._minimum) if minimum is not None]
        if self._origin is None:
            if not observed:
                raise ValueError("no arrival has been observed yet")
            self._origin = min(observed)
        elif observed:
            self._origin += self._correction(min(observed) - self._origin, position)
        self._told = position
        return self._origin + position

    def _correction(self, wanted: float, position: float) -> float:
        passed = position - self._told
        slowest, fastest = -SLEW_RATE * passed, SLEW_RATE * passed
        if position < self._resumed + MINIMUM_SPAN:
            slowest = -SETTLING_RATE * passed
            fastest = 0.0 if position < self._resumed + DOUBT else wanted
        elif wanted >= STEP:
            fastest = wanted
        if self._resumed > self._told:
            # the loss itself may be corrected away, but no more: time would go backwards
            slowest = min(slowest, self._told - self._resumed)
        return max(slowest, min(fastest, wanted))
