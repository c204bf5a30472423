"""TLS handshakes that go on without anybody waiting for them: a few at a time, and none for long."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable

from streamer.endpoints import format_address
from streamer.tls import MutualTLS, TLSError, explain

HANDSHAKE_DEADLINE = 3.0
"""Seconds in which a handshake must be complete, from the connection on: three turns over the worst of networks."""
MAXIMUM_HANDSHAKES = 8
"""Handshakes at a time. One more, and the oldest is given up: who belongs is done within milliseconds, and those who
only hold places must not keep it out."""


class Handshake:
    """A handshake, done as far as what has come allows. For one thread.

    Parameters
    ----------
    connection : ssl.SSLSocket
        Connected; it is never waited for.

    Attributes
    ----------
    connection : ssl.SSLSocket
        The same.
    peer : str
        Who is at the other end, for the log.
    """

    def __init__(self, connection: ssl.SSLSocket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.peer = name_peer(connection)
        self._deadline = time.monotonic() + HANDSHAKE_DEADLINE

    def fileno(self) -> int:
        """Return the descriptor that can be waited for."""
        return self.connection.fileno()

    def go_on(self) -> int:
        """Do what can be done.

        Returns
        -------
        int
            What to wait for, as `selectors` has it; 0 if the handshake is complete, and the other end is allowed.

        Raises
        ------
        TLSError
            If it is not, or does not come to an end; the connection is closed then.
        """
        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            wanted = selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            wanted = selectors.EVENT_WRITE
        except (OSError, ValueError) as error:
            self.connection.close()
            raise TLSError(explain(error if isinstance(error, OSError) else ConnectionError())) from error
        else:
            return 0
        if time.monotonic() < self._deadline:
            return wanted
        self.connection.close()
        raise TLSError(explain(TimeoutError()))


class Newcomers:
    """Those at a port who have not proved yet who they are. For one thread.

    Parameters
    ----------
    tls : MutualTLS
        Who is let in.
    selector : selectors.BaseSelector
        Wakes up whoever has to call `admit`.
    refuse : callable
        Is told of each that is turned away: who, and why.
    """

    def __init__(self, tls: MutualTLS, selector: selectors.BaseSelector, refuse: Callable[[str, str], None]) -> None:
        self._tls = tls
        self._selector = selector
        self._refuse = refuse
        self._waiting: list[Handshake] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: socket.socket) -> None:
        """Begin a handshake; the oldest is given up if there are `MAXIMUM_HANDSHAKES`.

        Parameters
        ----------
        connection : socket.socket
            Just accepted.
        """
        if len(self._waiting) >= MAXIMUM_HANDSHAKES:
            self._turn_away(self._waiting[0], f"{MAXIMUM_HANDSHAKES} others came while its TLS handshake went on")
        try:
            handshake = Handshake(self._tls.accept(connection))
        except OSError:
            connection.close()
            return  # it has gone already
        self._waiting.append(handshake)
        self._selector.register(handshake, selectors.EVENT_READ)

    def admit(self) -> Handshake | None:
        """Go on with all of them.

        Returns
        -------
        Handshake or None
            The first by which somebody has proved that it may come in; the others go on waiting.
        """
        for handshake in tuple(self._waiting):
            try:
                wanted = handshake.go_on()
            except TLSError as error:
                self._turn_away(handshake, str(error))
                continue
            if wanted:
                self._selector.modify(handshake, wanted)
            else:
                self._forget(handshake)
                return handshake
        return None

    def turn_away(self, reason: str) -> None:
        """End all handshakes.

        Parameters
        ----------
        reason : str
            Why.
        """
        for handshake in tuple(self._waiting):
            self._turn_away(handshake, reason)

    def close(self) -> None:
        """End all handshakes, without a word; the selector may be closed afterwards."""
        for handshake in self._waiting:
            handshake.connection.close()
        self._waiting.clear()

    def _turn_away(self, handshake: Handshake, reason: str) -> None:
        self._forget(handshake)
        handshake.connection.close()
        self._refuse(handshake.peer, reason)

    def _forget(self, handshake: Handshake) -> None:
        self._waiting.remove(handshake)
        self._selector.unregister(handshake)


def name_peer(connection: socket.socket) -> str:
    """Say who is at the other end.

    Parameters
    ----------
    connection : socket.socket
        Connected.

    Returns
    -------
    str
        Address and port.
    """
    try:
        return format_address(connection.getpeername()[:2])
    except OSError:
        return "somebody who has gone already"
