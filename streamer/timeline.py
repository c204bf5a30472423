"""Tells audio that comes late from audio that is missing, by the sample counter and the monotonic clock."""

from __future__ import annotations

SPAN = 10.0
"""Seconds over which the earliest arrival counts: audio comes late by chance, but never early. Two spans are kept, so
that a sound card's clock is followed: at 100 ppm it goes astray by 2 ms in the meantime."""


class Timeline:
    """Knows on the monotonic clock when a stream's positions are due, and decides when audio is missing.

    Audio that comes later than `tolerance` is either a backlog, which comes faster than it was recorded until it has
    caught up, or what follows a loss, which stays late. So the decision waits until lateness has not fallen for
    `settling` seconds.

    Parameters
    ----------
    tolerance : float
        Seconds that audio may be late.
    settling : float
        Seconds for which audio must have been late, at its own pace, before as much counts as missing.
    progress : float
        Seconds by which lateness must fall within `settling` for audio to be a backlog.
    origin : float, optional
        The monotonic time of position 0, where it is known from before.
    """

    def __init__(self, tolerance: float, settling: float, progress: float, origin: float | None = None) -> None:
        self._tolerance = tolerance
        self._settling = settling
        self._progress = progress
        self._span_start: float | None = None
        self._earliest_before = self._earliest = origin
        self._suspicion: tuple[float, float] | None = None
        self._least = 0.0

    @property
    def origin(self) -> float | None:
        """The monotonic time of position 0; None until something was observed."""
        if self._earliest is None or self._earliest_before is None:
            return self._earliest
        return min(self._earliest, self._earliest_before)

    def observe(self, position: float, now: float, strict: bool = False) -> float | None:
        """Take note that audio has come.

        Parameters
        ----------
        position : float
            Seconds of audio since the stream's beginning, up to the newest that has come.
        now : float
            Monotonic time at which it came.
        strict : bool
            Something is known to be missing, so that no lateness is tolerated.

        Returns
        -------
        float or None
            Seconds that are missing, or 0; None while that is not decided. Who calls either moves later positions by
            what is missing, or calls `shift`.
        """
        if self.origin is None:
            self._note(position, now)
            return 0.0
        lateness = now - position - self.origin
        if lateness <= (0.0 if strict else self._tolerance):
            self._suspicion = None
            self._note(position, now)
            return 0.0
        if self._suspicion is None or lateness < self._suspicion[1] - self._progress:
            self._suspicion = now, lateness
            self._least = lateness
            return None
        self._least = min(self._least, lateness)
        if now - self._suspicion[0] < self._settling:
            return None
        self._suspicion = None
        return self._least

    def shift(self, seconds: float) -> None:
        """Move all positions to later times: audio comes later from now on, and none is missing.

        Parameters
        ----------
        seconds : float
            By how much.
        """
        if self.origin is not None:
            self._earliest_before = self._earliest = self.origin + seconds
            self._span_start = None

    def _note(self, position: float, now: float) -> None:
        offset = now - position
        if self._earliest is None:
            self._earliest = offset
        if self._span_start is None:
            self._span_start = now
        if now - self._span_start >= SPAN:
            self._earliest_before, self._earliest = self._earliest, offset
            self._span_start = now
        else:
            self._earliest = min(self._earliest, offset)
