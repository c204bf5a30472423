"""Decides, for a publisher with keys, who is let in: the ZAP handler that libzmq asks in every CURVE handshake.

pyzmq's authenticator, but run by the publisher's own thread: what the socket's thread does besides sending needs no
second thread, which could die of an error or be waited for in vain, and no event loop.

Source: RFC 27 (ZeroMQ Authentication Protocol), https://rfc.zeromq.org/spec/27/.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import zmq
import zmq.auth

from streamer.allow_list import AllowList
from streamer.keys import ZAP_DOMAIN
from streamer.limited_log import LimitedLog

_DENIED = b"400"
_DENIED_FOR_NOW = b"300"

_log = logging.getLogger("moodring.authentication")


class Authentication(zmq.auth.Authenticator):
    """Lets clients in whose public key is in a folder. Everything but the construction is for one thread.

    Attributes
    ----------
    zap_socket : zmq.Socket
        `answer` is due when it can be read.

    Parameters
    ----------
    context : zmq.Context
        The context of the socket that is guarded.
    folder : Path
        The clients' public keys, as `streamer.allow_list.AllowList` reads them.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], folder: Path) -> None:
        super().__init__(context, log=_log)
        self._folder = folder
        self._allow_list = AllowList(folder)
        self._address = ""
        self._refusals = LimitedLog(_log)
        self.configure_curve_callback(ZAP_DOMAIN.decode("ascii"), self)
        self.start()

    def answer(self) -> None:
        """Decide on the handshake that has waited longest."""
        request = self.zap_socket.recv_multipart()
        self._address = request[3].decode("utf-8", "replace")
        decision = self.handle_zap_message(request)
        with suppress(StopIteration):  # a coroutine, for authenticators that ask elsewhere; it ends without waiting
            decision.send(None)

    def refresh(self) -> None:
        """Look at the folder again: keys that are new to it are let in from now on, others no more."""
        self._allow_list.refresh()

    def allows(self, user: str) -> bool:
        """Tell whether a client that was let in still would be.

        Parameters
        ----------
        user : str
            The ``User-Id`` of its messages: its public key in Z85.

        Returns
        -------
        bool
        """
        return user.encode("ascii", "replace") in self._allow_list

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
        address = _readable(self._address)
        allowed = key in self._allow_list
        if allowed:
            _log.info("%s lets in a subscriber from %s", self._allow_list.name(key), address)
        else:
            text = key.decode("ascii")
            self._refusals.warning(
                f"{address} {text}",
                f'refused a subscriber from {address}: its public key {text} is not in "{self._folder}"',
            )
        return allowed

    def _send_zap_reply(
        self, request_id: bytes, status_code: bytes, status_text: bytes, user_id: str = "anonymous"
    ) -> None:
        # after a final refusal a client of libzmq never tries again, and would have to be started anew once its key
        # is in the folder; after this one it hears nothing, and tries again when the handshake has taken too long
        super()._send_zap_reply(
            request_id, _DENIED_FOR_NOW if status_code == _DENIED else status_code, status_text, user_id
        )


def _readable(address: str) -> str:
    """Put what libzmq calls the peer of an ipc connection, ``localhost:USER:GROUP:PROCESS``, into words."""
    host, *numbers = address.split(":")
    if host == "localhost" and len(numbers) == 3:
        return f"process {numbers[2]} of user {numbers[0]}"
    return address
