"""Runs one source from beginning to end: tracker, publisher and display together."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import click

from model.checkpoint import Checkpoint
from streamer.display import Display
from streamer.interruption import interruption
from streamer.live import LiveStream
from streamer.messages import Estimate, Status, StreamState
from streamer.publisher import Publisher
from streamer.source import Source
from streamer.tracker import Tracker

_DISPLAY_QUEUE_LENGTH = 1000
_JOIN_TIMEOUT = 2.0


class _Outlet:
    """Hands everything to the publisher, and to the display's bounded queue."""

    def __init__(self, publisher: Publisher, wait: bool) -> None:
        self._publisher = publisher
        self._wait = wait
        self._closed = threading.Event()
        self.messages: queue.Queue[Estimate | Status] = queue.Queue(_DISPLAY_QUEUE_LENGTH)
        self.dropped = 0

    def publish(self, estimate: Estimate) -> None:
        self._publisher.publish(estimate)
        self._show(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        self._publisher.set_status(stream, state, dropped, reason, invalid)
        self._show(Status(stream, 0, 0.0, state, dropped, reason, invalid))

    def close(self) -> None:
        self._closed.set()

    def _show(self, message: Estimate | Status) -> None:
        # a display that lags, or a terminal that was stopped, must not hold live tracking up
        while not self._closed.is_set():
            try:
                self.messages.put(message, timeout=0.1 if self._wait else 0)
            except queue.Full:
                if not self._wait:
                    self.dropped += 1
                    return
            else:
                return


def perform(
    source: Source,
    stream: str,
    checkpoint: Checkpoint,
    publisher: Publisher,
    display: Display,
    lag: float,
    paced: bool,
    on_estimate: Callable[[Estimate], None] | None = None,
) -> None:
    """Track a source until it ends, or until Ctrl-C or SIGTERM, and leave everything closed.

    Parameters
    ----------
    source : Source
        What to hear.
    stream : str
        The stream's name.
    checkpoint : Checkpoint
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

    Raises
    ------
    model.errors.MoodringError
        If the source breaks or tracking fails, after everything before that was published.
    """
    with ExitStack() as stack:
        stack.callback(source.close)
        stack.callback(publisher.close)
        outlet = _Outlet(publisher, wait=not paced and not source.live)
        tracker = Tracker(checkpoint, outlet.publish, lag)
        stack.callback(tracker.close)
        live = LiveStream(stream, source, tracker, outlet, checkpoint.frontend.parameters, paced)
        with suppress(KeyboardInterrupt), interruption() as interrupted, display:
            live.start()
            stack.callback(live.join, _JOIN_TIMEOUT)
            stack.callback(outlet.close)
            stack.callback(live.stop)
            _show_until_ended(live, outlet, display, interrupted, on_estimate)
    if outlet.dropped:
        click.echo(f"moodring: the display was too slow and missed {outlet.dropped} messages", err=True)
    if live.invalid:
        click.echo(
            f"moodring: {live.invalid} samples of {source.name} were not finite and were taken as silence", err=True
        )
    if live.error is not None:
        raise live.error


def _show_until_ended(
    live: LiveStream,
    outlet: _Outlet,
    display: Display,
    interrupted: threading.Event,
    on_estimate: Callable[[Estimate], None] | None,
) -> None:
    ended = False
    deadline = math.inf
    while not (ended and outlet.messages.empty()):
        if interrupted.is_set() and deadline == math.inf:
            live.stop()
            deadline = time.monotonic() + _JOIN_TIMEOUT
        ended = ended or live.join(0) or time.monotonic() > deadline
        try:
            message = outlet.messages.get(timeout=0.05)
        except queue.Empty:
            pass
        else:
            display.show(message)
            if on_estimate is not None and isinstance(message, Estimate):
                on_estimate(message)
        display.refresh()
