"""What a command shows while it runs: the live view, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import click

from streamer.messages import Estimate, Status, to_json

if TYPE_CHECKING:
    from rich.console import Console

    from streamer.view import LiveView

REFRESH_INTERVAL = 0.125
"""Seconds between redraws of the live view."""
_MOST_SHOWN = 2048
"""Topics whose last line is remembered: a publisher may make up streams without end."""
_LONGEST_REASON = 1000
_STANDARD_OUTPUT = 1


class Display(Protocol):
    """Takes messages in the main thread, between `__enter__` and `__exit__`.

    Attributes
    ----------
    refresh_interval : float
        Seconds after which `refresh` is to be called at the latest.
    """

    refresh_interval: float

    def __enter__(self) -> Display:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, message: Estimate | Status) -> None:
        """Take the next message."""
        ...

    def refresh(self) -> None:
        """Draw again, if it is time, and raise `OSError` if nobody reads any more."""
        ...

    def notice(self, text: str | None) -> None:
        """Say something about the connection, or take it back with None."""
        ...


class _Silent:
    """Shows nothing, and is what the other displays change."""

    refresh_interval = 1.0

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def show(self, message: Estimate | Status) -> None:
        return None

    def refresh(self) -> None:
        return None

    def notice(self, text: str | None) -> None:
        return None


class _Printing(_Silent):
    def refresh(self) -> None:
        _raise_if_nobody_reads()


class _JsonLines(_Printing):
    def show(self, message: Estimate | Status) -> None:
        if isinstance(message, Estimate):
            sys.stdout.write(to_json(message) + "\n")
            sys.stdout.flush()

    def notice(self, text: str | None) -> None:
        if text is not None:
            click.echo(f"moodring: {text}", err=True)


class _PlainLines(_Printing):
    """For output that is no terminal, such as a log: a line whenever the mood's word or a state changes."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, type[Estimate] | type[Status]], tuple[str, ...]] = {}

    def show(self, message: Estimate | Status) -> None:
        from streamer.circumplex import mood_word
        from streamer.panels import printable
        from streamer.view import plain_line

        if isinstance(message, Estimate):
            word = (
                ""
                if message.valence is None or message.arousal is None
                else mood_word(message.valence, message.arousal)
            )
            self._print_new(message, (message.state, word), plain_line(message))
        else:
            reason = printable(message.reason[:_LONGEST_REASON], True)
            line = f"{message.stream} {message.state}" + (f": {reason}" if reason else "")
            self._print_new(message, (message.state, reason), line)

    def notice(self, text: str | None) -> None:
        if text is not None:
            click.echo(text)

    def _print_new(self, message: Estimate | Status, content: tuple[str, ...], line: str) -> None:
        key = (message.stream, type(message))
        if self._shown.get(key) != content:
            self._shown[key] = content
            if len(self._shown) > _MOST_SHOWN:
                del self._shown[next(iter(self._shown))]
            click.echo(line)


class _Terminal(_Silent):
    refresh_interval = 0.25

    def __init__(self, view: LiveView, console: Console) -> None:
        from rich.live import Live

        self._view = view
        self._live = Live(view, console=console, auto_refresh=False, transient=False)
        self._drawn = 0.0

    def __enter__(self) -> Display:
        try:
            self._live.start(refresh=True)
        except BaseException:
            self._live.stop()  # an interruption while it drew for the first time would leave the cursor hidden
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a terminal that is gone needs no cursor
            try:
                self._live.refresh()
            finally:
                self._live.stop()

    def show(self, message: Estimate | Status) -> None:
        self._view.show(message)

    def refresh(self) -> None:
        _raise_if_nobody_reads()
        if time.monotonic() - self._drawn >= REFRESH_INTERVAL:
            self._drawn = time.monotonic()
            self._live.refresh()

    def notice(self, text: str | None) -> None:
        self._view.notice(text)


def make_display(endpoint: str, title: str, quiet: bool, json: bool, window_seconds: float | None = None) -> Display:
    """Choose how to show messages.

    Parameters
    ----------
    endpoint : str
        Named in the live view.
    title : str
        The live view's heading.
    quiet, json : bool
        Nothing, or JSON lines of the estimates, whatever the output is.
    window_seconds : float, optional
        How long the model warms up.

    Returns
    -------
    Display
        The live view on a terminal that can move its cursor; plain lines elsewhere.
    """
    if json:
        return _JsonLines()
    if quiet:
        return _Silent()
    from rich.console import Console

    from streamer.view import LiveView

    console = Console()
    # rich takes a pipe for a terminal where FORCE_COLOR is set, and draws nothing on a dumb one before the end
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return _PlainLines()
    return _Terminal(LiveView(endpoint, title, window_seconds), console)


def _raise_if_nobody_reads() -> None:
    """Raise what writing would, for a command that may have nothing to write for long."""
    if not hasattr(select, "poll"):
        return  # Windows: the next line that is written tells
    poll = select.poll()
    poll.register(_STANDARD_OUTPUT, 0)
    for _, event in poll.poll(0):
        if event & (select.POLLERR | select.POLLHUP):
            is_terminal = stat.S_ISCHR(os.fstat(_STANDARD_OUTPUT).st_mode)
            number = errno.EIO if is_terminal else errno.EPIPE
            raise OSError(number, os.strerror(number))
