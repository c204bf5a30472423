"""Raw PCM over TCP as a source: who connects writes, or what is connected to does; one writer at a time.

Nothing about a TCP connection says who is at its other end, so without TLS the port is meant for loopback; who opens it
to others (`streamer.service.configuration` asks for ``insecure``) lets anybody there be heard. With TLS nobody is heard
whose certificate is not allowed.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable

from streamer.endpoints import format_address
from streamer.pcm import PCMFormat
from streamer.pcm_source import PCMSource, Writer
from streamer.source import LONGEST_WAIT, SourceError
from streamer.tls import MutualTLS, TLSError, explain
from streamer.tls_handshakes import Handshake, Newcomers, name_peer

TAKEOVER_AFTER = 2.0
"""Seconds for which a writer must have sent nothing for another one to take its place: a cable that was pulled leaves a
connection that looks alive, and somebody who only connects must not keep the writer out."""
CONNECT_TIMEOUT = 5.0
"""Seconds after which an attempt to connect is given up."""
SHORTEST_PAUSE = 0.5
LONGEST_PAUSE = 4.0
"""Seconds between attempts to connect: each pause is twice the one before."""
_BACKLOG = 8
_PAUSE_AFTER_KNOCK = 0.05
"""Seconds to wait when there is no descriptor left for somebody who knocks, and would go on knocking."""
_PAUSE_AFTER_STEP = 0.005
"""Seconds between two looks at handshakes, however often somebody sends a byte of one."""
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class _Connection:
    def __init__(self, connection: socket.socket, peer: str = "") -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._connection = connection
        self.peer = peer or name_peer(connection)
        self.host = self.peer.rpartition(":")[0] or self.peer

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def buffered(self) -> bool:
        return isinstance(self._connection, ssl.SSLSocket) and self._connection.pending() > 0

    def read(self, size: int) -> bytes | None:
        try:
            return self._connection.recv(size)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLError as error:
            raise SourceError(explain(error)) from error
        except OSError:
            return b""  # reset, or timed out

    def close(self) -> None:
        self._connection.close()


class ListeningPCM(PCMSource):
    """Listens at a port for writers, such as ``ffmpeg -i FILE -f s16le tcp://127.0.0.1:PORT``.

    A second writer is turned away, unless the first has sent nothing for `TAKEOVER_AFTER` seconds.

    Parameters
    ----------
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    pcm : PCMFormat
        What every writer writes.
    on_refused : callable, optional
        Is called for each writer that was turned away.
    tls : MutualTLS, optional
        Who may write: those with a certificate that it allows, and nobody else.

    Raises
    ------
    SourceError
        If the address is not this machine's, or the port is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pcm: PCMFormat,
        on_refused: Callable[[], None] | None = None,
        tls: MutualTLS | None = None,
    ) -> None:
        address = format_address((host, port))
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise SourceError(f"cannot listen at {address}: {os.strerror(error.errno or 0)}") from error
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        name = f"{'tcp' if tls is None else 'tls'}://{format_address((host, self.port))}"
        try:
            super().__init__(name, pcm, name, on_refused)
        except SourceError:
            self._listener.close()
            raise
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._newcomer: _Connection | None = None
        self._handshakes = None if tls is None else Newcomers(tls, self._selector, self._refuse)
        self._trouble = f"no writer is connected to {name}"

    def _next_writer(self) -> Writer | None:
        if self._newcomer is None:
            knocked = self._selector.select(LONGEST_WAIT)
            self._newcomer = self._admit()
            if knocked and self._newcomer is None:
                self._closed.wait(_PAUSE_AFTER_STEP if self._handshakes else _PAUSE_AFTER_KNOCK)
        writer, self._newcomer = self._newcomer, None
        if writer is None and not self._trouble:
            self._trouble = f"no writer is connected to {self.name}"
        return writer

    def _is_replaced(self, silent: float) -> bool:
        if silent >= TAKEOVER_AFTER:
            self._newcomer = self._admit()
            if self._newcomer is None and self._handshakes:
                self._closed.wait(_PAUSE_AFTER_STEP)
            return self._newcomer is not None
        reason = f"{self.name} has a writer already"
        if self._handshakes:
            self._handshakes.turn_away(reason)
        for _ in range(_BACKLOG):
            connection = self._accept()
            if connection is None:
                break
            newcomer = _Connection(connection)
            self._refuse(newcomer.peer, reason)
            newcomer.close()
        return False

    def _admit(self) -> _Connection | None:
        """Give somebody who has connected and, with TLS, proved that it may write."""
        if self._handshakes is None:
            connection = self._accept()
            return None if connection is None else _Connection(connection)
        for _ in range(_BACKLOG):
            connection = self._accept()
            if connection is None:
                break
            self._handshakes.add(connection)
        admitted = self._handshakes.admit()
        return None if admitted is None else _Connection(admitted.connection, admitted.peer)

    def _accept(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except OSError:
            return None  # nobody, or somebody who has gone again, or no descriptor is left

    def _release(self) -> None:
        self._listener.close()
        if self._handshakes is not None:
            self._handshakes.close()
        if self._newcomer is not None:
            self._newcomer.close()


class ConnectingPCM(PCMSource):
    """Connects to a writer, such as ``ffmpeg -i FILE -f s16le tcp://127.0.0.1:PORT?listen``, again and again.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        1 to 65535.
    pcm : PCMFormat
        What the writer writes.
    on_refused : callable, optional
        Is called each time that what comes is not that.
    tls : MutualTLS, optional
        Who may be there: one with a certificate for `host` that it allows, and nobody else.

    Raises
    ------
    SourceError
        If no recording has that format.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pcm: PCMFormat,
        on_refused: Callable[[], None] | None = None,
        tls: MutualTLS | None = None,
    ) -> None:
        name = f"{'tcp' if tls is None else 'tls'}://{format_address((host, port))}"
        super().__init__(name, pcm, f"{name}?listen", on_refused)
        self._address = host, port
        self._attempts = 0
        self._tls = tls
        self._pending: socket.socket | None = None
        self._handshake: Handshake | None = None
        self._deadline = 0.0
        self._pause = SHORTEST_PAUSE
        self._next_attempt = 0.0

    def _next_writer(self) -> Writer | None:
        now = time.monotonic()
        if self._handshake is not None:
            return self._shake_hands(self._handshake)
        if self._pending is None:
            if self._closed.wait(min(LONGEST_WAIT, self._next_attempt - now)) or now < self._next_attempt:
                return None
            self._begin()
            return None
        ready = self._selector.select(LONGEST_WAIT)
        if not ready and now < self._deadline:
            return None
        connection, self._pending = self._pending, None
        self._selector.unregister(connection)
        error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
        if error or _is_to_itself(connection):
            connection.close()
            self._fail(os.strerror(error or errno.ECONNREFUSED))
            return None
        if self._tls is None:
            return self._connected(connection)
        try:
            self._handshake = Handshake(self._tls.connect(connection, self._address[0]))
        except (OSError, ValueError) as error:  # gone already, or a host that no certificate can be for
            connection.close()
            self._fail(str(error))
            return None
        self._selector.register(self._handshake, selectors.EVENT_WRITE)
        return None

    def _shake_hands(self, handshake: Handshake) -> Writer | None:
        self._selector.select(LONGEST_WAIT)
        try:
            wanted = handshake.go_on()
        except TLSError as error:
            self._handshake = None
            self._selector.unregister(handshake)
            self._fail(str(error))
            if self._on_refused is not None:
                self._on_refused()
            return None
        if wanted:
            self._selector.modify(handshake, wanted)
            return None
        self._handshake = None
        self._selector.unregister(handshake)
        return self._connected(handshake.connection, handshake.peer)

    def _connected(self, connection: socket.socket, peer: str = "") -> Writer:
        self._pause = SHORTEST_PAUSE
        self._next_attempt = time.monotonic() + self._pause
        return _Connection(connection, peer)

    def _begin(self) -> None:
        try:
            known = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = known[self._attempts % len(known)]
            self._attempts += 1
            self._pending = socket.socket(family, kind, protocol)
            self._pending.setblocking(False)
            error = self._pending.connect_ex(address)
            if error not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                raise OSError(error, os.strerror(error))
            self._selector.register(self._pending, selectors.EVENT_WRITE)
            self._deadline = time.monotonic() + CONNECT_TIMEOUT
        except OSError as error:
            if self._pending is not None:
                self._pending.close()
                self._pending = None
            self._fail(error.strerror or str(error))

    def _fail(self, reason: str) -> None:
        self._trouble = f"cannot connect to {self.name}: {reason}"
        self._refusals.warning(self._trouble, self._trouble)
        self._next_attempt = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _release(self) -> None:
        if self._pending is not None:
            self._pending.close()
        if self._handshake is not None:
            self._handshake.connection.close()


def _is_to_itself(connection: socket.socket) -> bool:
    """Where nobody listens at a port of this machine, a connection to it may by chance come from that port."""
    try:
        return bool(connection.getsockname() == connection.getpeername())
    except OSError:
        return False
