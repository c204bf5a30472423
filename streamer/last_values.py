"""The last message of each topic, which a late subscriber gets at once (last value caching).

ZeroMQ cannot send to one subscriber alone, so a last value goes to everybody who subscribes to its topic. So that is
done for all who come in a tenth of a second together, and less often while they go on coming: a peer that subscribes
again and again must not multiply what the others receive. What has left since the last of them came, all of them have.

Source: "The ZeroMQ Guide", chapter 5, "Last Value Caching".
"""

from __future__ import annotations

import math
from typing import NamedTuple

REPEAT_INTERVAL = 0.1
"""Seconds between two repetitions of last values; what is asked for in between waits."""
REPEATS_AT_ONCE = 10
"""Repetitions that may follow each other as fast as that."""
REPEATS_PER_SECOND = 3
"""Repetitions per second after those: about as often as new messages of a stream come, which serve as well."""
MAXIMUM_PREFIXES = 64
"""Different subscriptions to tell apart in that time; with more of them, everything is repeated."""


class _Value(NamedTuple):
    frames: list[bytes]
    asked_before: int
    """Askings by the time that it was sent: who asked by then has it."""


class LastValues:
    """Keeps the last values, and says when which of them is to be sent once more.

    Attributes
    ----------
    due : float
        When `take_due` will have something, on the clock of `ask`; infinite if nothing was asked for.
    """

    def __init__(self) -> None:
        self.due = math.inf
        self._values: dict[str, dict[bytes, _Value]] = {}
        self._prefixes: dict[bytes, int] = {}  # and which of all askings was the last one for it
        self._askings = 0
        self._repeated = -math.inf
        self._left = float(REPEATS_AT_ONCE)
        self._counted = -math.inf

    def __len__(self) -> int:
        return sum(map(len, self._values.values()))

    def remember(self, stream: str, frames: list[bytes]) -> None:
        """Keep a message instead of the one before it.

        Parameters
        ----------
        stream : str
            Its stream.
        frames : list of bytes
            Its topic and body.
        """
        self._values.setdefault(stream, {})[frames[0]] = _Value(frames, self._askings)

    def forget(self, stream: str) -> None:
        """Drop the values of a stream that has gone.

        Parameters
        ----------
        stream : str
            As remembered.
        """
        self._values.pop(stream, None)

    def ask(self, prefix: bytes, now: float) -> None:
        """Ask for the topics of a subscription.

        Parameters
        ----------
        prefix : bytes
            What the topics begin with.
        now : float
            Monotonic seconds.
        """
        self._askings += 1
        if prefix not in self._prefixes and len(self._prefixes) >= MAXIMUM_PREFIXES:
            self._prefixes.clear()
            prefix = b""
        self._prefixes[prefix] = self._askings
        self._left = min(REPEATS_AT_ONCE, self._left + (now - self._counted) * REPEATS_PER_SECOND)
        self._counted = now
        allowed = now + max(0.0, 1 - self._left) / REPEATS_PER_SECOND
        self.due = min(self.due, max(allowed, self._repeated + REPEAT_INTERVAL))

    def take_due(self, now: float) -> list[list[bytes]]:
        """Take what is to be sent once more.

        Parameters
        ----------
        now : float
            Monotonic seconds.

        Returns
        -------
        list of list of bytes
            Each last value that somebody has asked for after it was sent, once; empty before it is due.
        """
        if now < self.due:
            return []
        prefixes, self._prefixes = tuple(self._prefixes.items()), {}
        self._repeated, self.due = now, math.inf
        self._left -= 1
        values = (value for topics in self._values.values() for value in topics.values())
        return [
            value.frames
            for value in values
            if any(asking > value.asked_before and value.frames[0].startswith(prefix) for prefix, asking in prefixes)
        ]
