"""Who may see the page: this machine, or who has the link; and no other web site through somebody's browser."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from urllib.parse import urlencode

from starlette.requests import HTTPConnection

from streamer.endpoints import format_address

TOKEN_BYTES = 24
"""192 random bits, far beyond guessing."""
LONGEST_TOKEN = 200
"""Characters of a token that are compared."""


class Access:
    """Decides about requests.

    On loopback a request must name this machine in its ``Host``: a page that makes a browser on this machine ask by
    DNS rebinding names its own. Elsewhere it must have the token, from the link or from the cookie that the link
    leaves, and name an address, this machine's name or the one that was asked for. In either case an ``Origin``, which
    browsers send with what a page asks for, must be the page's own.

    Parameters
    ----------
    host : str
        Where the page is served, as it was asked for.
    port : int
        The port.
    on_loopback : bool
        Whether only this machine can reach it.

    Attributes
    ----------
    token : str or None
        What must be known; None on loopback.
    """

    def __init__(self, host: str, port: int, on_loopback: bool) -> None:
        self.token = None if on_loopback else secrets.token_urlsafe(TOKEN_BYTES)
        self.cookie = f"moodring_dashboard_{port}"
        self._host = host
        self._port = port
        self._on_loopback = on_loopback
        name = socket.gethostname().lower()
        self._names = {"localhost", host.lower(), name, f"{name}.local", socket.getfqdn().lower()}

    @property
    def link(self) -> str:
        """The page's address for a browser, with the token if there is one."""
        host = socket.gethostname() if self._host in ("0.0.0.0", "::") else self._host
        query = "" if self.token is None else "?" + urlencode({"token": self.token})
        return f"http://{format_address((host, self._port))}/{query}"

    def refusal(self, request: HTTPConnection) -> str | None:
        """Tell why a request is refused, whatever it asks for.

        Parameters
        ----------
        request : HTTPConnection
            A request or a WebSocket's opening.

        Returns
        -------
        str or None
            None if it is not.
        """
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_mine(hosts[0]):
            return "This page is served under another name."
        origins = request.headers.getlist("origin")
        if origins and origins != [f"http://{hosts[0]}"]:
            return "Other sites may not use this page."
        if not (self.has_token(request.cookies.get(self.cookie)) or self.has_link(request)):
            return "This page needs the whole link that moodring dashboard has printed."
        return None

    def has_link(self, request: HTTPConnection) -> bool:
        """Tell whether the page is asked for with the token in the link."""
        return request.url.path == "/" and self.has_token(request.query_params.get("token"))

    def has_token(self, token: str | None) -> bool:
        """Tell, in a time that does not depend on where they differ, whether this is the token; True on loopback."""
        if self.token is None:
            return True
        return hmac.compare_digest((token or "")[:LONGEST_TOKEN].encode(), self.token.encode())

    def _is_mine(self, host: str) -> bool:
        name, _, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "80")
        if port != str(self._port):
            return False
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() == "localhost" if self._on_loopback else name.lower() in self._names
        return address.is_loopback or not self._on_loopback
