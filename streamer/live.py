"""A stream on its way to the tracker: one thread that reads a source, frames it, and paces what is not live."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from model.errors import MoodringError
from model.features import FeatureParameters
from streamer.clock import StreamClock
from streamer.framer import Frame, Framer, frames_of
from streamer.messages import Estimate, StreamState
from streamer.source import LONGEST_WAIT, Block, Source
from streamer.timeline import Timeline
from streamer.tracker import STALE_AFTER, Tracker

STALLED_AFTER = 1.5
"""Seconds without audio after which a live source counts as stalled."""
PIPE_LEAD = 1e-3
"""Share by which a pipe may run ahead of the clock: a live writer's sound card may be that much too fast, and would
otherwise fill the pipe in the course of hours."""
PIPE_UNEVENNESS = 1.0
"""Seconds by which audio from a pipe may come late before it counts as a backlog, or as having paused."""
PIPE_SETTLING = 2.0
"""Seconds for which audio from a pipe must have come late, at its own pace, before it counts as new again: whether its
writer paused or has kept what it wrote cannot be seen sooner."""
PIPE_PROGRESS = 0.25
"""Seconds by which lateness falls within `PIPE_SETTLING` where a writer has kept what it wrote."""
ZEROS_SUSPICIOUS_AFTER = 5.0
"""Seconds of exact zeros after which a microphone's status says that something is wrong."""
BEHIND = f"tracking is behind: estimates of audio that is older than {STALE_AFTER:g} s are not published"
"""The reason that a running stream's status gives where nothing is lost, yet no estimates come."""

_logger = logging.getLogger("moodring.live")


class Outlet(Protocol):
    """Takes what there is to tell: a publisher, a view, or both."""

    def publish(self, estimate: Estimate) -> None:
        """Take an estimate."""
        ...

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        """Take a stream's status."""
        ...


