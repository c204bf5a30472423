"""Serves the dashboard's pages over HTTP, in a thread of its own."""

from __future__ import annotations

import os
import socket
import threading
from types import TracebackType

import uvicorn
import websockets  # noqa: F401  - uvicorn loads it by name, and would serve no WebSocket without it

from model.errors import MoodringError
from streamer.dashboard.access import Access
from streamer.dashboard.listener import Listener
from streamer.dashboard.pages import make_pages
from streamer.endpoints import format_address

MAXIMUM_CONNECTIONS = 128
"""HTTP and WebSocket connections at a time; a page has one that stays and a few that load it."""
LONGEST_HEADER = 16384
"""Bytes of a request."""
LONGEST_MESSAGE = 1024
"""Bytes that a page may send over its WebSocket; it has nothing to say."""
LONGEST_GOODBYE = 1
"""Whole seconds in which open pages are to take note of the end."""
_BACKLOG = 64


class DashboardServer:
    """Serves what a `Listener` hears, until it is closed.

    Parameters
    ----------
    listener : Listener
        What is shown.
    endpoint : str
        Where it listens, for people.
    host : str
        An address or a name of this machine.
    port : int
        0 for one that is free.

    Attributes
    ----------
    link : str
        The page's address for a browser.
    on_loopback : bool
        Whether only this machine can reach it.

    Raises
    ------
    MoodringError
        If the address cannot be used.
    """

    def __init__(self, listener: Listener, endpoint: str, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        bound: tuple[str, int] = self._socket.getsockname()[:2]
        self.on_loopback = bound[0] == "::1" or bound[0].startswith("127.")
        access = Access(host, bound[1], self.on_loopback)
        self.link = access.link
        configuration = uvicorn.Config(
            make_pages(listener.record, access, endpoint),
            interface="asgi3",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=LONGEST_MESSAGE,
            ws_per_message_deflate=False,  # costs more than a loopback or a local network gains
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAXIMUM_CONNECTIONS,
            h11_max_incomplete_event_size=LONGEST_HEADER,
            timeout_graceful_shutdown=LONGEST_GOODBYE,
        )
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)
        self._thread.start()

    def __enter__(self) -> DashboardServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def join(self, timeout: float) -> None:
        """Wait for its end, for so many seconds at most."""
        self._thread.join(timeout)

    def close(self) -> None:
        """Say goodbye to open pages and end. May be called twice."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise MoodringError(f'--host "{host}" is neither an address nor a name that is known') from error
    try:
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise MoodringError(
            f"cannot serve the dashboard at {format_address((host, port))}: {os.strerror(error.errno or 0)}; "
            "choose another --port or --host"
        ) from error
