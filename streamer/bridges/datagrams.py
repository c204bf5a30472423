"""Sends UDP datagrams to one receiver, without ever waiting, and says when they go nowhere."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

from model.errors import MoodringError, shown
from streamer.limited_log import LimitedLog

_logger = logging.getLogger("moodring.bridge")


def split_address(to: str, option: str = "--to") -> tuple[str, int]:
    """Read HOST:PORT.

    Parameters
    ----------
    to : str
        ``HOST:PORT``, a version 6 address in brackets.
    option : str
        What messages call it.

    Returns
    -------
    str and int

    Raises
    ------
    MoodringError
        If it is anything else.
    """
    host, colon, port = to.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    valid = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 1 << 16
    if not (colon and host and valid) or (":" in host and not to.startswith("[")):
        raise MoodringError(f'{option} "{shown(to)}" is not valid; give HOST:PORT, such as 127.0.0.1:9000')
    return host, int(port)


class Datagrams:
    """A UDP socket, connected, so that the system tells when nobody listens.

    Parameters
    ----------
    to : str
        HOST:PORT; a host's broadcast address, too.

    Raises
    ------
    MoodringError
        If there is no such host.
    """

    def __init__(self, to: str) -> None:
        host, port = split_address(to)
        self.to = to
        self._log = LimitedLog(_logger)
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._socket.setblocking(False)
            self._socket.connect(address)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such name"
            raise MoodringError(f'--to "{shown(to)}" cannot be reached: {reason}') from error

    def send(self, datagram: bytes) -> None:
        """Send a datagram; what cannot be sent is dropped, with a line in the log once a minute."""
        try:
            self._socket.send(datagram)
        except ConnectionRefusedError:
            # what the receiver's machine has answered to the datagram before; this one has not been sent
            self._log.warning("refused", f"nobody listens at {self.to}; going on")
            with suppress(OSError):
                self._socket.send(datagram)
        except OSError as error:
            self._log.warning(str(error.errno), f"nothing can be sent to {self.to}: {error.strerror}; going on")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
