"""Tells a service manager how the service is doing: datagrams to ``NOTIFY_SOCKET``, see sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

_log = logging.getLogger("moodring.service")


class ServiceManager:
    """Sends notifications; does nothing where no service manager has asked for any.

    Parameters
    ----------
    environment : mapping of str to str
        With ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, or without.

    Attributes
    ----------
    watchdog_interval : float or None
        Seconds between signs of life: half of what the service manager waits; None if it does not.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if self._address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        microseconds = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        self.watchdog_interval = int(microseconds) / 2e6 if ours and microseconds.isdigit() else None

    def ready(self, status: str) -> None:
        """Say that starting, or reloading, is done.

        Parameters
        ----------
        status : str
            A line for people.
        """
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def alive(self, status: str) -> None:
        """Give a sign of life.

        Parameters
        ----------
        status : str
            A line for people.
        """
        self._send("WATCHDOG=1", f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        # a leading @ stands for the zero byte of a name that is not in the file system
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.debug("cannot tell the service manager: %s", error)
