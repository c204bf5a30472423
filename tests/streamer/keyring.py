"""Keys for tests, what a publisher logs, and a wire that can be read."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.key_files import write_key_pair
from streamer.keys import ClientKeys, ServerKeys

PATIENCE = 30.0
"""Seconds after which what should happen at once is taken not to happen, on a machine that is busy."""


class Keyring:
    """Key pairs of a publisher, ``stage``, and of whoever else is named, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.allowed = folder / "allowed"
        self.allowed.mkdir()
        self.allowed.chmod(0o755)
        self.make("stage")

    def make(self, name: str) -> None:
        write_key_pair(name, self.folder)

    def public(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def secret(self, name: str) -> Path:
        return self.folder / f"{name}.key_secret"

    def allow(self, name: str) -> None:
        if not self.public(name).exists():
            self.make(name)
        shutil.copy(self.public(name), self.allowed)

    def forbid(self, name: str) -> None:
        (self.allowed / f"{name}.key").unlink()

    def server(self) -> ServerKeys:
        return ServerKeys.load(self.secret("stage"), self.allowed)

    def client(self, name: str, publisher: str = "stage") -> ClientKeys:
        for one in (name, publisher):
            if not self.public(one).exists():
                self.make(one)
        return ClientKeys.load(self.secret(name), self.public(publisher))


class Log(logging.Handler):
    """Keeps what moodring logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def has(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.lines)


@contextmanager
def logged() -> Iterator[Log]:
    logger, log = logging.getLogger("moodring"), Log()
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)


def wait_for(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        threading.Event().wait(0.01)


class Wire:
    """A TCP proxy that writes down what the publisher sends."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.received = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                subscriber, _ = self._listener.accept()
            except OSError:
                return
            publisher = socket.create_connection(self._target)
            self._ends += [subscriber, publisher]
            threading.Thread(target=self._carry, args=(publisher, subscriber, self.received), daemon=True).start()
            threading.Thread(target=self._carry, args=(subscriber, publisher, bytearray()), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
        try:
            while data := source.recv(65536):
                record += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
