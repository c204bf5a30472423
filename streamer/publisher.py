"""Publishes estimates and statuses on a ZeroMQ XPUB socket (`streamer.outlet`), which one thread owns.

A late subscriber gets the last value of each of its topics at once (last value caching). A slow subscriber never holds
the others up: what does not fit in its queue (the send high-water mark) is dropped for it alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

import zmq

from streamer.keys import ServerKeys
from streamer.messages import (
    DEFAULT_ENDPOINT,
    FINAL_STATES,
    HEARTBEAT_INTERVAL,
    Estimate,
    Status,
    StreamState,
    encode,
    validate_stream_name,
)
from streamer.outbox import Outbox
from streamer.outlet import Outlet
from streamer.repeats import Repeats

SEND_HIGH_WATER_MARK = 1000
"""Messages that wait for one subscriber, about four minutes of one stream, before it starts to lose some."""
MAXIMUM_ENDED_STREAMS = 64
"""Streams that have ended, and whose last values are kept for late subscribers nevertheless."""
REPEATED_AT_ONCE = 512
"""Deliveries of last values, one to each subscriber, that there may be at once: of all streams to a few, or of a few
messages to 200, who get them in as many milliseconds."""
REPEATED_PER_SECOND = 1 << 14
"""Deliveries per second after those, so that a live message never waits for more than one or two of them."""
HEARTBEAT_LEEWAY = 0.05
"""Seconds by which a heartbeat may be early or late, so that it leaves with an estimate: to wake up costs more."""
HANDSHAKE_TIMEOUT = 3.0
"""Seconds for a peer to prove that it belongs; one that was refused tries again after so long, so it is short."""


@dataclass(frozen=True)
class PublisherStatistics:
    """What a publisher has done so far.

    Attributes
    ----------
    connections : int
        Connections that are open now, those included whose handshake is not complete.
    sent : int
        Estimates and statuses sent, each counted once however many subscribe to it.
    disconnected_floods : int
        Connections that were ended because of what they sent: too many subscriptions, or too fast.
    refused_handshakes : int
        Connections that ended before their handshake was complete, or were too many.
    dropped : int
        Estimates and statuses that were not sent, because the publisher's thread was held up.
    """

    connections: int
    sent: int
    disconnected_floods: int
    refused_handshakes: int
    dropped: int


class Publisher:
    """Owns the socket; `publish` and `set_status` may be called from any thread.

    Parameters
    ----------
    endpoint : str
        Where to bind.
    insecure : bool
        Allow an endpoint that other machines can reach, although nothing is encrypted.
    keys : ServerKeys, optional
        Encrypt everything, and let nobody subscribe but those whose public keys are in its folder, at any time.
    on_sent : callable, optional
        Is shown the frames of every message when it is sent, in the publisher's thread: it must not wait.

    Attributes
    ----------
    endpoint : str
        Where it is bound; a port given as ``*`` is replaced by the one that was free.

    Raises
    ------
    streamer.endpoints.EndpointError
        If the endpoint is malformed, taken, the path of an existing file, or open to the network without `insecure`
        or `keys`.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        insecure: bool = False,
        keys: ServerKeys | None = None,
        on_sent: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        self._outlet = Outlet(endpoint, insecure, keys, SEND_HIGH_WATER_MARK, HANDSHAKE_TIMEOUT)
        self.endpoint = self._outlet.endpoint
        self._outbox: Outbox[tuple[str, list[bytes]] | Status] = Outbox(self._outlet.context)
        self._statuses: dict[str, Status] = {}
        self._ended: dict[str, None] = {}
        self._repeats = Repeats(REPEATED_AT_ONCE, REPEATED_PER_SECOND)
        self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
        self._sent = 0
        self._on_sent = on_sent
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def publish(self, estimate: Estimate) -> None:
        """Send an estimate.

        Parameters
        ----------
        estimate : Estimate
            With the next `sequence` of its stream.
        """
        self._outbox.put((estimate.stream, encode(estimate)))

    def set_status(
        self, stream: str, state: StreamState, dropped: float = 0.0, reason: str = "", invalid: int = 0
    ) -> None:
        """Send a stream's status now, and again every second until the next one.

        Parameters
        ----------
        stream : str
            The stream's name.
        state : StreamState
            How it is doing; ``ended`` and ``failed`` are sent once.
        dropped : float
            Seconds of audio lost so far.
        reason : str
            Why.
        invalid : int
            Samples so far that were not finite.

        Raises
        ------
        streamer.messages.MessageError
            If the name cannot be part of a topic.
        """
        validate_stream_name(stream)
        self._outbox.put(Status(stream, 0, 0.0, state, dropped, reason, invalid))

    def statistics(self) -> PublisherStatistics:
        """Tell what has happened so far; from any thread.

        Returns
        -------
        PublisherStatistics
        """
        return PublisherStatistics(
            connections=self._outlet.connections,
            sent=self._sent,
            disconnected_floods=self._outlet.floods,
            refused_handshakes=self._outlet.refused,
            dropped=self._outbox.dropped,
        )

    @property
    def alive(self) -> bool:
        """Whether the publisher's thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Send what is queued, give it `streamer.outlet.LINGER` seconds to leave, and unbind. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._outbox.wake()
        self._thread.join()
        self._outbox.close_entry()
        self._outlet.context.term()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._outbox.waker, zmq.POLLIN)
        while True:
            heartbeat = self._next_heartbeat + HEARTBEAT_LEEWAY
            due = min(heartbeat, self._repeats.due, self._outlet.prepare(poller)) - time.monotonic()
            ready = dict(poller.poll(max(0, int(due * 1000) + 1) if self._outbox.empty else 0))
            closed = self._closed.is_set()
            self._send_queued()
            if closed and self._outbox.empty:
                break
            self._outlet.attend(ready, self._repeats.ask)
            for frames in self._repeats.take(time.monotonic(), self._outlet.connections):
                self._outlet.send(frames)
            self._beat()
        self._outbox.close()
        self._outlet.close()

    def _beat(self) -> None:
        if time.monotonic() < self._next_heartbeat - HEARTBEAT_LEEWAY:
            return
        self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
        self._outlet.refresh()
        for status in self._statuses.values():
            if status.state not in FINAL_STATES:
                self._send_status(status)

    def _send_queued(self) -> None:
        for item in self._outbox.take():
            if isinstance(item, Status):
                self._send_status(item)
                self._count_ended(item.stream, item.state in FINAL_STATES)
            else:
                stream, frames = item
                self._send(stream, frames)
                if stream not in self._statuses:
                    self._count_ended(stream, True)

    def _send_status(self, status: Status) -> None:
        before = self._statuses.get(status.stream)
        now = time.time()
        goes_on = before is not None and (before.state not in FINAL_STATES or status.state in FINAL_STATES)
        if before is not None and status.state == "starting" != before.state:
            goes_on = False  # a source that has failed was opened again: positions and sequences begin anew
        started = before.started if before is not None and goes_on else now
        status = replace(status, sequence=before.sequence + 1 if before else 0, time=now, started=started)
        self._statuses[status.stream] = status
        self._send(status.stream, encode(status))

    def _send(self, stream: str, frames: list[bytes]) -> None:
        self._repeats.remember(stream, frames)
        self._sent += 1
        self._outlet.send(frames)
        if self._on_sent is not None:
            self._on_sent(frames)

    def _count_ended(self, stream: str, ended: bool) -> None:
        self._ended.pop(stream, None)
        if ended:
            self._ended[stream] = None
        if len(self._ended) > MAXIMUM_ENDED_STREAMS:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._statuses.pop(oldest, None)
            self._repeats.forget(oldest)
