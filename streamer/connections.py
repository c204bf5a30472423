"""Who is connected to a socket, as libzmq's socket monitor tells: connections are counted, bounded and ended here.

Source: zmq_socket_monitor(3). Its events name a connection by its descriptor, but those about handshakes name none.
With one I/O thread, as a context has by default, the event after a failed handshake is that connection's end.
"""

from __future__ import annotations

import itertools
import logging
import select
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import zmq

from streamer.keys import ZAP_DOMAIN
from streamer.limited_log import LimitedLog
from streamer.peer_sockets import PeerSockets, connection_limit
from streamer.subscriptions import Account

EVENTS_AT_ONCE = 64
"""Events that are looked at before there is time for something else."""
_ACTIVE_AT_ONCE = 64
_QUEUE_LENGTH = 100_000
"""Events that may wait; libzmq's I/O thread, and with it everybody's messages, waits when there are more."""
_EVENT = struct.Struct("=HI")
_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_NEWS = zmq.EVENT_LISTENING | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
_EVENTS = _NEWS | _FAILURES
_NO_HANDSHAKE = "does not speak ZMTP 3 (not a subscriber, or one of before 2013)"
_REASONS: dict[int, str] = {
    zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: "has no key, or one where none is asked for, or is no subscriber",
    zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: "has the wrong key",
}

_DEAD_AFTER = 30.0
"""Seconds after which a peer that acknowledges nothing, or reads nothing although its buffers are full, is gone."""
_LIMITS = {
    # each read of what peers send goes on until a pass finds nothing: with room for many, a flood would never let go
    zmq.RCVHWM: 1,
    # a flood that is cut off is still read as far as the kernel has received it; a subscription takes 30 bytes
    zmq.RCVBUF: 4096,
    # otherwise the kernel keeps up to 4 MB for each peer that does not read
    zmq.SNDBUF: 65536,
    # a topic takes a tenth of it, a handshake with keys half
    zmq.MAXMSGSIZE: 1024,
    zmq.BACKLOG: 512,  # all subscribers of a large installation, switched on at once
    zmq.TCP_MAXRT: int(_DEAD_AFTER * 1000),
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 10,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 4,
}

_log = logging.getLogger("moodring.connections")
_numbers = itertools.count()


@dataclass(eq=False)
class Connection:
    """An open connection.

    Attributes
    ----------
    descriptor : int
        libzmq's.
    number : int
        Tells it from others that have the same descriptor before or after it.
    address : str
        Who is at the other end.
    account : Account
        What it has subscribed to.
    spoke : bool
        Whether a message has come from it, so that its handshake is complete.
    settled : bool
        Whether every message that comes under this descriptor is surely this connection's.
    ending : bool
        Whether it was shut down and will be gone at any moment.
    refused : bool
        Whether `Connections.refuse` was told of it.
    """

    descriptor: int
    number: int
    address: str
    account: Account = field(default_factory=lambda: Account(time.monotonic()))
    spoke: bool = False
    settled: bool = True
    ending: bool = False
    refused: bool = False

    @property
    def host(self) -> str:
        """The address without the port, which is another one each time that the peer connects."""
        return self.address.rsplit(":", 1)[0]


def limit_peers(socket: zmq.Socket[bytes]) -> None:
    """Bound what peers can make libzmq and the kernel do and keep; before the socket is bound.

    Parameters
    ----------
    socket : zmq.Socket
        One that hears nothing but subscriptions.
    """
    for option, value in _LIMITS.items():
        socket.setsockopt(option, value)
    # with a domain, although nobody is asked about it, libzmq refuses peers that speak ZMTP 1 or 2: most garbage passes
    # for one of them, they complete no handshake, and libzmq does not say whose their messages are
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)


