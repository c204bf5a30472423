"""What is known of each stream at the moment: what health and metrics are made of."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace

from streamer.messages import Estimate, EstimateState, StreamState

SILENT_AFTER = 5.0
"""Seconds without an estimate after which a stream that says it is running is not believed."""


@dataclass(frozen=True)
class Reading:
    """What is known of a stream.

    Attributes
    ----------
    required : bool
        Whether the service is unhealthy without it.
    state : StreamState
        As in its last status.
    reason : str
        Why.
    since : float
        UTC at which the state began.
    dropped : float
        Seconds of audio lost, over all runs.
    invalid : int
        Samples that were not finite, over all runs.
    stalls, restarts, refused : int
        How often it stalled, and was started again after a failure; writers that were turned away.
    frames : int
        Frames that the model was given.
    estimates : dict of EstimateState to int
        Estimates published.
    active : float
        Monotonic time of the last estimate, or of the beginning of the state if that was later.
    """

    required: bool
    state: StreamState = "starting"
    reason: str = ""
    since: float = 0.0
    dropped: float = 0.0
    invalid: int = 0
    stalls: int = 0
    restarts: int = 0
    refused: int = 0
    frames: int = 0
    estimates: dict[EstimateState, int] = field(default_factory=dict)
    active: float = 0.0

    @property
    def silent(self) -> float:
        """Seconds without an estimate."""
        return time.monotonic() - self.active

    @property
    def good(self) -> bool:
        """Whether it does what it shall: it runs, or has come to its end."""
        return self.state == "ended" or (self.state == "running" and self.silent < SILENT_AFTER)


class Board:
    """Readings of all streams; to be written and read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: dict[str, Reading] = {}
        self._of_run: dict[str, tuple[float, int]] = {}

    def readings(self) -> dict[str, Reading]:
        """Return what is known of each stream now."""
        with self._lock:
            return dict(self._readings)

    def add(self, stream: str, required: bool) -> None:
        """Take note that there is a stream, or of whether it is required."""
        with self._lock:
            known = self._readings.get(stream, Reading(required, since=time.time(), active=time.monotonic()))
            self._readings[stream] = replace(known, required=required)
            self._of_run.setdefault(stream, (0.0, 0))

    def remove(self, stream: str) -> None:
        """Forget a stream."""
        with self._lock:
            self._readings.pop(stream, None)
            self._of_run.pop(stream, None)

    def tell(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        """Take note of a status.

        Parameters
        ----------
        stream : str
            One that is there; others are passed over.
        state, dropped, reason, invalid
            As in the status. Losses count from the beginning of a run.
        """
        with self._lock:
            before = self._readings.get(stream)
            if before is None:
                return
            lost_before, invalid_before = self._of_run[stream]
            # fewer than before: another run, which counts from 0
            new_losses = dropped - lost_before if dropped >= lost_before else dropped
            new_invalid = invalid - invalid_before if invalid >= invalid_before else invalid
            self._of_run[stream] = dropped, invalid
            changed = state != before.state
            self._readings[stream] = replace(
                before,
                state=state,
                reason=reason,
                since=time.time() if changed else before.since,
                active=time.monotonic() if changed else before.active,
                dropped=before.dropped + new_losses,
                invalid=before.invalid + new_invalid,
                stalls=before.stalls + (changed and state == "stalled"),
            )

    def count_estimate(self, estimate: Estimate) -> None:
        """Take note that an estimate was published."""
        with self._lock:
            before = self._readings.get(estimate.stream)
            if before is not None:
                count = before.estimates.get(estimate.state, 0) + 1
                estimates = {**before.estimates, estimate.state: count}
                self._readings[estimate.stream] = replace(before, estimates=estimates, active=time.monotonic())

    def count_frame(self, stream: str) -> None:
        """Take note that the model was given a frame."""
        with self._lock:
            if stream in self._readings:
                before = self._readings[stream]
                self._readings[stream] = replace(before, frames=before.frames + 1)

    def count_restart(self, stream: str) -> None:
        """Take note that a stream is started again after a failure."""
        with self._lock:
            if stream in self._readings:
                before = self._readings[stream]
                self._readings[stream] = replace(before, restarts=before.restarts + 1)

    def count_refused(self, stream: str) -> None:
        """Take note that a writer was turned away."""
        with self._lock:
            if stream in self._readings:
                before = self._readings[stream]
                self._readings[stream] = replace(before, refused=before.refused + 1)
