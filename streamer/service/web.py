"""``/healthz`` and ``/metrics`` over HTTP or HTTPS: Python's own parser behind limits on what a peer can make it do."""

from __future__ import annotations

import io
import ipaddress
import json
import logging
import os
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from model.errors import MoodringError
from streamer.endpoints import format_address
from streamer.limited_log import LimitedLog
from streamer.service.metrics import CONTENT_TYPE, Metrics
from streamer.tls import MutualTLS, explain
from streamer.tls_handshakes import name_peer

if TYPE_CHECKING:
    from streamer.service.service import Health

MAXIMUM_HEADER = 8192
"""Bytes of a request that are read; browsers' and Prometheus' have a few hundred."""
HANDSHAKE_DEADLINE = 1.0
"""Seconds in which a TLS handshake must be complete, before the request's time begins."""
HEADER_DEADLINE = 1.0
"""Seconds in which a request must have come, all of it: trickling does not help."""
RESPONSE_DEADLINE = 2.0
"""Seconds in which the response must have been taken."""
MAXIMUM_REQUESTS = 16
"""Requests, and threads, at a time; who comes then waits in the operating system's short queue."""
_BACKLOG = 16

_log = logging.getLogger("moodring.http")


class PageServer(ABC):
    """Answers GET and HEAD with the pages of a derived class, each connection in a thread of its own.

    Where it listens on loopback, a request must name this machine in its ``Host``: a web page that makes a browser
    on this machine ask (DNS rebinding) names its own.

    Parameters
    ----------
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    setting : str
        Where another address can be chosen, for the error's line.
    tls : MutualTLS, optional
        Who may ask: those with a certificate that it allows, and nobody else.

    Attributes
    ----------
    address : str
        Host and port.
    refused : int
        Connections that were ended without an answer.

    Raises
    ------
    MoodringError
        If the address cannot be used.
    """

    def __init__(self, host: str, port: int, setting: str, tls: MutualTLS | None = None) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise MoodringError(
                f"cannot serve HTTP at {format_address((host, port))}: {os.strerror(error.errno or 0)}; "
                f"choose another {setting}"
            ) from error
        bound: tuple[str, int] = self._listener.getsockname()[:2]
        self.address = format_address((host, bound[1]))
        self.refused = 0
        self._on_loopback = _is_local(bound[0])
        self._tls = tls
        self._refusals = LimitedLog(_log)
        self._slots = threading.Semaphore(MAXIMUM_REQUESTS)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections, and wait for their threads. May be called twice."""
        with self._lock:
            self._closed = True
            for connection in self._open.values():
                _shut_down(connection)
        _shut_down(self._listener)  # on Linux closing alone does not wake up who waits in accept
        self._listener.close()
        self._thread.join(RESPONSE_DEADLINE)  # first: it may have been about to start another
        with self._lock:
            threads = list(self._open)
        for thread in threads:
            thread.join(RESPONSE_DEADLINE)

    @abstractmethod
    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        """Make the page of a path.

        Parameters
        ----------
        path : str
            As requested, without a query.

        Returns
        -------
        tuple of HTTPStatus, str and bytes, or None
            Status, content type and content; None if there is no such page.
        """

    def accepts_host(self, host: str) -> bool:
        """Tell whether a request with this ``Host`` is meant for this server; empty: it has none."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return not (self._on_loopback and host) or _is_local(name.strip("[]"))

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # closed; or the peer has gone, or there are no descriptors left, which may pass
                time.sleep(0 if self._closed else 0.05)
                continue
            if not self._slots.acquire(timeout=HANDSHAKE_DEADLINE + HEADER_DEADLINE + RESPONSE_DEADLINE):
                self.refused += 1
                connection.close()
                continue
            if self._tls is not None:
                try:
                    connection = self._tls.accept(connection)
                except OSError:
                    connection.close()  # gone already
                    self._slots.release()
                    continue
            thread = threading.Thread(target=self._serve, args=(connection,), name="http request", daemon=True)
            with self._lock:
                # by this thread only: one that took itself out would still run when `close` has returned
                self._open = {other: served for other, served in self._open.items() if other.is_alive()}
                self._open[thread] = connection
                if self._closed:
                    _shut_down(connection)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            header = _read_header(connection) if self._is_allowed(connection) else None
            if header is None:
                self.refused += 1
            else:
                response = _Request(header, self).response
                connection.settimeout(RESPONSE_DEADLINE)  # of all of it: sendall counts down
                connection.sendall(response)
                _say_end(connection)
        except OSError:
            self.refused += 1  # gone, or too slow
        finally:
            connection.close()
            self._slots.release()

    def _is_allowed(self, connection: socket.socket) -> bool:
        if not isinstance(connection, ssl.SSLSocket):
            return True
        peer = name_peer(connection)
        connection.settimeout(HANDSHAKE_DEADLINE)  # of all of it
        try:
            connection.do_handshake()
        except (OSError, ValueError) as error:
            reason = explain(error if isinstance(error, OSError) else ConnectionError())
            with self._lock:
                self._refusals.warning(reason, f"refused {peer}: {reason}")
            return False
        return True


