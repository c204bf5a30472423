"""Answers to Ctrl-C, SIGTERM and a closed terminal (SIGHUP): all of them leave everything in order.

Commands that run for long ask an `Interruption` between two steps. An exception that is raised wherever the signal
happens to come would be lost when it comes in a destructor, and would cut short what has to be closed in order.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HURRY_AFTER = 1.5
"""Seconds after the first signal from which on what still blocks, such as a write that nobody reads, is cut short."""
LONGEST_END = 10.0
"""Seconds after the first signal at which the process ends, whatever still blocks it."""
_HURRY_INTERVAL = 0.25
_STANDARD_OUTPUT = 1

_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
_WORDS = {int(signal.SIGINT): "interrupted", int(signal.SIGTERM): "terminated"} | (
    {} if _HANGUP is None else {int(_HANGUP): "the terminal was closed"}
)
"""What each signal that asks for an end means."""


class Interrupted(KeyboardInterrupt):
    """Work was stopped by a signal before it was done.

    Parameters
    ----------
    number : int
        The signal.
    detail : str
        What has become of the work; may be empty.

    Attributes
    ----------
    exit_status : int
        128 + the signal's number, as shells have it.
    """

    def __init__(self, number: int = signal.SIGINT, detail: str = "") -> None:
        super().__init__(number, detail)
        self.number = number
        self.detail = detail
        self.exit_status = 128 + number

    def __str__(self) -> str:
        return f"{_WORDS[self.number]}; {self.detail}" if self.detail else _WORDS[self.number]


class Interruption:
    """What the first signal sets; to be asked often.

    It has no `wait`: a handler that sets a `threading.Event` may come while the main thread holds that event's lock.

    Attributes
    ----------
    number : int or None
        The signal; None while there was none.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def reason(self) -> str:
        """Why a stream ends by it, for its last status."""
        return "stopped" if self.number in (None, signal.SIGINT) else _WORDS[self.number]

    @property
    def hung_up(self) -> bool:
        """Whether the terminal was closed."""
        return self.number is not None and self.number == _HANGUP

    def is_set(self) -> bool:
        """Tell whether a signal has come."""
        return self.number is not None

    def hang_up(self) -> None:
        """Take note that the terminal was closed, which the system does not tell every process by a signal."""
        if self.number is None:
            self.number = _HANGUP

    def raise_if_set(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def interruption(wake: Callable[[], None] = lambda: None) -> Iterator[Interruption]:
    """Give what the first Ctrl-C, SIGTERM or SIGHUP sets; nothing is cut short by it. The second raises `Interrupted`.

    So does the first, when `HURRY_AFTER` seconds later the context has not been left; and if then the process has not
    ended `LONGEST_END` seconds after the signal, it is ended. To be called from the main thread.

    Parameters
    ----------
    wake : callable
        Called by the first signal's handler, wherever the main thread is: it may take no lock that the main thread
        could hold, and `queue.SimpleQueue.put` takes none.

    Yields
    ------
    Interruption
    """
    interrupted = Interruption()
    inside = True
    deadline = 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal deadline
        if interrupted.number is not None:
            raise Interrupted(interrupted.number)
        interrupted.number = number
        wake()
        if hasattr(signal, "SIGALRM"):
            deadline = time.monotonic() + LONGEST_END
            signal.signal(signal.SIGALRM, hurry)
            signal.setitimer(signal.ITIMER_REAL, HURRY_AFTER, _HURRY_INTERVAL)

    def hurry(number: int, frame: FrameType | None) -> None:
        assert interrupted.number is not None
        if time.monotonic() >= deadline:
            os._exit(128 + interrupted.number)
        if inside:
            raise Interrupted(interrupted.number)

    with _handled_by(interrupt):
        try:
            yield interrupted
        finally:
            inside = False


def lift_limits() -> None:
    """Take the limits of `interruption` back: nothing is left that could block, only Python's own end.

    It has no handlers any more then, and an alarm would kill it.
    """
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def signals_raised() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Interrupted` in the main thread, from which this must be called, as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handled_by(interrupt):
        yield


def terminal_is_gone(error: OSError) -> bool:
    """Tell whether writing to standard output failed because it is a terminal that was closed.

    Parameters
    ----------
    error : OSError
        What writing raised.

    Returns
    -------
    bool
    """
    try:
        return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(_STANDARD_OUTPUT).st_mode)
    except OSError:
        return False


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {}
    for number in _WORDS:
        # nohup, and whoever else starts a program that is to outlive its terminal, has SIGHUP ignored
        if number != _HANGUP or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
