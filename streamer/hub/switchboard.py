"""Which of the messages that reach a hub are sent on: each stream has one publisher, and nobody mixes with it.

Messages of the same run may come by several ways: through two hubs, or around a loop of hubs. The first way is taken;
another one only when nothing has come by the first for `SILENT_AFTER`, and then nothing that was there before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from streamer.limited_log import LimitedLog
from streamer.messages import FINAL_STATES, Estimate, Status
from streamer.subscriptions import Allowance

SILENT_AFTER = 3.0
"""Seconds without a message after which a stream's tracker is taken for dead, as subscribers do: statuses come every
second."""
REMEMBERED = 60.0
"""Seconds for which it is known what such a stream last said: hubs in a loop must not bring that back to life."""
MAXIMUM_STREAMS = 2048
"""Streams of one hub, those included that have ended; somewhat more than there may be publishers."""
MAXIMUM_ENDED = 512
"""Streams that have ended, and whose last values are kept for late subscribers nevertheless."""
MESSAGES_AT_ONCE = 1024
"""Messages of a stream that may come at once, such as the estimates of an eight-minute file at ``--fast``."""
MESSAGES_PER_SECOND = 64
"""Messages of a stream per second after those; three are what a live one sends."""
_MAXIMUM_RIVALS = 8
"""Other ways to a stream that are told apart."""
_UNKNOWN = -1.0

_log = logging.getLogger("moodring.hub")


@dataclass(frozen=True)
class Origin:
    """Where a message came from.

    Attributes
    ----------
    endpoint : str
        The publisher's.
    or_else : str
        The other publisher that it may have come from; empty if there is no doubt (see `streamer.hub.inlets`).
    """

    endpoint: str
    or_else: str = ""


@dataclass
class Counts:
    """What became of the messages that could be understood.

    Attributes
    ----------
    repeats : int
        Last values that a publisher sent once more, or that came again by the same way.
    duplicates : int
        Messages of a run that already came by another way.
    collisions : int
        Messages of another run by the same name, from another publisher.
    dropped : int
        Messages of a stream that sent too many, or of one stream too many.
    lost : int
        Messages that a publisher has sent, and that did not come: gaps in `sequence`.
    """

    repeats: int = 0
    duplicates: int = 0
    collisions: int = 0
    dropped: int = 0
    lost: int = 0


@dataclass
class _Stream:
    origin: Origin
    heard: float
    allowance: Allowance
    final: bool = False
    silent: bool = False
    started: float | None = _UNKNOWN
    last: dict[type, Estimate | Status] = field(default_factory=dict)
    bodies: dict[type, bytes] = field(default_factory=dict)
    rivals: dict[str, float | None] = field(default_factory=dict)

    def knows(self, status: Status) -> bool:
        """Tell whether a status is no newer than what was sent on, and not of a run that is known to be another."""
        if status.started not in (None, self.started) and self.started != _UNKNOWN:
            return False
        return any(status.time <= before.time for before in self.last.values())


class Switchboard:
    """Judges messages by where they come from; for one thread.

    Parameters
    ----------
    forget : callable
        Is told the name of a stream whose last values are not to be sent to anybody any more.

    Attributes
    ----------
    counts : Counts
        What became of them so far.
    """

    def __init__(self, forget: Callable[[str], None]) -> None:
        self.counts = Counts()
        self._forget = forget
        self._streams: dict[str, _Stream] = {}
        self._ended: dict[str, None] = {}
        self._lines = LimitedLog(_log)
        self._said = LimitedLog(_log)

    @property
    def live(self) -> int:
        """Streams that neither have ended nor are silent."""
        return sum(not (stream.final or stream.silent) for stream in list(self._streams.values()))

    def admit(self, origin: Origin, message: Estimate | Status, body: bytes, now: float) -> bool:
        """Judge a message.

        Parameters
        ----------
        origin : Origin
            Where it came from.
        message : Estimate or Status
            What it says.
        body : bytes
            How it says it.
        now : float
            Monotonic seconds.

        Returns
        -------
        bool
            Whether it is to be sent on.
        """
        stream = self._streams.get(message.stream)
        if stream is None:
            stream = self._begin(origin, message.stream, now)
            if stream is None:
                return False
        elif stream.origin.or_else:
            stream.origin = origin
        elif stream.origin.endpoint not in (origin.endpoint, origin.or_else) and (
            origin.or_else or not self._take_over(stream, origin, message)
        ):
            return False
        if stream.bodies.get(type(message)) == body:
            self.counts.repeats += 1
            return False
        stream.heard = now
        if not stream.allowance.spend(1, now):
            stream.allowance.spend(-1, now)  # dropped messages cost nothing: what it may send goes on being sent
            self._drop(message.stream, f'stream "{message.stream}" from {origin.endpoint} sends too many messages')
            return False
        self._note(stream, message, body)
        return True

    def expire(self, now: float, held_up_until: float) -> None:
        """Find out which streams have gone.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        held_up_until : float
            Until when nothing could be heard of anybody, in monotonic seconds.
        """
        for name, stream in list(self._streams.items()):
            age = now - max(stream.heard, held_up_until)
            if stream.final or age < SILENT_AFTER:
                continue
            if not stream.silent:
                stream.silent = True
                self._forget(name)
                self._said.warning(name, f'nothing comes of stream "{name}" from {stream.origin.endpoint}')
            if age >= REMEMBERED:
                del self._streams[name]

    def _begin(self, origin: Origin, name: str, now: float) -> _Stream | None:
        if len(self._streams) >= MAXIMUM_STREAMS:
            self._drop(
                "streams", f'stream "{name}" from {origin.endpoint} is one too many: there are {MAXIMUM_STREAMS}'
            )
            return None
        stream = _Stream(origin, now, Allowance(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND, now))
        self._streams[name] = stream
        return stream

    def _take_over(self, stream: _Stream, origin: Origin, message: Estimate | Status) -> bool:
        """Say whether a message by another way shows that the stream comes by that way from now on.

        Only a status does: it tells subscribers first whether what follows is another run.
        """
        if isinstance(message, Status) and (stream.final or stream.silent) and not stream.knows(message):
            self._said.warning(
                f"{message.stream} {origin.endpoint}",
                f'stream "{message.stream}" comes from {origin.endpoint} now, not from {stream.origin.endpoint}',
            )
            stream.origin = origin
            stream.rivals.clear()
            stream.last.clear()
            return True
        if isinstance(message, Status) and (origin.endpoint in stream.rivals or len(stream.rivals) < _MAXIMUM_RIVALS):
            stream.rivals[origin.endpoint] = message.started
        if self._collides(stream, origin):
            self.counts.collisions += 1
            self._lines.warning(
                f"{message.stream} {origin.endpoint}",
                f'stream "{message.stream}" comes from {stream.origin.endpoint} and from {origin.endpoint}, which is '
                "passed over; give one of them another name (--stream)",
            )
        else:
            self.counts.duplicates += 1
        return False

    @staticmethod
    def _collides(stream: _Stream, origin: Origin) -> bool:
        if origin.endpoint not in stream.rivals or stream.started == _UNKNOWN:
            return False  # it has not said yet which run it is of
        started = stream.rivals[origin.endpoint]
        return started is None or started != stream.started

    def _note(self, stream: _Stream, message: Estimate | Status, body: bytes) -> None:
        if stream.silent:
            stream.silent = False
            self._said.info(message.stream, f'stream "{message.stream}" is back')
        if isinstance(message, Status):
            if message.started != stream.started:
                stream.last.clear()
            stream.started = message.started
            stream.final = message.state in FINAL_STATES
            self._count_ended(message.stream, stream.final)
        before = stream.last.get(type(message))
        if before is not None:
            self.counts.lost += max(0, message.sequence - before.sequence - 1)
        stream.last[type(message)] = message
        stream.bodies[type(message)] = body

    def _count_ended(self, name: str, ended: bool) -> None:
        self._ended.pop(name, None)
        if ended:
            self._ended[name] = None
        if len(self._ended) > MAXIMUM_ENDED:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            del self._streams[oldest]
            self._forget(oldest)

    def _drop(self, subject: str, line: str) -> None:
        self.counts.dropped += 1
        self._lines.warning(f"dropped {subject}", f"{line}; what is too much is dropped")