class StatusServer(PageServer):
    """Serves ``/healthz`` and ``/metrics``.

    Parameters
    ----------
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    health : callable
        Gives the state of the service.
    metrics : Metrics
        What ``/metrics`` shows.
    tls : MutualTLS, optional
        Who may ask.

    Raises
    ------
    MoodringError
        If the address cannot be used.
    """

    def __init__(
        self, host: str, port: int, health: Callable[[], Health], metrics: Metrics, tls: MutualTLS | None = None
    ) -> None:
        self._health = health
        self._metrics = metrics
        super().__init__(host, port, "http.listen", tls)

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        """Make the page of a path; see `PageServer.answer`."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics.page()
        if path == "/healthz":
            health = self._health()
            status = HTTPStatus.OK if health.good else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(_to_json(health), indent=1).encode() + b"\n"
        return None


class _Request(BaseHTTPRequestHandler):
    """Parses a request that has been read, and makes the response."""

    server_version = "moodring"
    sys_version = ""

    def __init__(self, header: bytes, server: PageServer) -> None:
        self._server = server
        self.rfile = io.BytesIO(header)
        self.wfile = io.BytesIO()
        self.client_address = ("", 0)
        self.handle()
        self.response = self.wfile.getvalue()

    def do_GET(self) -> None:
        """Answer."""
        if not self._server.accepts_host(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        page = self._server.answer(self.path.partition("?")[0])
        if page is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="There are /healthz and /metrics.")
            return
        status, content_type, content = page
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Log what the parser has to say."""
        _log.debug(format, *args)


def _read_header(connection: socket.socket) -> bytes | None:
    """Read a request up to its empty line; None if it is too long or too slow."""
    deadline = time.monotonic() + HEADER_DEADLINE
    header = b""
    while len(header) < MAXIMUM_HEADER:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return None
        connection.settimeout(remaining)
        data = connection.recv(MAXIMUM_HEADER - len(header))
        header += data
        if not data or b"\r\n\r\n" in header or b"\n\n" in header:
            return header or None
    return None


def _say_end(connection: socket.socket) -> None:
    """Tell a TLS peer that this was all, without waiting for its answer."""
    if isinstance(connection, ssl.SSLSocket):
        connection.setblocking(False)
        with suppress(OSError):
            connection.unwrap()


def _shut_down(connection: socket.socket) -> None:
    try:
        # not as an SSLSocket does it: that one would be a plain socket afterwards, for its thread
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it was not connected any more


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _to_json(health: Health) -> dict[str, Any]:
    return {
        "healthy": health.good,
        "tracker": health.tracker,
        "publisher": health.publisher,
        "streams": {
            name: {
                "healthy": reading.good,
                "required": reading.required,
                "state": reading.state,
                "reason": reading.reason,
                "since": round(reading.since, 3),
                "silent": round(reading.silent, 3),
                "dropped": round(reading.dropped, 6),
            }
            for name, reading in health.streams.items()
        },
    }
