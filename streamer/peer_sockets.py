"""Looks at and shuts down sockets that libzmq owns: who is at the other end, and away with whom nobody else can send.

libzmq gives a connection's descriptor, but may have closed it by the time that we hear of it, and another connection
or file may have got the same number. So a descriptor is first copied, then compared with what it was.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MAXIMUM_CONNECTIONS = 1024
"""Connections that are open at once: five times as many as a large installation has subscribers. Each costs about
0.1 MB, and one descriptor."""
_DESCRIPTORS = 4 * MAXIMUM_CONNECTIONS
"""What the limit of open descriptors is raised to, if it is less and the system allows it."""
_RECEIVED = struct.Struct("@128xQ")  # `struct tcp_info` of linux/tcp.h, up to and with tcpi_bytes_received
_AT_ONCE = struct.pack("ii", 1, 0)  # the kernel shall not keep what the peer has not read for minutes
_CREDENTIALS = struct.Struct("3i")  # process, user, group: `struct ucred` of unix(7)


class PeerSockets:
    """Works without a free descriptor: strangers' connections may have taken all of them. For one thread."""

    def __init__(self) -> None:
        self._nothing = socket.socket()
        # its descriptor becomes a copy of the one to look at; an object made for that would first ask what it is
        self._view = socket.socket()

    def identify(self, descriptor: int) -> tuple[int, str] | None:
        """Say which socket a descriptor is, and who is at the other end.

        Parameters
        ----------
        descriptor : int
            As libzmq gives it.

        Returns
        -------
        tuple of int and str, or None
            The socket's number among all that the system ever had, and ``ADDRESS:PORT``, or the process at the other
            end of an ``ipc`` connection. None if it is closed already.
        """
        try:
            with self._copied(descriptor) as number, socket.socket(fileno=self._view.fileno()) as named:
                try:
                    return number, _peer_name(named)
                finally:
                    named.detach()
        except OSError:
            return None

    def shut_down(self, descriptor: int, number: int) -> bool:
        """End a connection in both directions; libzmq then closes it and frees what it held for it.

        Parameters
        ----------
        descriptor : int
            As libzmq gave it.
        number : int
            As `identify` said; nothing happens if the descriptor is something else by now.

        Returns
        -------
        bool
            Whether it was open until now.
        """
        try:
            with self._copied(descriptor) as found:
                if found == number:
                    self._view.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    self._view.shutdown(socket.SHUT_RDWR)
                return found == number
        except OSError:
            return False

    def received(self, descriptor: int, number: int) -> int:
        """Say how much has arrived on a connection, whether libzmq has made a message of it or not.

        Parameters
        ----------
        descriptor, number : int
            As for `shut_down`.

        Returns
        -------
        int
            Bytes since the connection began; 0 for other connections than TCP, and on other systems than Linux.
        """
        if sys.platform != "linux":
            return 0
        try:
            with self._copied(descriptor) as found:
                if found != number:
                    return 0
                information = self._view.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
                received: int = _RECEIVED.unpack(information)[0]
                return received
        except (OSError, struct.error):
            return 0  # no TCP, gone, or a system of before 2015

    def close(self) -> None:
        """Free the descriptors that were kept."""
        self._view.close()
        self._nothing.close()

    @contextmanager
    def _copied(self, descriptor: int) -> Iterator[int]:
        """Have a copy of the descriptor, and the number of the file that it is of."""
        os.dup2(descriptor, self._view.fileno(), inheritable=False)
        try:
            yield os.fstat(self._view.fileno()).st_ino
        finally:
            os.dup2(self._nothing.fileno(), self._view.fileno(), inheritable=False)


def connection_limit() -> int:
    """Say how many connections may be open, and raise the limit of open descriptors for them where that is allowed.

    Returns
    -------
    int
        `MAXIMUM_CONNECTIONS`, or half of the descriptors that the process may have: the rest of the program needs
        some, and libzmq accepts connections for a moment before they can be refused.
    """
    try:
        import resource
    except ImportError:
        return MAXIMUM_CONNECTIONS  # no such limit: not a POSIX system
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAXIMUM_CONNECTIONS
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if wanted > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError):
            pass  # some systems say that more is allowed than is; what there is has to do
    return min(MAXIMUM_CONNECTIONS, soft // 2)


def _peer_name(connection: socket.socket) -> str:
    if connection.family == getattr(socket, "AF_UNIX", None):
        if sys.platform != "linux":
            return "a program on this machine"
        process, user, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        return f"process {process} of user {user}"
    host, port = connection.getpeername()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
