"""Why nothing comes, although somebody is there: the handshake failed. What a subscriber can know, and do about it.

Source: zmq_socket_monitor(3). Needs only pyzmq and the standard library.
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress

import zmq

RETRY_INTERVAL = 1.0
"""Seconds until a publisher that speaks another language is tried again: it may be replaced by one with other keys."""
UNEXPLAINED = (
    "it ends the connection before there is one; is it a publisher, and does it ask for keys "
    "(--key and --server-public-key)?"
)
"""What is said where nothing tells why a handshake failed."""
_EVENT = struct.Struct("=HI")
_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CONNECTED
)


class Handshakes:
    """Watches a subscriber's connection. For the socket's thread.

    Parameters
    ----------
    socket : zmq.Socket
        Not connected yet, and alone in its context.
    endpoint : str
        Where it is going to be connected.
    has_keys : bool
        Whether it has keys.

    Attributes
    ----------
    trouble : str
        What the publisher does that keeps messages from coming; empty if there is no publisher, or it is well.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, has_keys: bool) -> None:
        self.trouble = ""
        self._socket = socket
        self._endpoint = endpoint
        self._has_keys = has_keys
        self._retry_at: float | None = None
        socket.monitor("inproc://handshakes", _EVENTS)
        self._monitor = socket.context.socket(zmq.PAIR)
        self._monitor.connect("inproc://handshakes")

    def watch(self) -> None:
        """Learn what has happened, and try again where libzmq has given up; called when nothing comes."""
        while self._monitor.poll(0):
            self._take(*_EVENT.unpack(self._monitor.recv_multipart()[0]))
        if self._retry_at is not None and time.monotonic() >= self._retry_at:
            self._retry_at = None
            with suppress(zmq.ZMQError):
                self._socket.disconnect(self._endpoint)
            self._socket.connect(self._endpoint)

    def close(self) -> None:
        """Stop watching; the socket may be closed afterwards."""
        while self._monitor.poll(0):  # libzmq could be waiting to tell more, and would wait for ever
            self._monitor.recv_multipart()
        self._socket.disable_monitor()
        self._monitor.close(linger=0)

    def _take(self, event: int, value: int) -> None:
        if event == zmq.EVENT_DISCONNECTED:
            # libzmq comes back by itself, and says so at once, but not after what it takes for an attack: a frame
            # larger than is allowed, or bytes that are not of its protocol
            self._retry_at = time.monotonic() + RETRY_INTERVAL
            return
        if event in (zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_CONNECTED):
            self._retry_at = None
            return
        if event in (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_CLOSED):
            self.trouble = ""
            return
        if event != zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._retry_at = time.monotonic() + RETRY_INTERVAL
        trouble = explain_failure(event, value, self._has_keys)
        # one that asks for keys may also be gone before that can be seen; it was seen before, then
        if trouble != UNEXPLAINED or not self.trouble:
            self.trouble = trouble


def explain_failure(event: int, value: int, has_keys: bool) -> str:
    """Say why a handshake with a publisher failed.

    Parameters
    ----------
    event, value : int
        What the socket's monitor told.
    has_keys : bool
        Whether the subscriber has keys.

    Returns
    -------
    str
        What the publisher does, to be put after its name.
    """
    if value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH and event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        if has_keys:
            return "it has no keys, and cannot prove that it is the right one"
        return "it asks for keys (--key and --server-public-key)"
    if has_keys:
        return "it lets nobody in with this key, or it is another publisher than the one whose public key was given"
    return UNEXPLAINED
