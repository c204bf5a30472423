"""Estimates one stream from blocks that somebody else has captured, in the thread that pushes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.estimator import Estimator
from model.features import FloatArray
from model.loading import load_model
from streamer.framer import Frame, Framer, phases_of_rate
from streamer.history import phase_histories
from streamer.messages import Estimate, validate_stream_name
from streamer.offline import estimates_of
from streamer.source import SourceError, validate_format


class StreamTracker:
    """Takes blocks of any size and gives the estimates that they complete.

    Those are the ones that `streamer.track` gives of the same samples at once, but for the rounding of float32.
    Nothing runs beside it: no thread, no socket. Use one for each stream, each in one thread; they may share a model.

    Parameters
    ----------
    sample_rate : int
        Samples per second of the blocks, 1000 to 768000.
    model : Estimator, str or Path, optional
        From `streamer.load_model`, or what that takes; the bundled default if not given.
    stream : str
        The name that the estimates carry.
    lag : float
        Seconds to look back from the newest frame: a multiple of 0.5.
    rate : float
        Estimates per second; more than 2 come from frames of 500 ms that overlap.
    began : float, optional
        UTC seconds at which the stream's position 0 is heard; without it, the estimates' `time` is 0.

    Raises
    ------
    model.errors.MoodringError
        If the model cannot be used or cannot look back so far, or there can be no such stream.
    streamer.messages.MessageError
        If the name could not be part of a topic.

    Examples
    --------
    >>> import numpy as np
    >>> tracker = StreamTracker(22050, stream="noise")
    >>> block = np.random.default_rng(0).normal(scale=0.1, size=20000).astype(np.float32)
    >>> [len(tracker.push(block)) for _ in range(3)]
    [1, 2, 2]
    """

    def __init__(
        self,
        sample_rate: int,
        model: Estimator | str | Path | None = None,
        *,
        stream: str = "stream",
        lag: float = 0.0,
        rate: float = 2.0,
        began: float | None = None,
    ) -> None:
        self.stream = validate_stream_name(stream)
        self._name = f'stream "{stream}"'
        validate_format(self._name, sample_rate, 1)
        self._model = model if isinstance(model, Estimator) else load_model(model)
        parameters = self._model.frontend.parameters
        self._framer = Framer(sample_rate, parameters, phases_of_rate(rate, parameters))
        self._lag = self._model.frames_of_lag(lag)
        self._histories = phase_histories(stream, self._model, self._lag, self._framer.phases)
        self._began = began

    def push(self, samples: NDArray[np.floating[Any]]) -> list[Estimate]:
        """Take a block.

        Parameters
        ----------
        samples : ndarray of a floating type, shape (n,) or (n, channels)
            Full scale at ±1. Any n, 0 included; channels are averaged.

        Returns
        -------
        list of Estimate
            One for each frame that the block completes; often none.

        Raises
        ------
        SourceError
            If the samples are not floats, or no recording has so many channels.
        """
        return self._estimate(self._framer.push(as_samples(self._name, self._framer.sample_rate, samples)))

    def skip(self, lost: int) -> None:
        """Take note that samples were lost: positions go on after them, and the frame that they belong to is left out.

        Parameters
        ----------
        lost : int
            Samples per channel.
        """
        self._framer.skip(lost)

    def finish(self) -> list[Estimate]:
        """End the stream.

        Returns
        -------
        list of Estimate
            What the resampler still held may complete a frame. What is shorter than one is left out.
        """
        return self._estimate(self._framer.finish())

    @property
    def invalid(self) -> int:
        """Samples so far that were not finite numbers, and were taken as silence."""
        return self._framer.invalid

    @property
    def dropped(self) -> float:
        """Seconds of audio lost so far."""
        return self._framer.dropped

    def _estimate(self, frames: Iterator[Frame]) -> list[Estimate]:
        began = self._began
        if began is not None:
            frames = (replace(frame, time=began + frame.position) for frame in frames)
        return list(estimates_of(frames, self._histories, self._model, self._lag))


def as_samples(name: str, sample_rate: int, samples: NDArray[np.floating[Any]]) -> FloatArray:
    """Bring an array into the form that blocks have.

    Parameters
    ----------
    name : str
        What messages call it.
    sample_rate : int
        Samples per second.
    samples : ndarray of a floating type, shape (n,) or (n, channels)
        Full scale at ±1.

    Returns
    -------
    ndarray of float32, shape (n, channels)

    Raises
    ------
    SourceError
        If it is none of that.
    """
    array = np.asarray(samples)
    if not np.issubdtype(array.dtype, np.floating):
        raise SourceError(
            f"the samples of {name} are of type {array.dtype}; give floats with full scale at ±1, "
            "such as samples / 32768 for 16-bit integers"
        )
    if array.ndim not in (1, 2):
        raise SourceError(f"the samples of {name} have {array.ndim} dimensions; give shape (n,) or (n, channels)")
    block = array[:, np.newaxis] if array.ndim == 1 else array
    validate_format(name, sample_rate, block.shape[1])
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is counted as invalid
        return block.astype(np.float32, copy=False)
