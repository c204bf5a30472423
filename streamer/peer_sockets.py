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
_CREDENTIALS = struct.Struct("3i")  # process, user, group: `struct ucred` of unix(7)


class PeerSockets:
    """Works without a free descriptor: strangers' connections may have taken all of them. For one thread."""

    def __init__(self) -> None:
        self._nothing = os.open(os.devnull, os.O_RDONLY)
        self._copy = os.dup(self._nothing)

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
            with self._copied(descriptor) as copy:
                return os.fstat(copy.fileno()).st_ino, _peer_name(copy)
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
            with self._copied(descriptor) as copy:
                if os.fstat(copy.fileno()).st_ino != number:
                    return False
                copy.shutdown(socket.SHUT_RDWR)
                return True
        except OSError:
            return False

    def close(self) -> None:
        """Free the descriptors that were kept."""
        os.close(self._copy)
        os.close(self._nothing)

    @contextmanager
    def _copied(self, descriptor: int) -> Iterator[socket.socket]:
        os.dup2(descriptor, self._copy, inheritable=False)
        try:
            copy = socket.socket(fileno=self._copy)
            try:
                yield copy
            finally:
                copy.detach()
        finally:
            os.dup2(self._nothing, self._copy, inheritable=False)


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
