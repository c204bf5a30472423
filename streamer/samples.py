"""Samples in memory as a source."""

from __future__ import annotations

from collections.abc import Iterator

from model.features import FloatArray
from streamer.source import Block, validate_format

_SAMPLES_PER_BLOCK = 4096


class Samples:
    """Yields an array, block by block.

    Parameters
    ----------
    name : str
        What messages call it.
    samples : ndarray of float32, shape (n, channels)
        Full scale at ±1.
    sample_rate : int
        Samples per second.

    Raises
    ------
    SourceError
        If no recording has such a rate or so many channels.
    """

    live = False
    zeros_hint = ""

    def __init__(self, name: str, samples: FloatArray, sample_rate: int) -> None:
        validate_format(name, sample_rate, samples.shape[1])
        self.name = name
        self.sample_rate = sample_rate
        self._samples = samples
        self._closed = False

    def blocks(self) -> Iterator[Block]:
        """Yield the samples until they end or `close` is called."""
        for start in range(0, len(self._samples), _SAMPLES_PER_BLOCK):
            if self._closed:
                return
            yield Block(self._samples[start : start + _SAMPLES_PER_BLOCK])

    def close(self) -> None:
        """Make `blocks` end after the current one."""
        self._closed = True
