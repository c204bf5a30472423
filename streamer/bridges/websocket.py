"""The WebSocket bridge: a server that sends one JSON object with all outputs to everybody who is connected."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from model.errors import MoodringError
from streamer.bridges.changes import Changes
from streamer.bridges.datagrams import split_address
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value

LOCAL_ORIGIN: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
"""Pages of this machine: the only ones that may connect if nothing is said. Otherwise any that is opened on it could
(RFC 6455, section 10.2)."""
MAXIMUM_CONNECTIONS = 256
"""A stage has some ten receivers; more are a mistake, or malice."""
MAXIMUM_WAITING = 1 << 16
"""Bytes that may wait for a reader that does not read, some hundred messages; then it is disconnected."""
_MAXIMUM_MESSAGE = 1024
_START = 10.0


class WebSocketSender:
    """Serves WebSocket connections (RFC 6455) in a thread of its own.

    Parameters
    ----------
    listen : str
        HOST:PORT to listen at; port 0 is not accepted, as nobody would know where to connect.
    origins : tuple of str
        Origins of pages that may connect besides those of this machine.

    Raises
    ------
    MoodringError
        If it cannot listen there.
    """

    def __init__(self, listen: str, origins: tuple[str, ...]) -> None:
        host, port = split_address(listen)
        self._origins: list[Origin | re.Pattern[str] | None] = [None, LOCAL_ORIGIN, *map(Origin, origins)]
        self._changes = Changes()
        self._last = ""
        self._values: dict[str, object] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._server: Server | None = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(host, port), name="websocket", daemon=True)
        self._thread.start()
        self._started.wait(_START)
        if self._error is not None:
            self._thread.join()
            reason = self._error.strerror if isinstance(self._error, OSError) else "no such name"
            raise MoodringError(f'--to "{listen}": cannot listen there: {reason}') from self._error

    def set_up(self, mapping: Mapping) -> None:
        """Take the keys of a mapping."""
        self._changes.set_up(mapping)
        self._values = {}

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send all values on a new estimate, and when one has changed."""
        changes = list(self._changes.of(values, fresh))
        if not changes:
            return
        for name, value in changes:
            self._values[name.name] = value[0] if len(value) == 1 and not isinstance(value, str) else value
        message = json.dumps(self._values)
        self._loop.call_soon_threadsafe(self._broadcast, message)

    def close(self) -> None:
        """Disconnect everybody, after what they are to be sent."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START)

    def _run(self, host: str, port: int) -> None:
        try:
            self._loop.run_until_complete(self._serve(host, port))
        except (OSError, UnicodeError) as error:
            self._error = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self, host: str, port: int) -> None:
        async with serve(
            self._welcome,
            host,
            port,
            origins=self._origins,
            compression=None,
            max_size=_MAXIMUM_MESSAGE,
            max_queue=1,
            close_timeout=1,
            server_header=None,
        ) as self._server:
            self._started.set()
            await self._stop.wait()

    async def _welcome(self, connection: ServerConnection) -> None:
        assert self._server is not None
        if len(self._server.connections) > MAXIMUM_CONNECTIONS:
            await connection.close(1013, "too many connections")
            return
        try:
            if self._last:
                await connection.send(self._last)
            async for _ in connection:
                pass  # nothing is expected, and reading keeps pings answered
        except ConnectionClosed:
            pass

    def _broadcast(self, message: str) -> None:
        self._last = message
        if self._server is None:
            return
        connections = set(self._server.connections)
        slow = {each for each in connections if each.transport.get_write_buffer_size() > MAXIMUM_WAITING}
        for connection in slow:
            connection.transport.abort()
        broadcast(connections - slow, message)
