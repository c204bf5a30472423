"""The shape of a waveform, gathered while a file is read: its peaks and its level in a bounded number of bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from model.features import FloatArray
from streamer.framer import LARGEST_SAMPLE
from streamer.source import Block, Source

MOST_BINS: Final = 2000
"""Bins of a waveform: more than a page is wide in pixels. Where they are full, two become one."""
FINEST_BINS: Final = 200
"""Bins per second of the shortest files: 5 ms each, a period of the lowest notes."""


@dataclass(frozen=True)
class Waveform:
    """What is drawn of a waveform.

    Attributes
    ----------
    peak, level : ndarray of float32, shape (bins,)
        Largest magnitude, and root mean square over samples and channels, of each bin; full scale is 1.
    bin_duration : float
        Seconds of a bin.
    """

    peak: FloatArray
    level: FloatArray
    bin_duration: float


class Envelope:
    """Gathers a waveform of any length in `MOST_BINS` bins.

    Parameters
    ----------
    sample_rate : int
        Samples per second.

    Attributes
    ----------
    samples : int
        Samples per channel so far, lost ones included.
    """

    def __init__(self, sample_rate: int) -> None:
        self.samples = 0
        self._sample_rate = sample_rate
        self._per_bin = max(1, sample_rate // FINEST_BINS)
        self._peak = np.zeros(MOST_BINS)
        self._power = np.zeros(MOST_BINS)

    @property
    def duration(self) -> float:
        """Seconds so far, lost audio included."""
        return self.samples / self._sample_rate

    def skip(self, lost: int) -> None:
        """Take note that samples were lost: they count as silence."""
        self.samples += lost
        self._make_room()

    def add(self, samples: FloatArray) -> None:
        """Take a block.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, channels)
            Any n, 0 included. Samples that are not finite, or beyond `streamer.framer.LARGEST_SAMPLE`, count as zeros,
            as they do where frames are cut.
        """
        if not len(samples):
            return
        with np.errstate(invalid="ignore"):
            magnitudes = [np.where(np.abs(one) <= LARGEST_SAMPLE, np.abs(one), 0).astype(float) for one in samples.T]
        peak = reduce(np.maximum, magnitudes)
        power = reduce(np.add, map(np.square, magnitudes)) / len(magnitudes)
        begin, self.samples = self.samples, self.samples + len(samples)
        self._make_room()
        first = begin // self._per_bin
        starts = np.maximum(np.arange(first, (self.samples - 1) // self._per_bin + 1) * self._per_bin - begin, 0)
        bins = slice(first, first + len(starts))
        self._peak[bins] = np.maximum(self._peak[bins], np.maximum.reduceat(peak, starts))
        self._power[bins] += np.add.reduceat(power, starts)

    def waveform(self) -> Waveform:
        """Return the waveform so far."""
        bins = -(-self.samples // self._per_bin)
        counts = np.full(bins, self._per_bin)
        counts[-1:] = self.samples - self._per_bin * (bins - 1)
        level = np.sqrt(self._power[:bins] / counts)
        return Waveform(
            self._peak[:bins].astype(np.float32), level.astype(np.float32), self._per_bin / self._sample_rate
        )

    def _make_room(self) -> None:
        while self.samples > MOST_BINS * self._per_bin:
            half = MOST_BINS // 2
            self._peak = np.concatenate([self._peak.reshape(half, 2).max(axis=1), np.zeros(half)])
            self._power = np.concatenate([self._power.reshape(half, 2).sum(axis=1), np.zeros(half)])
            self._per_bin *= 2


class EnvelopedSource:
    """A source whose waveform is gathered while somebody else reads it.

    Parameters
    ----------
    source : Source
        What to read.
    on_progress : callable
        Is told, after every block, how many seconds have been read.

    Attributes
    ----------
    envelope : Envelope
        Of what has been read.
    """

    live = False
    zeros_hint = ""

    def __init__(self, source: Source, on_progress: Callable[[float], None]) -> None:
        self.name = source.name
        self.sample_rate = source.sample_rate
        self.envelope = Envelope(source.sample_rate)
        self._source = source
        self._on_progress = on_progress

    def blocks(self) -> Iterator[Block]:
        """Yield the source's audio."""
        for block in self._source.blocks():
            self.envelope.skip(block.lost)
            self.envelope.add(block.samples)
            self._on_progress(self.envelope.duration)
            yield block

    def close(self) -> None:
        """Stop, as the source does."""
        self._source.close()