class Connections:
    """The connections of one socket. Everything but the properties is for the socket's thread.

    Parameters
    ----------
    socket : zmq.Socket
        Not bound yet.

    Attributes
    ----------
    monitor : zmq.Socket
        `watch` is due when it can be read.
    arrivals : int or None
        A descriptor; there are `active` connections when it can be read. None where the system has no such thing.
    refused : int
        Connections so far that ended before their handshake was complete, or were too many.
    ended : int
        Connections so far that are open no more.
    listener : int or None
        The descriptor by which the socket listens, where it was bound last; None before.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.refused = 0
        self.ended = 0
        self.listener: int | None = None
        self._limit = connection_limit()
        self._sockets = PeerSockets()
        # edges: it tells of what has arrived since it was asked, though libzmq's thread may have read it by now
        self._epoll = select.epoll() if sys.platform == "linux" else None
        self.arrivals = self._epoll.fileno() if self._epoll is not None else None
        self._open: dict[int, Connection] = {}
        self._ending = 0
        self._unnamed_handshakes = 0
        self._failure = ""
        self._left: set[int] = set()
        self._unsettled: dict[int, Connection] = {}
        self._warnings = LimitedLog(_log)
        self._socket = socket
        endpoint = f"inproc://connections-{next(_numbers)}"
        socket.monitor(endpoint, _EVENTS)
        self.monitor = socket.context.socket(zmq.PAIR)
        self.monitor.setsockopt(zmq.RCVHWM, _QUEUE_LENGTH)
        self.monitor.connect(endpoint)

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        """Go through those that were not shut down."""
        return (connection for connection in self._open.values() if not connection.ending)

    def watch(self) -> None:
        """Learn what has happened, up to `EVENTS_AT_ONCE` events of it."""
        for _ in range(EVENTS_AT_ONCE):
            try:
                event, value = _EVENT.unpack(self.monitor.recv_multipart(zmq.NOBLOCK)[0])
            except zmq.Again:
                return
            if event == zmq.EVENT_ACCEPTED:
                self._accepted(value)
            elif event == zmq.EVENT_DISCONNECTED:
                self._disconnected(value)
            elif event == zmq.EVENT_LISTENING:
                self.listener = value
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._unnamed_handshakes += 1
            else:
                self._failure = _explain(event, value)

    def sender(self, frame: zmq.Frame) -> Connection | None:
        """Say whose message it is.

        Parameters
        ----------
        frame : zmq.Frame
            As received.

        Returns
        -------
        Connection or None
            None if the connection has gone, or was shut down.
        """
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except zmq.ZMQError:
            return None  # the socket's own notice of what nobody subscribes to any more
        connection = self._open.get(descriptor)
        if connection is None:
            self.watch()  # its first message came before the news that it is there was looked at
            connection = self._open.get(descriptor)
        if connection is None or connection.ending:
            return None
        if not connection.spoke:
            connection.spoke = True
            self._unnamed_handshakes = max(0, self._unnamed_handshakes - 1)
            if connection.refused:
                connection.refused = False
                self._mark_refused(connection.host)  # so it was another one
        return connection

    def active(self) -> list[Connection]:
        """Say on which connections something has arrived since the last time.

        Returns
        -------
        list of Connection
            Some of them; the others come next time.
        """
        if self._epoll is None:
            return []
        found = [self._open.get(descriptor) for descriptor, _ in self._epoll.poll(0, _ACTIVE_AT_ONCE)]
        return [connection for connection in found if connection is not None and not connection.ending]

    def received(self, connection: Connection) -> int:
        """Say how much has arrived on a connection since it began, be it a message or not.

        Parameters
        ----------
        connection : Connection
            Which.

        Returns
        -------
        int
            Bytes; 0 where the system does not tell.
        """
        return self._sockets.received(connection.descriptor, connection.number)

    def settle(self) -> None:
        """Learn that no message waits: what comes under a descriptor that was used again is the new connection's."""
        for connection in self._unsettled.values():
            connection.settled = True
        self._unsettled.clear()
        self._left.clear()

    def end(self, connection: Connection, reason: str) -> None:
        """Shut a connection down, and log why.

        Parameters
        ----------
        connection : Connection
            Whose.
        reason : str
            What it did, to follow its address.
        """
        if connection.ending:
            return
        connection.ending = True
        self._ending += 1
        self._sockets.shut_down(connection.descriptor, connection.number)
        self._warnings.warning(f"{connection.host} {reason}", f"disconnected {connection.address}: it {reason}")

    def refuse(self, host: str, reason: str) -> None:
        """Log that somebody is not let in, who is left to hang until the time for the handshake is over.

        Parameters
        ----------
        host : str
            As `Connection.host`. libzmq does not say which connection of this host it is, if several are waiting.
        reason : str
            What it did, to follow its address.
        """
        self.watch()
        connection = self._mark_refused(host)
        address = host if connection is None else connection.address
        self._warnings.warning(f"{host} {reason}", f"refused a connection from {address}: it {reason}")

    def close(self) -> None:
        """Stop watching; the socket may be closed afterwards."""
        if self._epoll is not None:
            self._epoll.close()
        self._socket.disable_monitor()
        self.monitor.close(linger=0)
        self._sockets.close()

    def _accepted(self, descriptor: int) -> None:
        identity = self._sockets.identify(descriptor)
        if identity is None:
            identity = 0, "a peer that left at once"
        connection = Connection(descriptor, *identity)
        self._open[descriptor] = connection
        if self._epoll is not None:
            with suppress(OSError):  # closed already
                self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
        if descriptor in self._left:
            connection.settled = False
            self._unsettled[descriptor] = connection
        if len(self._open) - self._ending > self._limit:
            self._make_room(connection)

    def _mark_refused(self, host: str) -> Connection | None:
        connection = next((one for one in self if one.host == host and not (one.spoke or one.refused)), None)
        if connection is not None:
            connection.refused = True
        return connection

    def _make_room(self, newest: Connection) -> None:
        silent = (one for one in self if not one.spoke)
        self.refused += 1
        self.end(next(silent, newest), f"is one connection too many: {self._limit} are open")

    def _disconnected(self, descriptor: int) -> None:
        failure, self._failure = self._failure, ""
        connection = self._open.pop(descriptor, None)
        if connection is None:
            return
        self.ended += 1
        self._left.add(descriptor)
        # where strangers come and go faster than all is heard that they say, nothing settles for as long as they do
        self._unsettled.pop(descriptor, None)
        if connection.ending:
            self._ending -= 1
        elif connection.refused:
            self.refused += 1
        elif not connection.spoke:
            if not failure and self._unnamed_handshakes:
                self._unnamed_handshakes -= 1  # complete, but it never subscribed
                return
            reason = failure or _NO_HANDSHAKE
            self._warnings.warning(
                f"{connection.host} {reason}", f"refused a connection from {connection.address}: it {reason}"
            )
            self.refused += 1


def _explain(event: int, value: int) -> str:
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return "did not complete the handshake"
    return _REASONS.get(value, "speaks garbage")
