"""Whether the usual ports are free, and if not, who answers there."""

from __future__ import annotations

import errno
import http.client
import socket
import sys
import time
from collections.abc import Iterator

from model.errors import shown
from streamer.dashboard import DEFAULT_PORT
from streamer.doctor.finding import Finding
from streamer.messages import DEFAULT_ENDPOINT

_LISTENING = 1.5
"""Seconds in which a publisher says what it publishes: the last values at once, and statuses once a second."""
_PAGE_TIMEOUT = 1.5
_PAGE_BYTES = 4096
_PAGE_MARKS = (b"<title>moodring</title>", b"the whole link that moodring dashboard has printed")
"""In the page, and in what is answered to who has not its token."""


def look_at_ports(publishing: str = DEFAULT_ENDPOINT, page: int = DEFAULT_PORT) -> Iterator[Finding]:
    """Look at where moodring publishes, and where it shows the dashboard.

    Parameters
    ----------
    publishing : str
        ``tcp://127.0.0.1:PORT``.
    page : int
        The dashboard's port.

    Yields
    ------
    Finding
    """
    port = int(publishing.rpartition(":")[2])
    yield _free(port, "publishing") or _publisher(publishing, port)
    yield _free(page, "the dashboard") or _page(page)


def _free(port: int, purpose: str) -> Finding | None:
    subject = f"port {port}"
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        return Finding(
            subject,
            "warning",
            f"cannot be used for {purpose}: {error.strerror}",
            "choose another",
            {"state": "refused"},
        )
    return Finding(subject, "ok", f"free, for {purpose}", details={"state": "free"})


def _publisher(endpoint: str, port: int) -> Finding:
    from streamer.messages import FINAL_STATES
    from streamer.subscriber import PublisherSilent, Subscriber

    heard = False
    deadline = time.monotonic() + _LISTENING
    with Subscriber(endpoint) as subscriber:
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                subscriber.receive(remaining)
                heard = True
            except PublisherSilent:
                break
        statuses, trouble = list(subscriber.statuses.values()), subscriber.trouble
    subject = f"port {port}"
    if heard:
        said = ", ".join(
            f'stream "{one.stream}" {one.state}{f" ({shown(one.reason)})" if one.reason else ""}'
            for one in sorted(statuses, key=lambda status: status.stream)
        )
        remedy = f"look at it with: moodring watch {endpoint}"
        if all(one.state in FINAL_STATES for one in statuses):
            remedy += "; it tracks nothing any more: if it is a leftover, end it"
        streams = {one.stream: one.state for one in statuses}
        return Finding(
            subject,
            "note",
            f"moodring publishes there already: {said or 'no status yet'}",
            remedy,
            {"state": "moodring", "streams": streams},
        )
    return Finding(
        subject,
        "warning",
        f"in use, and no moods come from there{f': {trouble}' if trouble else ''}",
        f"if that is no publisher of yours, end it ({_who_listens(port)} tells what it is), or publish elsewhere: "
        "--publish tcp://127.0.0.1:5600",
        {"state": "taken"},
    )


def _page(port: int) -> Finding:
    subject = f"port {port}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PAGE_TIMEOUT)
    try:
        connection.request("GET", "/")
        content = connection.getresponse().read(_PAGE_BYTES)
    except (OSError, http.client.HTTPException):
        content = b""
    finally:
        connection.close()
    if any(mark in content for mark in _PAGE_MARKS):
        return Finding(
            subject,
            "note",
            "the dashboard is served there already",
            f"open http://127.0.0.1:{port}/, or the link that it has printed",
            {"state": "moodring"},
        )
    return Finding(
        subject,
        "warning",
        "in use, but not by a dashboard",
        f"end that program ({_who_listens(port)} tells what it is), or show the dashboard elsewhere: "
        "moodring dashboard --port 8766",
        {"state": "taken"},
    )


def _who_listens(port: int) -> str:
    if sys.platform == "darwin":
        return f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
    if sys.platform == "win32":
        return f"netstat -ano | findstr :{port}"
    return f"ss -ltnp 'sport = :{port}'"
