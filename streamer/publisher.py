"""Publishes estimates and statuses on a ZeroMQ XPUB socket, which one thread owns.

`XPUB` rather than `PUB`, because it shows who subscribes: a late subscriber gets the last value of each of its topics
at once (last value caching). A slow subscriber never holds the others up: what does not fit in its queue (the send
high-water mark) is dropped for it alone. Neither do those who ask for too much: `streamer.guard` and
`streamer.connections` see to that.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType

import zmq

from streamer.authentication import Authentication
from streamer.connections import Connections, limit_peers
from streamer.endpoints import EndpointError, explain_zmq_error, is_loopback, refuse_taken_path, validate_endpoint
from streamer.guard import Guard
from streamer.keys import ServerKeys
from streamer.last_values import LastValues
from streamer.limited_log import LimitedLog
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

SEND_HIGH_WATER_MARK = 1000
"""Messages that wait for one subscriber, about four minutes of one stream, before it starts to lose some."""
MAXIMUM_ENDED_STREAMS = 64
"""Streams that have ended, and whose last values are kept for late subscribers nevertheless."""
HEARD_AT_ONCE = 64
"""Messages from subscribers that are looked at before there is time for those to subscribers: a millisecond's work."""
HANDSHAKE_TIMEOUT = 3.0
"""Seconds for a peer to prove that it belongs; one that was refused tries again after so long, so it is short."""
LINGER = 1.0
"""Seconds that `close` gives the last messages to leave."""

_log = logging.getLogger("moodring.publisher")


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
        self, endpoint: str = DEFAULT_ENDPOINT, insecure: bool = False, keys: ServerKeys | None = None
    ) -> None:
        validate_endpoint(endpoint)
        if not (insecure or keys or is_loopback(endpoint)):
            raise EndpointError(
                f"{endpoint} is open to the network, unencrypted; publish on tcp://127.0.0.1:PORT, give --server-key "
                "and --allow-clients, or add --insecure"
            )
        refuse_taken_path(endpoint)
        self._context = zmq.Context()
        self._context.linger = 0
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscription and cancellation, to count each peer's
        self._socket.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.LINGER, int(LINGER * 1000))
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_TIMEOUT * 1000))
        limit_peers(self._socket)
        self._authentication: Authentication | None = None
        if keys is not None:
            keys.apply_to(self._socket)
            # libzmq counts each client's name as a message that waits, for ever: one as without keys, and one for that
            self._socket.setsockopt(zmq.RCVHWM, 2)
        self._connections = Connections(self._socket)
        if keys is not None:
            self._authentication = Authentication(self._context, keys.allow_clients, self._connections)
        self._guard = Guard(self._connections)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._connections.close()
            self._context.destroy(linger=0)
            raise EndpointError(explain_zmq_error(endpoint, error)) from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._outbox: Outbox[tuple[str, list[bytes]] | Status] = Outbox(self._context)
        self._statuses: dict[str, Status] = {}
        self._ended: dict[str, None] = {}
        self._last_values = LastValues()
        self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
        self._sent = 0
        self._faults = LimitedLog(_log)
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
            connections=len(self._connections),
            sent=self._sent,
            disconnected_floods=self._guard.floods,
            refused_handshakes=self._connections.refused,
            dropped=self._outbox.dropped,
        )

    @property
    def alive(self) -> bool:
        """Whether the publisher's thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Send what is queued, wait up to `LINGER` seconds for it to leave, and unbind. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._outbox.wake()
        self._thread.join()
        self._outbox.close_entry()
        self._context.term()

    def _run(self) -> None:
        poller = zmq.Poller()
        for readable in (self._socket, self._outbox.waker, self._connections.monitor):
            poller.register(readable, zmq.POLLIN)
        if self._authentication is not None:
            poller.register(self._authentication.zap_socket, zmq.POLLIN)
        while True:
            due = min(self._next_heartbeat, self._last_values.due, self._guard.prepare(poller)) - time.monotonic()
            ready = dict(poller.poll(max(0, int(due * 1000) + 1) if self._outbox.empty else 0))
            closed = self._closed.is_set()
            self._send_queued()
            if closed and self._outbox.empty:
                break
            self._survive(self._connections.watch)
            if self._authentication is not None and self._authentication.zap_socket in ready:
                self._survive(self._authentication.answer)
            if self._socket in ready:
                self._survive(self._hear)
            self._survive(self._guard.patrol)
            for frames in self._last_values.take_due(time.monotonic()):
                self._socket.send_multipart(frames)
            self._beat()
        self._outbox.close()
        if self._authentication is not None:
            self._authentication.stop()
        self._connections.close()
        self._socket.close()

    def _survive(self, attend: Callable[[], None]) -> None:
        """Do something for peers; if it fails for a reason that nobody thought of, the others shall hear on."""
        try:
            attend()
        except Exception as error:
            self._faults.warning(repr(error), f"cannot deal with what a peer does: {error!r}")

    def _hear(self) -> None:
        for _ in range(HEARD_AT_ONCE):
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._connections.settle()
                return
            if self._authentication is not None:
                self._authentication.heard(frame)
            prefix = self._guard.hear(frame)
            if prefix is not None:
                self._last_values.ask(prefix, time.monotonic())

    def _beat(self) -> None:
        if time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
        if self._authentication is not None:
            self._survive(self._authentication.refresh)
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
        self._last_values.remember(stream, frames)
        self._sent += 1
        self._socket.send_multipart(frames)

    def _count_ended(self, stream: str, ended: bool) -> None:
        self._ended.pop(stream, None)
        if ended:
            self._ended[stream] = None
        if len(self._ended) > MAXIMUM_ENDED_STREAMS:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._statuses.pop(oldest, None)
            self._last_values.forget(oldest)
