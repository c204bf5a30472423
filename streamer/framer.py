"""From blocks of any size, rate and channel count to 500 ms frames of mono audio with sample-exact positions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import reduce

import numpy as np
import soxr

from model.features import FeatureParameters, FloatArray
from streamer.source import Block, Source, SourceError

MAXIMUM_RATE = 30.0
"""Estimates per second beyond which none are offered: more than lights are told anything."""
LARGEST_SAMPLE = 2.0**31
"""Magnitude above which a sample counts as invalid: full scale of 32-bit integers that nobody scaled to ±1."""


def phases_of_rate(rate: float, parameters: FeatureParameters) -> int:
    """Tell how many frames begin while one lasts, for so many estimates per second.

    Parameters
    ----------
    rate : float
        Estimates per second.
    parameters : FeatureParameters
        The frames' sample rate and length.

    Returns
    -------
    int
        For `Framer`.

    Raises
    ------
    SourceError
        If frames cannot overlap so that this comes out in whole samples, up to `MAXIMUM_RATE`.
    """
    rates = {
        phases / parameters.frame_duration: phases
        for phases in range(1, int(MAXIMUM_RATE * parameters.frame_duration) + 1)
        if parameters.frame_length % phases == 0
    }
    if rate not in rates:
        *others, last = (f"{one:g}" for one in rates)
        offered = f"{', '.join(others)} or {last}" if others else last
        raise SourceError(f"{rate:g} estimates a second cannot be had with this model; choose {offered}")
    return rates[rate]


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Attributes
    ----------
    samples : ndarray of float32, shape (frame_length,)
        Mono, at the model's sample rate.
    position : float
        Seconds of audio, lost audio included, from the stream's beginning to the frame's end: the float nearest to
        the count of samples over their rate.
    gap : float
        Seconds of audio that were lost between this frame and the one before it of the same phase.
    time : float
        UTC of the frame's end; 0 until a clock has set it.
    due : float or None
        Monotonic time of the frame's end, for what is heard or played in real time; None if it is never too late.
    phase : int
        Where frames overlap: which of the sequences of frames it belongs to in which each begins where the one before
        has ended.
    """

    samples: FloatArray
    position: float
    gap: float = 0.0
    time: float = 0.0
    due: float | None = None
    phase: int = 0