class LiveStream:
    """Feeds one source to a tracker in a thread, and reports its status.

    Parameters
    ----------
    stream : str
        The stream's name.
    source : Source
        What to hear.
    tracker : Tracker
        Where the frames go.
    outlet : Outlet
        Where the statuses go.
    parameters : FeatureParameters
        What a frame is.
    paced : bool
        Give each frame to the tracker when its end is due, as if the audio were being played; otherwise as soon as
        it is there. Frames of what is neither paced nor live are never too late.
    """

    def __init__(
        self,
        stream: str,
        source: Source,
        tracker: Tracker,
        outlet: Outlet,
        parameters: FeatureParameters,
        paced: bool,
    ) -> None:
        self.stream = stream
        self.error: MoodringError | None = None
        self._source = source
        self._tracker = tracker
        self._outlet = outlet
        self._framer = Framer(source.sample_rate, parameters, tracker.phases)
        self._paced = paced
        self._clock = StreamClock()
        self._stop = threading.Event()
        self._stopped_as: tuple[StreamState, str] = "ended", "stopped"
        self._told: tuple[StreamState, float, str, int] | None = None
        self._last_audio = self._started = time.monotonic()
        self._timeline = Timeline(PIPE_UNEVENNESS, PIPE_SETTLING, PIPE_PROGRESS)
        self._origin: float | None = None
        self._behind = False
        self._captured = False
        self._heard = 0
        self._zeros = 0
        self._thread = threading.Thread(target=self._run, name=f"stream {stream}", daemon=True)

    @property
    def invalid(self) -> int:
        """Samples so far that were not finite numbers."""
        return self._framer.invalid

    @property
    def dropped(self) -> float:
        """Seconds of audio lost so far."""
        return self._framer.dropped

    def start(self) -> None:
        """Begin; the tracker gets the stream's name, and the outlet its first status."""
        self._tracker.add_stream(self.stream)
        self._tell("starting")
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end.

        Parameters
        ----------
        timeout : float, optional
            Seconds; without it, as long as it takes.

        Returns
        -------
        bool
            Whether the stream has ended; `error` then tells whether well.
        """
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stop(self, reason: str = "stopped", state: StreamState = "ended") -> None:
        """Make the stream end soon; returns at once.

        Parameters
        ----------
        reason : str
            What the last status says; the first call's counts.
        state : StreamState
            ``ended`` or ``failed``.
        """
        if not self._stop.is_set():
            self._stopped_as = state, reason
        self._stop.set()
        self._source.close()

    def _run(self) -> None:
        try:
            self._feed()
            self._tracker.flush(self.stream)
        except MoodringError as error:
            if not self._stop.is_set():
                self.error = error
        except Exception as error:
            self.error = MoodringError(f"{self._source.name}: {error}")
            self.error.__cause__ = error
        if self.error is None:
            self._tell(*(self._stopped_as if self._stop.is_set() else ("ended", "end of input")))
        else:
            self._flush_after_error()
            self._tell("failed", str(self.error))

    def _feed(self) -> None:
        self._started = time.monotonic()
        if not self._source.live:
            self._clock.observe(0.0, time.time())
        with closing(frames_of(self._source, self._framer, self._on_block)) as frames:
            for frame in frames:
                if self._paced and self._wait_until_due(frame.position):
                    return
                if self._source.live and not self._captured:
                    self._clock.observe(frame.position, time.time())
                self._submit(replace(frame, time=self._clock.time(frame.position), due=self._due(frame.position)))

    def _submit(self, frame: Frame) -> None:
        while True:
            submitted = self._tracker.submit(self.stream, frame, LONGEST_WAIT)
            self._behind = frame.due is not None and time.monotonic() - frame.due > STALE_AFTER
            if submitted:
                return
            if self._behind:
                self._tell("running", BEHIND)

    def _due(self, position: float) -> float | None:
        """Tell when a frame's end is new, on the monotonic clock; None if it is never too late."""
        if self._origin is not None:
            return self._origin + position
        if not self._paced:
            return None
        if not self._source.live:
            return self._started + position
        late = self._timeline.observe(position, time.monotonic())
        if late:
            self._timeline.shift(late)
        return (self._timeline.origin or 0.0) + position

    def _flush_after_error(self) -> None:
        try:
            self._tracker.flush(self.stream)
        except MoodringError:
            return  # the tracker itself is what failed, and `error` says so

    def _on_block(self, block: Block) -> None:
        now = time.monotonic()
        if len(block.samples):
            self._last_audio = now
            self._heard += len(block.samples)
            self._origin = block.origin
            if block.captured is not None:
                self._captured = True
                position = (self._heard + self._framer.lost) / self._framer.sample_rate
                if block.lost:
                    self._clock.resume(position - len(block.samples) / self._framer.sample_rate)
                self._clock.observe(position, block.captured)
            suspicion = self._suspicion(block)
            self._tell("running", BEHIND if self._behind else suspicion)
        elif self._source.live and (block.trouble or now - self._last_audio > STALLED_AFTER):
            self._tell("stalled", block.trouble or f"no audio from {self._source.name}")

    def _suspicion(self, block: Block) -> str:
        if not self._source.zeros_hint:
            return ""
        self._zeros = 0 if block.samples.any() else self._zeros + len(block.samples)
        return self._source.zeros_hint if self._zeros >= ZEROS_SUSPICIOUS_AFTER * self._framer.sample_rate else ""

    def _wait_until_due(self, position: float) -> bool:
        """Sleep until the frame's end; True if the stream was stopped meanwhile."""
        lead = PIPE_LEAD if self._source.live else 0.0
        return self._stop.wait(max(0.0, self._started + position * (1 - lead) - time.monotonic()))

    def _tell(self, state: StreamState, reason: str = "") -> None:
        now = (state, self._framer.dropped, reason, self._framer.invalid)
        if now != self._told:
            before = self._told[0] if self._told else None
            if state == "stalled" and state != before:
                _logger.warning('stream "%s" is stalled: %s', self.stream, reason)
            elif state == "running" and before == "stalled":
                _logger.warning('stream "%s" goes on; %.1f s of audio were lost so far', self.stream, now[1])
            self._told = now
            self._outlet.set_status(self.stream, *now)
