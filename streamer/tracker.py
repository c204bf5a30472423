"""From frames to estimates: one worker thread, all streams with new frames in one batch."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from model.errors import MoodringError
from model.estimator import Estimator
from model.features import FloatArray, RecentColumns, level, mean_square
from streamer.framer import Frame
from streamer.history import Pair, StreamHistory, phase_histories
from streamer.messages import Estimate

QUEUE_LENGTH = 8
"""Frames of one phase of a stream that may wait for the worker (4 s); who submits more has to wait."""
STALE_AFTER = 2.0
"""Seconds that a frame may be old when its estimate is ready. An older one is part of what its stream has heard, but
nobody is told what it was like as if it were so now."""
LARGEST_BATCH = 64
"""Frames that are estimated at once; bounds memory where many wait."""


class TrackerError(MoodringError):
    """The tracker cannot go on, or a stream cannot be added."""


def track_batch(checkpoint: Estimator, frames: Sequence[tuple[StreamHistory, Frame]], lag: int = 0) -> list[Estimate]:
    """Estimate frames of one or more streams at once.

    Parameters
    ----------
    checkpoint : Estimator
        The model.
    frames : sequence of (StreamHistory, Frame)
        New frames; those of one stream in their order.
    lag : int
        Frames to look back from the newest one.

    Returns
    -------
    list of Estimate
        One for each frame that is not stale by now, in their order.

    Raises
    ------
    TrackerError
        If the model's output is not finite, or outside its range.
    """
    # of one, as a rule: a view instead of a copy
    samples = frames[0][1].samples[np.newaxis] if len(frames) == 1 else np.stack([frame.samples for _, frame in frames])
    powers = mean_square(samples)
    levels = level(powers).tolist()
    attended = [history.attend(frame, loudness) for (history, frame), loudness in zip(frames, levels, strict=True)]
    audible = [i for i, attention in enumerate(attended) if not attention.silent]
    features: list[FloatArray | None] = [None] * len(frames)
    if audible:
        memories = [attended[i].memory for i in audible]
        overlapping = _overlapping([frames[i] for i in audible], checkpoint.frontend.parameters.sample_rate)
        everything = len(audible) == len(frames)
        rows = checkpoint.features(
            samples if everything else samples[audible],
            memories,
            powers if everything else powers[audible],
            overlapping,
        )
        for i, row in zip(audible, rows, strict=True):
            features[i] = row
    heard = [
        history.hear(attention, row) for (history, _), attention, row in zip(frames, attended, features, strict=True)
    ]
    histories = [(i, one.rows) for i, one in enumerate(heard) if one.rows is not None]
    values: list[Pair | None] = [None] * len(heard)
    stds: list[Pair | None] = [None] * len(heard)
    results = checkpoint.estimate_histories([rows for _, rows in histories], lag)
    for (i, _), (estimated, spread) in zip(histories, results, strict=True):
        values[i] = _pair(checkpoint, estimated, -1.0)
        stds[i] = None if spread is None else _pair(checkpoint, spread, 0.0)
    estimates = []
    for (history, frame), one, value, std in zip(frames, heard, values, stds, strict=True):
        stale = frame.due is not None and time.monotonic() - frame.due > STALE_AFTER
        estimate = history.estimate(one, value, std, counted=not stale)
        if not stale:
            estimates.append(estimate)
    return estimates


def _pair(checkpoint: Estimator, numbers: FloatArray, lowest: float) -> Pair:
    valence, arousal = numbers.tolist()
    if not (lowest <= valence <= 1 and lowest <= arousal <= 1):  # NaN is not either
        raise TrackerError(
            f'model "{checkpoint.name}" gives values that are not numbers from {lowest:g} to 1; use another checkpoint'
        )
    return valence, arousal


def _overlapping(
    frames: Sequence[tuple[StreamHistory, Frame]], sample_rate: int
) -> list[tuple[RecentColumns, int]] | None:
    """Say where frames lie that may overlap others; None if none does."""
    places = [
        (history.columns, round(frame.position * sample_rate))
        for history, frame in frames
        if history.columns is not None
    ]
    return places if places else None


class Tracker:
    """Runs the model in a thread of its own and hands every estimate on.

    Parameters
    ----------
    checkpoint : Estimator
        The model.
    publish : callable
        Takes each estimate, in the worker's thread.
    lag : float
        Seconds to look back from the newest frame.
    on_batch : callable, optional
        Is told, in the worker's thread, the stream of each frame of a batch and how many seconds the model took.
    phases : int
        How many frames of a stream begin while one lasts (`streamer.framer.phases_of_rate`).

    Raises
    ------
    model.errors.MoodringError
        If the model cannot look back so far.
    """

    def __init__(
        self,
        checkpoint: Estimator,
        publish: Callable[[Estimate], None],
        lag: float = 0.0,
        on_batch: Callable[[Sequence[str], float], None] | None = None,
        phases: int = 1,
    ) -> None:
        checkpoint.use_one_thread()
        self._checkpoint = checkpoint
        self._publish = publish
        self._on_batch = on_batch
        self._lag = checkpoint.frames_of_lag(lag)
        self.phases = phases
        self._changed = threading.Condition()
        self._histories: dict[str, list[StreamHistory]] = {}
        self._waiting: dict[str, deque[Frame]] = {}
        self._busy = False
        self._closed = False
        self._error: Exception | None = None
        self._warm_up()
        self._thread = threading.Thread(target=self._run, name="tracker", daemon=True)
        self._thread.start()

    def add_stream(self, stream: str) -> None:
        """Begin a stream.

        Parameters
        ----------
        stream : str
            A name that no other stream has.

        Raises
        ------
        TrackerError
            If another stream has that name.
        """
        with self._changed:
            if stream in self._histories:
                raise TrackerError(f'there is a stream named "{stream}" already; give each its own name')
            self._histories[stream] = phase_histories(stream, self._checkpoint, self._lag, self.phases)
            self._waiting[stream] = deque()

    def remove_stream(self, stream: str) -> None:
        """Forget a stream and its frames that wait; what is being estimated is still handed on.

        Parameters
        ----------
        stream : str
            As added; one that is not there is passed over.
        """
        with self._changed:
            self._histories.pop(stream, None)
            self._waiting.pop(stream, None)
            self._changed.notify_all()

    @property
    def alive(self) -> bool:
        """Whether the worker runs: False after `close`, and when the model has failed."""
        return self._thread.is_alive()

    @property
    def error(self) -> Exception | None:
        """What the model failed with; None if it has not."""
        return self._error

    def waiting(self) -> dict[str, int]:
        """Tell how many frames of each stream wait for the worker."""
        with self._changed:
            return {stream: len(frames) for stream, frames in self._waiting.items()}

    def submit(self, stream: str, frame: Frame, timeout: float | None = None) -> bool:
        """Hand over a stream's next frame; waits while `QUEUE_LENGTH` of each phase wait already.

        Parameters
        ----------
        stream : str
            As added.
        frame : Frame
            The frame.
        timeout : float, optional
            Seconds to wait; without it, as long as it takes.

        Returns
        -------
        bool
            Whether the frame was taken.

        Raises
        ------
        TrackerError
            If the tracker was closed, its model failed, or the stream was removed.
        """
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._stopped or len(self._waiting.get(stream, ())) < QUEUE_LENGTH * self.phases, timeout
            )
            self._raise_if_stopped()
            if stream not in self._waiting:
                raise TrackerError(f'stream "{stream}" was removed')
            if room:
                self._waiting[stream].append(frame)
                self._changed.notify_all()
            return room

    def flush(self, stream: str) -> None:
        """Wait until all frames of a stream have been estimated and handed on.

        Parameters
        ----------
        stream : str
            As added.

        Raises
        ------
        TrackerError
            If the tracker was closed or its model failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not (self._waiting.get(stream) or self._busy))
            self._raise_if_stopped()

    def close(self) -> None:
        """Stop after the batch at hand. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def _stopped(self) -> bool:
        return self._closed or self._error is not None

    def _raise_if_stopped(self) -> None:
        if self._error is not None:
            raise TrackerError(f"tracking failed: {self._error}") from self._error
        if self._closed:
            raise TrackerError("the tracker was closed")

    def _warm_up(self) -> None:
        # the first run of each operation takes many times as long as the later ones
        parameters = self._checkpoint.frontend.parameters
        frames = max(self._checkpoint.window, self._lag + 1)
        silence = np.zeros((1, parameters.frame_length), dtype=np.float32)
        rows = self._checkpoint.features(silence, [self._checkpoint.memory()])
        self._checkpoint.estimate_with_std(np.repeat(rows, frames, axis=0)[np.newaxis], self._lag)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or any(self._waiting.values()))
                if self._closed:
                    return
                batch = self._take_batch()
                self._busy = True
                self._changed.notify_all()
            try:
                began = time.perf_counter()
                estimates = track_batch(self._checkpoint, batch, self._lag)
                if self._on_batch is not None:
                    self._on_batch([history.stream for history, _ in batch], time.perf_counter() - began)
                for estimate in estimates:
                    self._publish(estimate)
            except Exception as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return

    def _take_batch(self) -> list[tuple[StreamHistory, Frame]]:
        batch: list[tuple[StreamHistory, Frame]] = []
        # one of each stream, then the next of each: where not all fit into a batch, no stream waits for the others
        while len(batch) < LARGEST_BATCH and any(self._waiting.values()):
            for stream, frames in self._waiting.items():
                if frames and len(batch) < LARGEST_BATCH:
                    frame = frames.popleft()
                    batch.append((self._histories[stream][frame.phase], frame))
        return batch