class Framer:
    """Cuts a stream into frames.

    The same samples in blocks of other sizes give the same frames, bit for bit. Channels are averaged. Samples that
    are not finite, or beyond `LARGEST_SAMPLE`, become zeros and are counted.

    Parameters
    ----------
    sample_rate : int
        Samples per second of the blocks.
    parameters : FeatureParameters
        The frames' sample rate and length.
    phases : int
        How many frames begin while one lasts; must divide the frame's length in samples. With 1, the default, each
        begins where the one before ended; with more, frames overlap, and those of phase 0 are the same as with 1.

    Attributes
    ----------
    invalid : int
        Samples so far that were taken as silence.
    lost : int
        Samples per channel so far that were lost, at the blocks' rate.
    phases : int
        As given.
    """

    def __init__(self, sample_rate: int, parameters: FeatureParameters, phases: int = 1) -> None:
        if parameters.frame_length % phases:
            raise ValueError(f"{phases} phases do not divide a frame of {parameters.frame_length} samples")
        self.sample_rate = sample_rate
        self.phases = phases
        self._step = parameters.frame_length // phases
        self.parameters = parameters
        self.invalid = 0
        self.lost = 0
        self._heard = 0
        # whole samples of either rate are whole ticks, so positions are counted in integers and never drift
        self._ticks_per_second = sample_rate * parameters.sample_rate
        # the first frames of later phases follow nothing, so nothing is lost before them
        self._phase_ends = [phase * self._step * sample_rate for phase in range(phases)]
        self._start_segment()

    @property
    def dropped(self) -> float:
        """Seconds of audio lost so far."""
        return self.lost / self.sample_rate

    def push(self, samples: FloatArray) -> Iterator[Frame]:
        """Take a block.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, channels)
            Any n, 0 included.

        Yields
        ------
        Frame
            Each frame that the block completes.
        """
        self._heard += len(samples)
        mono = self._mono(samples)
        yield from self._cut(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def skip(self, lost: int) -> None:
        """Take note that samples were lost; the next frame begins after them.

        What had been heard of the current frame is lost with them.

        Parameters
        ----------
        lost : int
            Samples per channel at the blocks' rate.
        """
        self.lost += lost
        self._start_segment()

    def finish(self) -> Iterator[Frame]:
        """End the stream: what the resampler still holds may complete a frame; the rest is shorter than one."""
        if self._resampler is not None:
            yield from self._cut(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))

    def _start_segment(self) -> None:
        rate = self.parameters.sample_rate
        self._resampler = (
            None
            if self.sample_rate == rate
            else soxr.ResampleStream(self.sample_rate, rate, 1, dtype="float32", quality="HQ")
        )
        self._segment_start = self._heard + self.lost
        self._frames = 0
        self._filled = 0
        self._partial = np.empty(self.parameters.frame_length, dtype=np.float32)

    def _mono(self, samples: FloatArray) -> FloatArray:
        # NaN is what every comparison is false with
        if samples.size and not (samples.min() >= -LARGEST_SAMPLE and samples.max() <= LARGEST_SAMPLE):
            with np.errstate(invalid="ignore"):
                valid = np.abs(samples) <= LARGEST_SAMPLE
            self.invalid += int(np.count_nonzero(~valid))
            samples = np.where(valid, samples, np.float32(0))
        channels = samples.shape[1]
        if channels == 1:
            return samples[:, 0]
        # channel by channel: numpy's sum along an axis may round differently for blocks of other sizes
        mono: FloatArray = reduce(np.add, samples.T)
        mono /= np.float32(channels)
        return mono

    def _cut(self, mono: FloatArray) -> Iterator[Frame]:
        length = self.parameters.frame_length
        start = 0
        while start < len(mono):
            taken = min(length - self._filled, len(mono) - start)
            self._partial[self._filled : self._filled + taken] = mono[start : start + taken]
            self._filled += taken
            start += taken
            if self._filled == length:
                yield self._complete()

    def _complete(self) -> Frame:
        length = self.parameters.frame_length
        phase = self._frames % self.phases
        start = self._segment_start * self.parameters.sample_rate + self._frames * self._step * self.sample_rate
        end = start + length * self.sample_rate
        gap = start - self._phase_ends[phase]
        frame = Frame(self._partial, end / self._ticks_per_second, gap / self._ticks_per_second, phase=phase)
        self._phase_ends[phase] = end
        self._frames += 1
        self._filled = length - self._step
        self._partial = np.empty(length, dtype=np.float32)
        self._partial[: self._filled] = frame.samples[self._step :]
        return frame


def frames_of(source: Source, framer: Framer, on_block: Callable[[Block], None] | None = None) -> Generator[Frame]:
    """Read a source to its end and cut it into frames.

    Parameters
    ----------
    source : Source
        What to read; closed at the end.
    framer : Framer
        For the source's sample rate.
    on_block : callable, optional
        Is shown every block before its frames are yielded, empty ones too.

    Yields
    ------
    Frame

    Raises
    ------
    SourceError
        If the source breaks, after the frames before the break; or if it ends before its first frame does.
    """
    frames = 0
    broken: SourceError | None = None
    try:
        with closing(source):
            for block in source.blocks():
                if block.lost:
                    framer.skip(block.lost)
                if on_block is not None:
                    on_block(block)
                for frame in framer.push(block.samples):
                    frames += 1
                    yield frame
    except SourceError as error:
        broken = error
    for frame in framer.finish():
        frames += 1
        yield frame
    if broken is not None:
        raise broken
    if not frames:
        raise SourceError(
            f"{source.name} is shorter than one frame ({framer.parameters.frame_duration:g} s): nothing to track"
        )
