"""The dashboard's pages: the page itself, its live WebSocket, and the session as a table."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from dataclasses import fields
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamer.circumplex import NEUTRAL, NEUTRAL_RADIUS, OCTANTS, STRONG_RADIUS
from streamer.dashboard.access import Access
from streamer.dashboard.record import KEPT_SECONDS, Record, Row

UPDATE_INTERVAL: Final = 0.05
"""Seconds between updates of a page: 20 a second, the newest of each stream, whatever the publisher's rate."""
PULSE_INTERVAL: Final = 0.25
"""Seconds after which a page hears from the server even if nothing has come."""
SLOWEST_READER: Final = 10.0
"""Seconds in which a page must take an update; a browser that sleeps is disconnected and comes back."""
MAXIMUM_PAGES: Final = 32
"""Open pages; each costs an encoding of every update."""
ROWS_AT_ONCE: Final = 2000
"""Rows of the table that are made, and sent, in one piece."""
TRY_AGAIN_LATER: Final = 1013
"""WebSocket close code (IANA registry of RFC 6455) of a server that has no room now."""

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def make_pages(record: Record, access: Access, endpoint: str) -> ASGIApp:
    """Make the web application.

    Parameters
    ----------
    record : Record
        What is shown.
    access : Access
        To whom.
    endpoint : str
        Where it comes from, for people.

    Returns
    -------
    ASGIApp
    """
    content = {
        entry.name: (_TYPES[entry.name.rpartition(".")[2]], entry.read_bytes())
        for entry in files("streamer.dashboard").joinpath("page").iterdir()
        if entry.name.rpartition(".")[2] in _TYPES
    }
    pages = 0

    async def page(request: Request) -> Response:
        if access.token is not None and "token" in request.query_params:
            # the token stays neither in the address bar nor in the history
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(access.cookie, access.token, httponly=True, samesite="lax")
            return response
        return file("index.html")

    async def asset(request: Request) -> Response:
        return file(request.path_params["name"])

    def file(name: str) -> Response:
        if name not in content:
            return PlainTextResponse("There is no such page.", 404)
        media_type, body = content[name]
        return Response(body, media_type=media_type)

    async def table(request: Request) -> Response:
        disposition = {"Content-Disposition": 'attachment; filename="moodring-session.csv"'}
        return StreamingResponse(_to_csv(record), media_type="text/csv; charset=utf-8", headers=disposition)

    async def live(socket: WebSocket) -> None:
        nonlocal pages
        await socket.accept()
        if pages >= MAXIMUM_PAGES:
            await socket.close(TRY_AGAIN_LATER, f"{MAXIMUM_PAGES} pages are open")
            return
        pages += 1
        try:
            await _feed(socket, record, endpoint)
        finally:
            pages -= 1

    routes = [
        Route("/", page),
        Route("/session.csv", table),
        Route("/{name}", asset),
        WebSocketRoute("/live", live),
    ]
    return _Guard(Starlette(routes=routes), access)


class _Guard:
    """Refuses before anything is answered, and adds the headers that tell browsers to be strict."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                strict = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *strict]}
            await send(message)

        refusal = self._access.refusal(HTTPConnection(scope))
        if refusal is None:
            await self._app(scope, receive, send_strictly)
        elif scope["type"] == "http":
            await PlainTextResponse(refusal, 403)(scope, receive, send_strictly)
        else:
            await WebSocket(scope, receive, send).close()  # before it is accepted: status 403


async def _feed(socket: WebSocket, record: Record, endpoint: str) -> None:
    """Send what a page shows until it goes. Nothing queues up: what it cannot take in time is left out."""
    gone = asyncio.create_task(_until_gone(socket))
    try:
        version, streams = record.updates(0)
        points = await asyncio.to_thread(record.overview)
        await _send(socket, {**_pulse(record), **_introduction(endpoint), "points": points, "streams": streams})
        waited = 0.0
        while not gone.done():
            await asyncio.wait({gone}, timeout=UPDATE_INTERVAL)
            waited += UPDATE_INTERVAL
            version, streams = record.updates(version)
            if (streams or waited >= PULSE_INTERVAL) and not gone.done():
                waited = 0.0
                await _send(socket, {**_pulse(record), "streams": streams})
    except (WebSocketDisconnect, asyncio.TimeoutError):
        pass  # it is gone, or asleep
    finally:
        gone.cancel()


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # a page has nothing to say


async def _send(socket: WebSocket, content: dict[str, Any]) -> None:
    await asyncio.wait_for(socket.send_text(json.dumps(content, separators=(",", ":"))), SLOWEST_READER)


def _pulse(record: Record) -> dict[str, Any]:
    silence = record.silence()
    return {
        "now": round(record.utc(), 3),
        "silence": None if silence is None else round(silence, 2),
        "trouble": record.trouble,
        "left_out": record.left_out,
    }


def _introduction(endpoint: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "kept": KEPT_SECONDS,
        "circle": {
            "neutral": NEUTRAL,
            "neutral_radius": NEUTRAL_RADIUS,
            "strong_radius": STRONG_RADIUS,
            "octants": [[octant.angle, octant.mild, octant.strong] for octant in OCTANTS],
        },
    }


def _to_csv(record: Record) -> Iterator[str]:
    columns = [column.name for column in fields(Row)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for number, row in enumerate(record.rows(), 1):
        writer.writerow(_cell(getattr(row, column)) for column in columns)
        if number % ROWS_AT_ONCE == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


def _cell(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
