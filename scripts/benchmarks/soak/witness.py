"""What one well-behaved subscriber saw: every message in order, and what was wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.benchmarks.soak.processes import Listener

AHEAD = 0.02
"""Seconds by which an estimate's time may lie before its arrival in the future: the promise about the clock."""


@dataclass(frozen=True)
class Seen:
    """A message that arrived.

    Attributes
    ----------
    kind : {'estimate', 'status'}
        What it is.
    arrival, time : float
        UTC at which it arrived, and that it carries.
    sequence : int
        As it carries.
    state, reason : str
        As it carries; no reason if it is an estimate.
    position, dropped : float
        As it carries; 0 if it carries none.
    run : float
        When the tracker's run began, as its last status says.
    """

    kind: str
    arrival: float
    time: float
    sequence: int
    state: str
    reason: str
    position: float
    dropped: float
    run: float


class Witness:
    """A well-behaved subscriber in another process, and its memory in this one.

    Parameters
    ----------
    endpoint : str
        Where to subscribe.

    Attributes
    ----------
    messages : list of Seen
        All that came; a few per second.
    lost : int
        Messages whose sequence was passed over within one run of the tracker.
    backwards : int
        Estimates whose time does not lie after the one before, or lies ahead of their arrival.
    """

    def __init__(self, endpoint: str) -> None:
        self.messages: list[Seen] = []
        self.lost = 0
        self.backwards = 0
        self._run = 0.0
        self._last: dict[str, Seen] = {}
        self._changed = threading.Condition()
        self._listener = Listener(endpoint, self._take)

    def wait(self, condition: Callable[[Seen], bool], since: float, timeout: float) -> Seen | None:
        """Wait for a message.

        Parameters
        ----------
        condition : callable
            What it is like.
        since : float
            UTC; earlier arrivals do not count.
        timeout : float
            Seconds.

        Returns
        -------
        Seen or None
            The first such message; None if none came in time.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for seen in self.since(since):
                    if condition(seen):
                        return seen
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return None

    def since(self, arrival: float) -> list[Seen]:
        """Give what arrived after a moment, oldest first."""
        start = len(self.messages)
        while start and self.messages[start - 1].arrival >= arrival:
            start -= 1
        return self.messages[start:]

    def close(self) -> None:
        """End the subscriber."""
        self._listener.close()

    def _take(self, line: list[Any]) -> None:
        kind, arrival, sequence, when = line[:4]
        if kind == "status":
            state, dropped, reason, run = line[4:]
            if run != self._run:
                self._run = run
                self._last.clear()
            seen = Seen(kind, arrival, when, sequence, state, reason, 0.0, dropped, run)
        else:
            seen = Seen(kind, arrival, when, sequence, line[5], "", line[4], 0.0, self._run)
        with self._changed:
            self._check(seen)
            self._last[kind] = seen
            self.messages.append(seen)
            self._changed.notify_all()

    def _check(self, seen: Seen) -> None:
        before = self._last.get(seen.kind)
        if before is not None:
            # a new run's first estimate may come before its first status: then the sequence begins anew
            self.lost += max(0, seen.sequence - before.sequence - 1)
        if seen.kind == "estimate":
            earlier = before is not None and seen.sequence > before.sequence and seen.time <= before.time
            self.backwards += earlier or seen.time > seen.arrival + AHEAD
