"""Tracks a source as fast as it can be read, without threads or sockets: for `annotate` and for comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from model.estimator import Estimator
from streamer.framer import Frame, Framer, frames_of
from streamer.history import StreamHistory, phase_histories
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
    histories = phase_histories(stream, checkpoint, lag_frames, framer.phases)
    yield from estimates_of(frames_of(source, framer), histories, checkpoint, lag_frames)


def estimates_of(
    frames: Iterable[Frame], histories: Sequence[StreamHistory], checkpoint: Estimator, lag: int
) -> Iterator[Estimate]:
    """Estimate frames of one stream, as many at once as there are.

    Parameters
    ----------
    frames : iterable of Frame
        In their order.
    histories : sequence of StreamHistory
        Of each phase, from `streamer.history.phase_histories`.
    checkpoint : Estimator
        The model.
    lag : int
        Frames to look back from the newest one.

    Yields
    ------
    Estimate

    Raises
    ------
    SourceError
        As the frames do, after the estimates before the break.
    """
    waiting = iter(frames)
    broken: SourceError | None = None
    while broken is None:
        batch: list[Frame] = []
        try:
            for frame in islice(waiting, LARGEST_BATCH):
                batch.append(frame)
        except SourceError as error:
            broken = error
        if not batch:
            break
        yield from track_batch(checkpoint, [(histories[frame.phase], frame) for frame in batch], lag)
    if broken is not None:
        raise broken
