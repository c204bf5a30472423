"""What the live view remembers of a stream: its estimates of the last minute, and its status."""

from __future__ import annotations

from collections import deque
from typing import Final

from streamer.messages import Estimate, Status
from streamer.plane import HISTORY_SECONDS, Point

MAXIMUM_ESTIMATES: Final = 2000
"""Estimates kept of a stream, whatever their rate."""
STALE_SECONDS: Final = 5.0
"""A stream that is this far behind another one no longer counts as live."""
_FRAME_SECONDS = 0.5


class LastMinute:
    """The last minute of a stream, by position.

    Parameters
    ----------
    name : str
        The stream's name.

    Attributes
    ----------
    status : Status or None
        The last one.
    estimates : deque of Estimate
        Oldest first.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.status: Status | None = None
        self.estimates: deque[Estimate] = deque(maxlen=MAXIMUM_ESTIMATES)
        self._warming_since = 0.0

    @property
    def newest(self) -> Estimate | None:
        """The last estimate."""
        return self.estimates[-1] if self.estimates else None

    @property
    def points(self) -> list[Point]:
        """Where the stream was, oldest first."""
        return [Point(self.estimates[-1].position - e.position, e.valence, e.arousal) for e in self.estimates]

    @property
    def warmed(self) -> float:
        """Seconds since the model began to warm up."""
        return self.estimates[-1].position - self._warming_since if self.estimates else 0.0

    def add(self, estimate: Estimate) -> None:
        """Take the next estimate.

        Parameters
        ----------
        estimate : Estimate
            One with a sequence or position before the last one's means that the stream has started again; then what
            was before is forgotten. The last one again changes nothing.
        """
        newest = self.newest
        if newest is not None:
            if (newest.sequence, newest.position) == (estimate.sequence, estimate.position):
                return  # the publisher's last value, sent again to a subscriber that came back
            if estimate.sequence < newest.sequence or estimate.position < newest.position:
                self.estimates.clear()
                newest = None
        if newest is None:
            self._warming_since = 0.0
        elif estimate.state == "warming" and newest.state != "warming":
            self._warming_since = estimate.position - _FRAME_SECONDS
        self.estimates.append(estimate)
        while self.estimates[0].position < estimate.position - HISTORY_SECONDS:
            self.estimates.popleft()

    def is_live(self, now: float) -> bool:
        """Tell whether estimates are still coming.

        Parameters
        ----------
        now : float
            UTC of the newest estimate of any stream, in seconds since the epoch.

        Returns
        -------
        bool
            False if there is none within `STALE_SECONDS`, or the stream has said that it ended or failed.
        """
        ended = self.status is not None and self.status.state in ("ended", "failed")
        return self.newest is not None and not ended and self.newest.time > now - STALE_SECONDS
