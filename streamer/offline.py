"""Tracks a source as fast as it can be read, without threads or sockets: for `annotate` and for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from model.estimator import Estimator
from streamer.framer import Frame, Framer, frames_of
from streamer.history import StreamHistory
from streamer.messages import Estimate
from streamer.source import Source, SourceError
from streamer.tracker import LARGEST_BATCH, track_batch


def track(source: Source, framer: Framer, checkpoint: Estimator, stream: str, lag: float = 0.0) -> Iterator[Estimate]:
    """Estimate every frame of a source.

    Parameters
    ----------
    source : Source
        What to read.
    framer : Framer
        For the source's sample rate; its `invalid` tells afterwards how many samples were not finite.
    checkpoint : Estimator
        The model.
    stream : str
        The name that the estimates carry.
    lag : float
        Seconds to look back from the newest frame.

    Yields
    ------
    Estimate
        Their `time` is 0.

    Raises
    ------
    SourceError
        As `frames_of` does, after the estimates before the break.
    model.errors.MoodringError
        If the model cannot look back so far.
    """
    lag_frames = checkpoint.frames_of_lag(lag)
    history = StreamHistory(stream, checkpoint, lag_frames)
    frames = frames_of(source, framer)
    broken: SourceError | None = None
    while broken is None:
        batch: list[Frame] = []
        try:
            for frame in islice(frames, LARGEST_BATCH):
                batch.append(frame)
        except SourceError as error:
            broken = error
        if not batch:
            break
        yield from track_batch(checkpoint, [(history, frame) for frame in batch], lag_frames)
    if broken is not None:
        raise broken
