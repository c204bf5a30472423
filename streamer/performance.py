"""Runs one source from beginning to end: tracker, publisher and display together."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import click

from model.estimator import Estimator
from streamer.display import Display
from streamer.interruption import Interruption, interruption, terminal_is_gone
from streamer.live import LiveStream
from streamer.messages import Estimate, Status, StreamState
from streamer.publisher import Publisher
from streamer.source import Source
from streamer.tracker import Tracker

_DISPLAY_QUEUE_LENGTH = 1000
_FULL_WAIT = 0.01
"""Seconds between two looks at whether the display's queue has room again."""
_ENDING_WAIT = 0.02
"""Seconds between two looks at whether the stream's thread has ended, once it has said so."""
_SHOWN_AFTER_STOP = 0.7
"""Seconds after a signal for which the display still waits for what the stream has to say at its end."""
_JOIN_TIMEOUT = 1.2
"""Seconds that a stream has to end after that: 2 s from the signal, with what the display took."""


class _Outlet:
    """Hands everything to the publisher, and to the display's bounded queue."""

    def __init__(self, publisher: Publisher, wait: bool) -> None:
        self._publisher = publisher
        self._wait = wait
        self._closed = threading.Event()
        # bounded by `_show`; what has a bound itself costs a small machine several times as much to wait for
        self.messages: queue.SimpleQueue[Estimate | Status | None] = queue.SimpleQueue()
        self.dropped = 0

    def publish(self, estimate: Estimate) -> None:
        self._publisher.publish(estimate)
        self._show(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        self._publisher.set_status(stream, state, dropped, reason, invalid)
        self._show(Status(stream, 0, 0.0, state, dropped, reason, invalid))

    def wake(self) -> None:
        """Make who waits for messages look around; a signal's handler may call it."""
        self.messages.put(None)

    def close(self) -> None:
        self._closed.set()

    def _show(self, message: Estimate | Status) -> None:
        while not self._closed.is_set():
            if self.messages.qsize() < _DISPLAY_QUEUE_LENGTH:
                self.messages.put(message)
                return
            # a display that lags, or a terminal that was stopped, must not hold live tracking up
            if not self._wait:
                self.dropped += 1
                return
            self._closed.wait(_FULL_WAIT)


def perform(
    source: Source,
    stream: str,
    checkpoint: Estimator,
    publisher: Publisher,
    display: Display,
    lag: float,
    paced: bool,
    on_estimate: Callable[[Estimate], None] | None = None,
    phases: int = 1,
) -> None:
    """Track a source until it ends, or until a signal asks for the end, and leave everything closed.

    What is published last is a status that says ``ended`` or ``failed`` and why, also when what broke is the display.

    Parameters
    ----------
    source : Source
        What to hear.
    stream : str
        The stream's name.
    checkpoint : Estimator
        The model.
    publisher : Publisher
        Where to publish; closed at the end.
    display : Display
        What to show.
    lag : float
        Seconds to look back.
    paced : bool
        Real time for a source that is not live; otherwise as fast as it goes.
    on_estimate : callable, optional
        Is shown every estimate that the display is shown.
    phases : int
        How many frames begin while one lasts (`streamer.framer.phases_of_rate`).

    Raises
    ------
    model.errors.MoodringError
        If the source breaks or tracking fails, after everything before that was published.
    OSError
        If the display cannot be written to.
    streamer.interruption.Interrupted
        If the terminal was closed, or the display had to be cut short.
    """
    with ExitStack() as stack:
        stack.callback(source.close)
        stack.callback(publisher.close)
        outlet = _Outlet(publisher, wait=not paced and not source.live)
        try:
            tracker = Tracker(checkpoint, outlet.publish, lag, phases=phases)
            stack.callback(tracker.close)
            live = LiveStream(stream, source, tracker, outlet, checkpoint.frontend.parameters, paced)
        except BaseException as error:
            tell_failure(publisher, stream, error)
            raise
        with interruption(outlet.wake) as interrupted:
            try:
                with display:
                    live.start()
                    stack.callback(_await_end, live, outlet, source.name)
                    stack.callback(outlet.close)
                    _show_until_ended(live, outlet, display, interrupted, on_estimate)
            except OSError as error:
                if not (interrupted.is_set() or terminal_is_gone(error)):
                    live.stop(
                        f"standard output: {error.strerror or error}",
                        "ended" if isinstance(error, BrokenPipeError) else "failed",
                    )
                    raise
                interrupted.hang_up()
            except Exception as error:
                live.stop(str(error) or type(error).__name__, "failed")
                raise
            finally:
                live.stop(interrupted.reason)
    if interrupted.hung_up:
        interrupted.raise_if_set()
    if outlet.dropped:
        click.echo(f"moodring: the display was too slow and missed {outlet.dropped} messages", err=True)
    if live.invalid:
        click.echo(
            f"moodring: {live.invalid} samples of {source.name} were not finite and were taken as silence", err=True
        )
    if live.error is not None:
        raise live.error


def tell_failure(publisher: Publisher, stream: str, error: BaseException) -> None:
    """Publish the last status of a stream that was announced and could not begin.

    Parameters
    ----------
    publisher : Publisher
        Where it was announced.
    stream : str
        Its name.
    error : BaseException
        What came in between: a failure, or an interruption.
    """
    if isinstance(error, KeyboardInterrupt):
        publisher.set_status(stream, "ended", reason="stopped")
    else:
        publisher.set_status(stream, "failed", reason=str(error))


def _await_end(live: LiveStream, outlet: _Outlet, source: str) -> None:
    if not live.join(_JOIN_TIMEOUT):
        outlet.set_status(live.stream, "failed", live.dropped, f"stopped, but {source} does not answer", live.invalid)


def _show_until_ended(
    live: LiveStream,
    outlet: _Outlet,
    display: Display,
    interrupted: Interruption,
    on_estimate: Callable[[Estimate], None] | None,
) -> None:
    ended = False
    wait = display.refresh_interval
    deadline = math.inf
    while not (ended and outlet.messages.empty()):
        if interrupted.is_set() and deadline == math.inf:
            live.stop(interrupted.reason)
            deadline = time.monotonic() + _SHOWN_AFTER_STOP
            wait = _ENDING_WAIT
        ended = ended or live.join(0) or time.monotonic() > deadline
        try:
            message = outlet.messages.get(timeout=wait)
        except queue.Empty:
            message = None
        if message is not None:
            display.show(message)
            if on_estimate is not None and isinstance(message, Estimate):
                on_estimate(message)
            if isinstance(message, Status) and message.state in ("ended", "failed"):
                wait = _ENDING_WAIT
        display.refresh()
