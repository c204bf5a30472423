"""Last values for late subscribers, a few at a time: all of them at once would hold live messages up.

ZeroMQ sends a last value to everybody who subscribes to its topic, so what need not be sent is worth finding: a topic
of which a live message leaves in the meantime has been answered by that, for all who have come by then.
"""

from __future__ import annotations

import math
import time
from itertools import islice

from streamer.last_values import LastValues
from streamer.messages import ESTIMATE_TOPIC, STATUS_TOPIC

_SLICE = 64
"""Last values that are sent before there is time for live messages."""


class Repeats:
    """Keeps last values, and gives those that somebody has asked for and that no live message has answered.

    Parameters
    ----------
    at_once : int
        Deliveries, one of a message to one subscriber, that there may be at once.
    per_second : int
        Deliveries per second after those.
    """

    def __init__(self, at_once: int, per_second: int) -> None:
        self._values = LastValues()
        self._at_once, self._per_second = at_once, per_second
        self._waiting: dict[bytes, list[bytes]] = {}
        self._left = float(at_once)
        self._cost = 1
        self._counted = -math.inf

    @property
    def due(self) -> float:
        """When `take` will have something, in monotonic seconds; infinite if nothing was asked for."""
        if not self._waiting:
            return self._values.due
        return min(self._values.due, self._counted + max(0.0, self._cost - self._left) / self._per_second)

    def remember(self, stream: str, frames: list[bytes]) -> None:
        """Keep a message that is being sent instead of the one before it.

        Parameters
        ----------
        stream : str
            Its stream.
        frames : list of bytes
            Its topic and body.
        """
        self._values.remember(stream, frames)
        self._waiting.pop(frames[0], None)

    def forget(self, stream: str) -> None:
        """Drop a stream's values.

        Parameters
        ----------
        stream : str
            As remembered.
        """
        self._values.forget(stream)
        for kind in (ESTIMATE_TOPIC, STATUS_TOPIC):
            self._waiting.pop(f"{kind}{stream}/".encode(), None)

    def ask(self, prefix: bytes) -> None:
        """Ask for the topics of a subscription.

        Parameters
        ----------
        prefix : bytes
            What the topics begin with.
        """
        self._values.ask(prefix, time.monotonic())

    def take(self, now: float, subscribers: int) -> list[list[bytes]]:
        """Take what is to be sent once more now.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        subscribers : int
            How many there are, each of whom may get it.

        Returns
        -------
        list of list of bytes
            A few messages; the others come next time.
        """
        for frames in self._values.take_due(now):
            self._waiting[frames[0]] = frames
        if not self._waiting:
            return []
        self._left = min(self._at_once, self._left + (now - self._counted) * self._per_second)
        self._counted = now
        self._cost = max(1, subscribers)
        topics = list(islice(self._waiting, min(_SLICE, int(self._left) // self._cost)))
        self._left -= len(topics) * self._cost
        return [self._waiting.pop(topic) for topic in topics]
