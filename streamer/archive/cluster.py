"""A Ray cluster, by the process that uses it: see `engine`."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from model.errors import MoodringError
from streamer.archive.engine import serve
from streamer.archive.work import Item, Order, Outcome
from streamer.jobs import signals_held

_CONTEXT = multiprocessing.get_context("spawn")
_LONGEST_ANSWER = 10.0
"""Seconds in which the head of a cluster accepts a connection."""
_LONGEST_CONNECTING = 120.0
"""Seconds in which it is told how many processors it has."""
_LONGEST_END = 5.0
"""Seconds in which it ends by itself, and its own cluster with it in order, before it is killed."""
_LONGEST_WAIT = 0.1
"""Seconds between two looks at whether there was a signal."""


def require_ray() -> None:
    """Raise MoodringError if Ray is not installed, without importing it, which takes a second."""
    if find_spec("ray") is None or find_spec("pandas") is None:
        raise MoodringError('--engine ray needs ray: pip install "moodring[ray]"')


class Cluster:
    """Connects to a Ray cluster, or starts one. Use it as a context manager: leaving it ends what is being done.

    Parameters
    ----------
    address : str or None
        ``HOST:PORT`` of the cluster's head; None for a cluster of this machine alone, which listens on loopback only.
    processors : int
        How many a cluster of this machine alone has.
    order : Order
        What all items of work have in common.
    at_once : int or None
        The most items that may be done at the same time; None for what the cluster has room for.
    ask : callable
        Called several times a second; may raise to stop.

    Attributes
    ----------
    processors : int
        How many the cluster has now; 0 if machines have yet to join.

    Raises
    ------
    MoodringError
        If the cluster cannot be reached, or has another version of Ray or Python.
    """

    def __init__(
        self, address: str | None, processors: int, order: Order, at_once: int | None, ask: Callable[[], None]
    ) -> None:
        if address:
            _reach(address)
        self._ask = ask
        self._session: str | None = None
        self._connection, theirs = _CONTEXT.Pipe()
        arguments = (theirs, address, processors, order, at_once)
        self._process = _CONTEXT.Process(target=serve, args=arguments, daemon=True)
        with signals_held():
            self._process.start()
        theirs.close()
        where = f"the Ray cluster at {address} cannot be used" if address else "Ray cannot be started"
        hint = " (is it the address of its head, Ray of the same version, and its token here?)" if address else ""
        try:
            said = self._receive(time.monotonic() + _LONGEST_CONNECTING)
            if not isinstance(said, dict):
                raise MoodringError(f"{where}: {said or 'it does not answer'}{hint}")
        except BaseException:
            self._end()
            raise
        self.processors = int(said["processors"])
        self._session = said["session"]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Have items done; to be called once.

        Parameters
        ----------
        items : sequence of Item

        Yields
        ------
        Outcome
            In the order in which they come. An item that is lost with its process or machine is given to another one.

        Raises
        ------
        MoodringError
            If the cluster is lost, or moodring cannot be run on it.
        """
        for item in (*items, None):
            self._connection.send_bytes(json.dumps(item).encode())
        while (said := self._receive()) is not None:
            if isinstance(said, str):
                raise MoodringError(f"the Ray cluster failed: {said}; each machine needs the same moodring")
            yield Outcome(*said)

    def _receive(self, deadline: float | None = None) -> Any:
        """Return the next message; of a process that was ended, that it was lost; None at the deadline."""
        while deadline is None or time.monotonic() < deadline:
            self._ask()
            if self._connection.poll(_LONGEST_WAIT):
                try:
                    return json.loads(self._connection.recv_bytes())
                except (EOFError, OSError):
                    return "it was lost"
        return None

    def _end(self) -> None:
        self._connection.close()
        self._process.join(_LONGEST_END)
        self._process.kill()
        self._process.join()
        if self._session is not None:
            shutil.rmtree(self._session, ignore_errors=True)


def _reach(address: str) -> None:
    """Say at once that nothing answers at an address, where Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _LONGEST_ANSWER).close()
        except OSError as error:
            raise MoodringError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error
