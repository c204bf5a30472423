"""Decides, for a publisher with keys, who is let in: the ZAP handler that libzmq asks in every CURVE handshake.

pyzmq's authenticator, but run by the publisher's own thread: what the socket's thread does besides sending needs no
second thread, which could die of an error or be waited for in vain, and no event loop.

Source: RFC 27 (ZeroMQ Authentication Protocol), https://rfc.zeromq.org/spec/27/.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path

import zmq
import zmq.auth

from streamer.allow_list import AllowList
from streamer.connections import Connection, Connections
from streamer.keys import ZAP_DOMAIN

_IPC_ADDRESS = re.compile(r"localhost:(?P<user>\d+):\d+:(?P<process>\d+)")
_DENIED = b"400"
_DENIED_FOR_NOW = b"300"
_FAULT = b"500"

_log = logging.getLogger("moodring.authentication")


class Authentication(zmq.auth.Authenticator):
    """Lets clients in whose public key is in a folder, while it is there. Everything is for the socket's thread.

    CURVE asks who a client is when it connects, and never again; so `heard` notes whose connection is whose, and
    `refresh` ends the connections of those whose key has gone.

    Parameters
    ----------
    context : zmq.Context
        The context of the socket that is guarded.
    folder : Path
        The clients' public keys, as `streamer.allow_list.AllowList` reads them.
    connections : Connections
        Of that socket.

    Attributes
    ----------
    zap_socket : zmq.Socket
        `answer` is due when it can be read.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path, connections: Connections) -> None:
        super().__init__(context, log=_log)
        self._folder = folder
        self._allow_list = AllowList(folder)
        self._connections = connections
        self._users: dict[Connection, bytes] = {}
        self._stranger_within = False
        self._host = ""
        self.configure_curve_callback(ZAP_DOMAIN.decode("ascii"), self)
        self.start()

    def answer(self) -> None:
        """Decide on the handshake that has waited longest."""
        request = self.zap_socket.recv_multipart()
        self._host = _host(request[3].decode("utf-8", "replace"))
        decision = self.handle_zap_message(request)
        try:
            with suppress(StopIteration):  # a coroutine, for authenticators that ask elsewhere; it ends without waiting
                decision.send(None)
        except Exception:
            # nothing else is heard before there is an answer
            self._send_zap_reply(request[1], _FAULT, b"Internal error")
            raise

    def callback(self, domain: str, key: bytes) -> bool:
        """Decide on a client's public key, of which it has proved to have the secret one: what pyzmq calls.

        Parameters
        ----------
        domain : str
            `streamer.keys.ZAP_DOMAIN`.
        key : bytes
            40 characters in Z85.

        Returns
        -------
        bool
        """
        if key in self._allow_list:
            _log.info("%s lets in a subscriber from %s", self._allow_list.name(key), self._host)
            return True
        # before there is an answer, and with it the end of the connection
        self._connections.refuse(self._host, f"has the public key {key.decode('ascii')}, which is not in {self._where}")
        return False

    def heard(self, subscription: zmq.Frame) -> None:
        """Note who subscribes.

        Parameters
        ----------
        subscription : zmq.Frame
            A message that the socket received.
        """
        try:
            user = str(subscription.get("User-Id")).encode("ascii")
        except zmq.ZMQError:
            return  # the socket's own notice of what nobody subscribes to any more
        connection = self._connections.sender(subscription)
        if connection is not None:
            self._users[connection] = user
        elif user not in self._allow_list:
            self._stranger_within = True

    def refresh(self) -> None:
        """Look at the folder again: whose key is new to it is let in from now on; whose key has gone is shown out."""
        key_has_gone = self._allow_list.refresh()
        connected = list(self._connections)
        self._users = {one: self._users[one] for one in connected if one in self._users}
        for one, user in self._users.items():
            if user not in self._allow_list:
                self._connections.end(
                    one, f"has the public key {user.decode('ascii')}, which is no longer in {self._where}"
                )
        if key_has_gone or self._stranger_within:
            # a connection that cannot be told yet may be the one; who belongs is back in a moment
            for one in connected:
                if one not in self._users and not one.refused:
                    self._connections.end(one, "has to prove again who it is, since others are no longer allowed")
        self._stranger_within = False

    @property
    def _where(self) -> str:
        return f'"{self._folder}"'

    def _send_zap_reply(
        self, request_id: bytes, status_code: bytes, status_text: bytes, user_id: str = "anonymous"
    ) -> None:
        # after a final refusal a client of libzmq never tries again, and would have to be started anew once its key
        # is in the folder; after this one it hears nothing, and tries again when its connection ends, which is at once
        # or, if libzmq has to wait for the answer, when there has been time enough for a handshake
        super()._send_zap_reply(
            request_id, _DENIED_FOR_NOW if status_code == _DENIED else status_code, status_text, user_id
        )


def _host(address: str) -> str:
    """Give what ZAP calls an address as `streamer.connections.Connection.host` does."""
    ipc = _IPC_ADDRESS.fullmatch(address)
    if ipc is not None:
        return f"process {ipc['process']} of user {ipc['user']}"
    return f"[{address.partition('%')[0]}]" if ":" in address else address
