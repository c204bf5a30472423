"""Signals as something to wait for, one after the other, rather than something that interrupts."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

END = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask for an end."""
RELOAD: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The signal that asks for the configuration to be read again; Windows has none."""


class Signals:
    """Signals that have come, and the time until the next one.

    A handler that sets an event may come while the main thread holds that event's lock; here Python itself writes the
    signal's number into a socket, which can be waited for.

    Parameters
    ----------
    receiver : socket.socket
        What the numbers can be read from; not blocking.
    """

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._come: deque[int] = deque()

    def wait(self, timeout: float) -> int | None:
        """Wait for a signal.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        int or None
            Its number; None if none came.
        """
        deadline = time.monotonic() + timeout
        while not self._come:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            if select.select([self._receiver], [], [], remaining)[0]:
                self._come.extend(self._receiver.recv(100))
        return self._come.popleft()


@contextmanager
def received_signals() -> Iterator[Signals]:
    """Let the main thread, from which this must be called, wait for signals that ask for an end or a reload.

    Yields
    ------
    Signals
    """
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    with receiver, sender:
        before_descriptor = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        wanted = END if RELOAD is None else (*END, RELOAD)
        before = {number: signal.signal(number, _nothing) for number in wanted}
        try:
            yield Signals(receiver)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before_descriptor)


def terminal_was_closed(descriptor: int) -> bool:
    """Tell whether a descriptor that led to a terminal still does: a closed one sends SIGHUP, too."""
    return not os.isatty(descriptor)


def _nothing(number: int, frame: FrameType | None) -> None:
    return None
