"""Publishes estimates and statuses on a ZeroMQ XPUB socket, which one thread owns.

`XPUB` rather than `PUB`, because it shows who subscribes: a late subscriber gets the last value of each of its topics
at once (last value caching). A slow subscriber never holds the others up: what does not fit in its queue (the send
high-water mark) is dropped for it alone.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from types import TracebackType

import zmq

from streamer.authentication import Authentication
from streamer.endpoints import EndpointError, explain_zmq_error, is_loopback, refuse_taken_path, validate_endpoint
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

SEND_HIGH_WATER_MARK = 1000
"""Messages that wait for one subscriber, about four minutes of one stream, before it starts to lose some."""
QUEUE_LENGTH = 256
"""Messages between the tracker and the publisher's thread; callers wait when it is full."""
HANDSHAKE_TIMEOUT = 3.0
"""Seconds for a peer to prove that it belongs; one that was refused tries again after so long, so it is short."""
LINGER = 1.0
"""Seconds that `close` gives the last messages to leave."""


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
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.LINGER, int(LINGER * 1000))
        self._authentication: Authentication | None = None
        if keys is not None:
            keys.apply_to(self._socket)
            self._socket.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_TIMEOUT * 1000))
            self._authentication = Authentication(self._context, keys.allow_clients)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise EndpointError(explain_zmq_error(endpoint, error)) from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._wake_sender, self._wake_receiver = self._wake_pair()
        self._wake_lock = threading.Lock()
        self._queue: queue.Queue[list[bytes] | Status | None] = queue.Queue(QUEUE_LENGTH)
        self._statuses: dict[str, Status] = {}
        self._last_values: dict[bytes, list[bytes]] = {}
        self._closed = False
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
        self._put(encode(estimate))

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
        self._put(Status(stream, 0, 0.0, state, dropped, reason, invalid))

    def close(self) -> None:
        """Send what is queued, wait up to `LINGER` seconds for it to leave, and unbind. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._put(None)
        self._thread.join()
        self._wake_sender.close(linger=0)
        self._context.term()

    def _wake_pair(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        receiver = self._context.socket(zmq.PAIR)
        receiver.bind("inproc://wake")
        sender = self._context.socket(zmq.PAIR)
        sender.connect("inproc://wake")
        return sender, receiver

    def _put(self, item: list[bytes] | Status | None) -> None:
        self._queue.put(item)
        with self._wake_lock:
            try:
                self._wake_sender.send(b"", zmq.NOBLOCK)
            except zmq.Again:
                return  # enough wake-ups are waiting already

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake_receiver, zmq.POLLIN)
        if self._authentication is not None:
            poller.register(self._authentication.zap_socket, zmq.POLLIN)
        next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
        while True:
            wait = max(0.0, next_heartbeat - time.monotonic())
            ready = dict(poller.poll(int(wait * 1000) + 1))
            if self._wake_receiver in ready:
                self._wake_receiver.recv()
            if self._authentication is not None and self._authentication.zap_socket in ready:
                self._authentication.answer()
            if self._socket in ready:
                self._greet(self._socket.recv())
            if not self._send_queued():
                break
            if time.monotonic() >= next_heartbeat:
                next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL
                if self._authentication is not None:
                    self._authentication.refresh()
                for status in self._statuses.values():
                    if status.state not in FINAL_STATES:
                        self._send_status(status)
        self._wake_receiver.close(linger=0)
        if self._authentication is not None:
            self._authentication.stop()
        self._socket.close()

    def _send_queued(self) -> bool:
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return True
            if item is None:
                return False
            if isinstance(item, Status):
                self._send_status(item)
            else:
                self._send(item)

    def _send_status(self, status: Status) -> None:
        before = self._statuses.get(status.stream)
        now = time.time()
        goes_on = before is not None and (before.state not in FINAL_STATES or status.state in FINAL_STATES)
        started = before.started if before is not None and goes_on else now
        status = replace(status, sequence=before.sequence + 1 if before else 0, time=now, started=started)
        self._statuses[status.stream] = status
        self._send(encode(status))

    def _send(self, frames: list[bytes]) -> None:
        self._last_values[frames[0]] = frames
        self._socket.send_multipart(frames)

    def _greet(self, subscription: bytes) -> None:
        if not subscription.startswith(b"\x01"):
            return
        for topic, frames in self._last_values.items():
            if topic.startswith(subscription[1:]):
                self._socket.send_multipart(frames)
