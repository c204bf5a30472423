"""The SUB socket on which a hub hears its publishers, which of them each message is from, and what keeps them silent.

Source: zmq_socket_monitor(3). A message tells the descriptor that it came by (`ZMQ_SRCFD`), and the monitor tells whose
that is. While messages wait of a connection that has ended, its descriptor may be another one's already: then there
are two publishers that such a message may be from.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import zmq

from model.errors import MoodringError
from streamer.endpoints import EndpointError, explain_zmq_error
from streamer.handshakes import RETRY_INTERVAL, explain_failure
from streamer.hub.switchboard import Origin
from streamer.hub.upstreams import Upstream
from streamer.limited_log import LimitedLog
from streamer.messages import ESTIMATE_TOPIC, MAXIMUM_BODY_BYTES, STATUS_TOPIC
from streamer.peer_sockets import PeerSockets, connection_limit

QUEUE_LENGTH = 1000
"""Messages of one publisher that wait for the hub; the publisher keeps as many more, and then drops."""
EVENTS_AT_ONCE = 256
"""Events that are looked at before there is time for something else."""
_LONGEST_RETRY = 1.0
"""Seconds between two attempts to reach a publisher that is not there; shorter ones at first."""
_HEARTBEAT, _DEAD_AFTER = 2.0, 8.0
"""Seconds after which a publisher is asked whether it is there, and taken to be unreachable: a cable was pulled."""
_SPARE_DESCRIPTORS = 64
"""What a program has open besides connections."""
_QUEUED_EVENTS = 100_000
_EVENT = struct.Struct("=HI")
_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_EVENTS = (
    _FAILURES | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
)

_log = logging.getLogger("moodring.hub")


@dataclass
class _Inlet:
    upstream: Upstream
    connected: bool = False
    retry_at: float | None = None


class Inlets:
    """Connections to publishers; for the hub's thread.

    Parameters
    ----------
    upstreams : iterable of Upstream
        Whom to connect to, again and again while they are not there.

    Attributes
    ----------
    socket : zmq.Socket
        `receive` has something when it can be read.
    monitor : zmq.Socket
        `watch` is due when it can be read.

    Raises
    ------
    streamer.endpoints.EndpointError
        If an endpoint cannot be connected to.
    MoodringError
        If the system does not let the process have so many connections.
    """

    def __init__(self, upstreams: Iterable[Upstream]) -> None:
        self._all = [_Inlet(upstream) for upstream in upstreams]
        _refuse_too_many(len(self._all))
        # a context of its own: its input and output thread takes turns with the one that serves subscribers
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.linger = 0
        self.socket = self._context.socket(zmq.SUB)
        for option, value in {
            zmq.RCVHWM: QUEUE_LENGTH,
            zmq.MAXMSGSIZE: MAXIMUM_BODY_BYTES,
            zmq.RECONNECT_IVL_MAX: int(_LONGEST_RETRY * 1000),
            zmq.HEARTBEAT_IVL: int(_HEARTBEAT * 1000),
            zmq.HEARTBEAT_TIMEOUT: int(_DEAD_AFTER * 1000),
        }.items():
            self.socket.setsockopt(option, value)
        for topic in (ESTIMATE_TOPIC, STATUS_TOPIC):
            self.socket.subscribe(topic)
        self.socket.monitor("inproc://inlets", _EVENTS)
        self.monitor = self._context.socket(zmq.PAIR)
        self.monitor.setsockopt(zmq.RCVHWM, _QUEUED_EVENTS)
        self.monitor.connect("inproc://inlets")
        self._sockets = PeerSockets()
        self._lines = LimitedLog(_log)
        self._named = {inlet.upstream.endpoint: inlet for inlet in self._all}
        self._open: dict[int, Origin] = {}
        self._left: dict[int, Origin] = {}
        self._unsettled: set[int] = set()
        for inlet in self._all:
            try:
                self._connect(inlet)
            except zmq.ZMQError as error:
                self.close()
                raise EndpointError(explain_zmq_error(inlet.upstream.endpoint, error)) from error

    def __len__(self) -> int:
        return len(self._all)

    @property
    def connected(self) -> int:
        """Publishers whose handshake is complete."""
        return sum(inlet.connected for inlet in self._all)

    def receive(self) -> tuple[Origin | None, list[bytes]] | None:
        """Take a message.

        Returns
        -------
        tuple of Origin and list of bytes, or None
            Where it came from, None if that is not known any more, and its frames, of which a third stands for all
            that follow. None if no message waits.
        """
        try:
            first = self.socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            self._settle()
            return None
        frames = [first.bytes]
        more = first.more
        while more:
            frame = self.socket.recv()
            more = bool(self.socket.getsockopt(zmq.RCVMORE))
            if len(frames) < 3:
                frames.append(frame)
        descriptor = int(first.get(zmq.SRCFD))
        if descriptor not in self._open and descriptor not in self._left:
            self.watch()  # its first message came before the news that it is connected was looked at
        return self._open.get(descriptor) or self._left.get(descriptor), frames

    def watch(self) -> None:
        """Learn what has happened, up to `EVENTS_AT_ONCE` events of it."""
        for _ in range(EVENTS_AT_ONCE):
            try:
                event, endpoint = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            kind, value = _EVENT.unpack(event)
            self._take(kind, value, endpoint.decode("utf-8", "replace"))

    def retry(self) -> None:
        """Try again where libzmq has given up; to be called once a second."""
        now = time.monotonic()
        for inlet in self._all:
            if inlet.retry_at is not None and now >= inlet.retry_at:
                inlet.retry_at = None
                with suppress(zmq.ZMQError):
                    self.socket.disconnect(inlet.upstream.endpoint)
                with suppress(zmq.ZMQError):
                    self._connect(inlet)

    def close(self) -> None:
        """Disconnect from all."""
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)
        self._sockets.close()
        self._context.term()

    def _settle(self) -> None:
        """Learn that no message waits: what comes by a descriptor that was used again is the new connection's."""
        self._left.clear()
        for descriptor in self._unsettled & self._open.keys():
            self._open[descriptor] = Origin(self._open[descriptor].endpoint)
        self._unsettled.clear()

    def _connect(self, inlet: _Inlet) -> None:
        if inlet.upstream.keys is not None:
            inlet.upstream.keys.apply_to(self.socket)  # a socket's connections keep what was set when they began
        self.socket.connect(inlet.upstream.endpoint)

    def _take(self, event: int, value: int, name: str) -> None:
        if event == zmq.EVENT_CONNECTED:
            self._connected(value, name)
            return
        if event == zmq.EVENT_DISCONNECTED:
            self._disconnected(value)
            return
        inlet = self._named.get(name)
        if inlet is None:
            return
        if event == zmq.EVENT_CONNECT_RETRIED:
            inlet.retry_at = None
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            inlet.connected = True
            _log.info("connected to %s", inlet.upstream.endpoint)
        else:
            inlet.retry_at = time.monotonic() + RETRY_INTERVAL
            trouble = explain_failure(event, value, inlet.upstream.keys is not None)
            self._lines.warning(f"{name} {trouble}", f"nothing comes from {inlet.upstream.endpoint}: {trouble}")

    def _connected(self, descriptor: int, name: str) -> None:
        inlet = self._named.get(name)
        if inlet is None:
            return
        identity = self._sockets.identify(descriptor)
        if identity is not None:
            # from now on libzmq calls it by its address, whatever name it was connected to
            self._named.setdefault(f"tcp://{identity[1]}", inlet)
        inlet.retry_at = None
        endpoint = inlet.upstream.endpoint
        before = self._left.pop(descriptor, None)
        self._open[descriptor] = Origin(endpoint, "" if before is None else before.endpoint)
        if before is not None:
            self._unsettled.add(descriptor)

    def _disconnected(self, descriptor: int) -> None:
        origin = self._open.pop(descriptor, None)
        if origin is None:
            return
        self._left[descriptor] = origin
        inlet = self._named[origin.endpoint]
        inlet.connected = False
        # libzmq comes back by itself, and says so at once, but not after what it takes for an attack: a frame larger
        # than is allowed, or bytes that are not of its protocol
        inlet.retry_at = time.monotonic() + RETRY_INTERVAL
        self._lines.info(f"{origin.endpoint} gone", f"{origin.endpoint} has gone, and is waited for")


def _refuse_too_many(publishers: int) -> None:
    """Refuse what would take descriptors from subscribers: without one libzmq can neither connect nor accept."""
    subscribers = connection_limit()
    try:
        import resource
    except ImportError:
        return  # no such limit: not a POSIX system
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = publishers + subscribers + _SPARE_DESCRIPTORS
    if allowed != resource.RLIM_INFINITY and needed > allowed:
        raise MoodringError(
            f"{publishers} publishers, and as many subscribers as may come, need {needed} open files, but the system "
            f"allows {allowed}: raise that (ulimit -n), or chain hubs"
        )
