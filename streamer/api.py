"""Tracks an array, a file or a microphone with one call, on the path that the command line takes."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from model.estimator import Estimator
from model.loading import load_model
from streamer import offline
from streamer.framer import Framer, phases_of_rate
from streamer.live import LiveStream
from streamer.messages import FINAL_STATES, Estimate, Status, StreamState, validate_stream_name
from streamer.opening import open_file
from streamer.samples import Samples
from streamer.source import LONGEST_WAIT, Source
from streamer.stream_tracker import as_samples
from streamer.tracker import Tracker

LONGEST_BACKLOG = 64
"""Estimates and statuses of a live source that wait to be asked for. When there are more, the oldest go, which a gap in
`Estimate.sequence` shows."""
_ENDING_TIMEOUT = 2.0
"""Seconds that a live source has to end when nobody asks for more."""


@overload
def track(
    audio: NDArray[np.floating[Any]],
    sample_rate: int,
    *,
    model: Estimator | str | Path | None = None,
    stream: str = "stream",
    lag: float = 0.0,
    rate: float = 2.0,
    on_status: Callable[[Status], None] | None = None,
) -> Iterator[Estimate]: ...


@overload
def track(
    audio: str | Path | Source,
    sample_rate: None = None,
    *,
    model: Estimator | str | Path | None = None,
    stream: str = "stream",
    lag: float = 0.0,
    rate: float = 2.0,
    on_status: Callable[[Status], None] | None = None,
) -> Iterator[Estimate]: ...


def track(
    audio: NDArray[np.floating[Any]] | str | Path | Source,
    sample_rate: int | None = None,
    *,
    model: Estimator | str | Path | None = None,
    stream: str = "stream",
    lag: float = 0.0,
    rate: float = 2.0,
    on_status: Callable[[Status], None] | None = None,
) -> Iterator[Estimate]:
    """Estimate valence and arousal of audio, one estimate per 500 ms.

    An array and a file are read as fast as estimates are asked for. What is live (`streamer.Microphone`) is captured
    and estimated in threads of its own from the first `next` on until the iterator is closed or forgotten; who asks
    too slowly gets the newest `LONGEST_BACKLOG`.

    Parameters
    ----------
    audio : ndarray, str, Path or Source
        Samples of a floating type, shape (n,) or (n, channels), full scale at ±1; a file's path; or a source such as
        `streamer.Microphone`, which is closed at the end.
    sample_rate : int, optional
        Samples per second of an array, 1000 to 768000; goes with nothing else.
    model : Estimator, str or Path, optional
        From `streamer.load_model`, or what that takes; the bundled default if not given.
    stream : str
        The name that the estimates carry.
    lag : float
        Seconds to look back from the newest frame: a multiple of 0.5.
    rate : float
        Estimates per second; more than 2 come from frames of 500 ms that overlap.
    on_status : callable, optional
        Of what is live: is shown each `Status`, between estimates: a device that was lost, audio that was dropped.

    Yields
    ------
    Estimate
        `position` is in seconds of audio from the beginning to what the estimate has heard; `time` is 0 for what is not
        live.

    Raises
    ------
    TypeError
        If an array comes without its sample rate, or anything else with one.
    model.errors.MoodringError
        If the audio or the model cannot be used, before the iteration; if the audio breaks off, after the estimates
        before the break.
    streamer.messages.MessageError
        If the name could not be part of a topic.
    """
    validate_stream_name(stream)
    if isinstance(audio, np.ndarray) != (sample_rate is not None):
        raise TypeError("track(samples, sample_rate) for an array; track(path) and track(source) without a sample rate")
    estimator = model if isinstance(model, Estimator) else load_model(model)
    parameters = estimator.frontend.parameters
    phases = phases_of_rate(rate, parameters)
    estimator.frames_of_lag(lag)
    source: Source
    if isinstance(audio, np.ndarray):
        assert sample_rate is not None
        source = Samples("the array", as_samples("the array", sample_rate, audio), sample_rate)
    elif isinstance(audio, (str, os.PathLike)):
        source = open_file(audio)
    else:
        source = audio
    if source.live:
        return _track_live(source, estimator, stream, lag, phases, on_status)
    return offline.track(source, Framer(source.sample_rate, parameters, phases), estimator, stream, lag)


class _Inbox:
    """What a live stream has to say, until it is asked for; never holds the stream up."""

    def __init__(self) -> None:
        self._messages: deque[Estimate | Status] = deque(maxlen=LONGEST_BACKLOG)
        self._came = threading.Condition()
        self._statuses = 0
        self._started = time.time()

    def publish(self, estimate: Estimate) -> None:
        with self._came:
            self._messages.append(estimate)
            self._came.notify()

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        with self._came:
            status = Status(stream, self._statuses, time.time(), state, dropped, reason, invalid, self._started)
            self._statuses += 1
            self._messages.append(status)
            self._came.notify()

    def take(self) -> Estimate | Status:
        with self._came:
            while not self._messages:
                self._came.wait(LONGEST_WAIT)  # not without a timeout, which on Windows no Ctrl-C would end
            return self._messages.popleft()


def _track_live(
    source: Source,
    model: Estimator,
    stream: str,
    lag: float,
    phases: int,
    on_status: Callable[[Status], None] | None,
) -> Iterator[Estimate]:
    inbox = _Inbox()
    with ExitStack() as stack:
        stack.callback(source.close)
        tracker = Tracker(model, inbox.publish, lag, phases=phases)
        stack.callback(tracker.close)
        live = LiveStream(stream, source, tracker, inbox, model.frontend.parameters, paced=False)
        live.start()
        stack.callback(live.join, _ENDING_TIMEOUT)
        stack.callback(live.stop)
        while True:
            message = inbox.take()
            if isinstance(message, Estimate):
                yield message
                continue
            if on_status is not None:
                on_status(message)
            if message.state in FINAL_STATES:
                break
    if live.error is not None:
        raise live.error
