"""Bad subscribers, each a function that goes on until it is told to stop: for the benchmark, and for the tests.

Each takes the endpoint (``tcp://HOST:PORT``) and an event. They speak ZMTP themselves where libzmq would be too polite.

Source: ZMTP 3.0, RFC 23 (https://rfc.zeromq.org/spec/23/).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import zmq

FLOODED_TOPICS = 1_000_000
SILENT_CONNECTIONS = 50
RECONNECT_INTERVAL = 0.1
"""Seconds before one that was thrown out connects again: what libzmq waits. Who leaves by itself does not wait."""
SLOW_INTERVAL = 0.5
"""Seconds between two messages that the slow reader reads: a tenth of the benchmark's rate."""


class Stop(Protocol):
    """An event of `threading` or of `multiprocessing`."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it."""
        ...


def connect(endpoint: str, receive_buffer: int = 0) -> socket.socket:
    """Open a TCP connection and say nothing."""
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    connection = socket.socket()
    connection.settimeout(5)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect((host, int(port)))
    return connection


def shake_hands(endpoint: str, receive_buffer: int = 0) -> socket.socket:
    """Open a connection as a subscriber without keys does; with a receive buffer of so many bytes, if it is not 0.

    Raises
    ------
    OSError
        If the other end does not want it.
    """
    connection = connect(endpoint, receive_buffer)
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 3) + b"SUB"
    connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
    received = b""
    while len(received) < 64 + 2:
        more = connection.recv(4096)
        if not more:
            connection.close()
            raise ConnectionResetError("closed during the handshake")
        received += more
    return connection


def subscription(topic: bytes) -> bytes:
    """Give the bytes that subscribe to a topic of up to 254 bytes."""
    return bytes([0, len(topic) + 1, 1]) + topic


def never_read(endpoint: str, stop: Stop) -> None:
    """Subscribe to everything, with the smallest buffers, and read nothing."""
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint, 2304) as connection:
            connection.sendall(subscription(b""))
            connection.settimeout(None)
            stop.wait()


def never_read_politely(endpoint: str, stop: Stop) -> None:
    """Subscribe through libzmq, and read nothing."""
    with _subscriber(endpoint, receive=1):
        stop.wait()


def read_slowly(endpoint: str, stop: Stop) -> None:
    """Read a tenth of what comes."""
    with _subscriber(endpoint, receive=10) as reader:
        while not stop.wait(SLOW_INTERVAL):
            if reader.poll(0):
                reader.recv_multipart()


def vanish(endpoint: str, stop: Stop) -> None:
    """Connect, subscribe, and go without a word, again and again."""
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            connection.sendall(subscription(b"emotion/") + subscription(b"status/"))
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def vanish_politely(endpoint: str, stop: Stop) -> None:
    """Connect through libzmq, subscribe, and leave, again and again."""
    while not stop.is_set():
        with _subscriber(endpoint) as visitor:
            visitor.poll(20)


def flood(endpoint: str, stop: Stop, topics: int = FLOODED_TOPICS) -> None:
    """Subscribe to a million topics as fast as it goes; when thrown out, do it again."""
    data = b"".join(subscription(f"emotion/{number:012x}".encode()) for number in range(topics))
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            connection.sendall(data)
            while not stop.is_set() and connection.recv(65536):
                pass
        stop.wait(RECONNECT_INTERVAL)


def flood_politely(endpoint: str, stop: Stop, topics: int = FLOODED_TOPICS) -> None:
    """Subscribe to a million topics through libzmq, which connects and subscribes again by itself."""
    with _subscriber(endpoint) as reader:
        for number in range(topics):
            reader.subscribe(f"emotion/{number:08x}".encode())
            if stop.is_set():
                return
        stop.wait()


def speak_garbage(endpoint: str, stop: Stop) -> None:
    """Send what is no ZMTP, or begins as if it were some."""
    openings = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\xff" + bytes(8) + b"\x7f\x03\x00", b"\xff" * 12)
    while not stop.is_set():
        for opening in openings:
            with _trouble(stop), connect(endpoint) as connection:
                connection.sendall(opening + os.urandom(2000))
                connection.recv(65536)


def speak_garbage_later(endpoint: str, stop: Stop) -> None:
    """Shake hands as one should, and send garbage after that."""
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            connection.sendall(subscription(b"emotion/") + os.urandom(2000))
            while connection.recv(65536):
                pass


def say_nothing(endpoint: str, stop: Stop) -> None:
    """Hold many connections open without a word, and open new ones for those that are closed."""
    connections: list[socket.socket] = []
    while not stop.is_set():
        with _trouble(stop):
            while len(connections) < SILENT_CONNECTIONS:
                connections.append(connect(endpoint))
        stop.wait(0.2)
        for connection in list(connections):
            connection.setblocking(False)
            try:
                gone = connection.recv(4096) == b""
            except BlockingIOError:
                continue  # still open
            except OSError:
                gone = True
            if gone:
                connections.remove(connection)
                connection.close()
    for connection in connections:
        connection.close()


def send_without_end(endpoint: str, stop: Stop) -> None:
    """Send one message that is said to have a terabyte."""
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            connection.sendall(b"\x02" + struct.pack(">Q", 1 << 40) + b"\x01")
            while not stop.is_set():
                connection.sendall(bytes(65536))


def send_in_parts(endpoint: str, stop: Stop) -> None:
    """Send one message of small parts, each of which says that there is another."""
    parts = b"\x01\x05hello" * 10_000
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            while not stop.is_set():
                connection.sendall(parts)


def talk_back(endpoint: str, stop: Stop) -> None:
    """Send messages, which a subscriber never does, as fast as it goes."""
    chatter = b"\x00\x05hello" * 1000
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            while not stop.is_set():
                connection.sendall(chatter)


def change_mind(endpoint: str, stop: Stop) -> None:
    """Subscribe to the same topic and cancel that, as fast as it goes."""
    both = (subscription(b"emotion/") + bytes([0, 9, 0]) + b"emotion/") * 500
    while not stop.is_set():
        with _trouble(stop), shake_hands(endpoint) as connection:
            connection.setblocking(True)
            while not stop.is_set():
                connection.sendall(both)


BAD_PEERS: tuple[Callable[[str, Stop], None], ...] = (
    never_read,
    never_read_politely,
    read_slowly,
    vanish,
    vanish_politely,
    flood,
    flood_politely,
    speak_garbage,
    speak_garbage_later,
    say_nothing,
    send_without_end,
    send_in_parts,
    talk_back,
    change_mind,
)


@contextmanager
def _trouble(stop: Stop) -> Iterator[None]:
    """Expect to be thrown out; `RECONNECT_INTERVAL` later it goes on."""
    try:
        yield
    except OSError:
        stop.wait(RECONNECT_INTERVAL)


@contextmanager
def _subscriber(endpoint: str, receive: int = 1000) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context:
        context.linger = 0
        reader = context.socket(zmq.SUB)
        reader.setsockopt(zmq.RCVHWM, receive)
        reader.setsockopt(zmq.SNDHWM, 0)  # otherwise libzmq drops what is subscribed to too fast
        reader.connect(endpoint)
        reader.subscribe(b"emotion/")
        reader.subscribe(b"status/")
        try:
            yield reader
        finally:
            reader.close()
