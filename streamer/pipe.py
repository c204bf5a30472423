"""Raw PCM on standard input as a source."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from streamer.pcm import PCMDecoder, PCMFormat
from streamer.source import LONGEST_WAIT, Block

_BYTES_PER_READ = 1 << 15


class Pipe:
    """Reads raw PCM from a file object such as standard input.

    Parameters
    ----------
    stream : binary file object
        What to read.
    sample_rate, channels : int
        What the writer writes; raw PCM does not say.
    sample_format : str
        A key of `streamer.pcm.FORMATS`.

    Raises
    ------
    SourceError
        If the format is unknown or the numbers are out of their ranges.
    """

    name = "standard input"
    live = True
    zeros_hint = ""

    def __init__(
        self, stream: BinaryIO, sample_rate: int = 44100, channels: int = 2, sample_format: str = "s16le"
    ) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self._decoder = PCMDecoder(
            self.name, PCMFormat(sample_rate, channels, sample_format), "- | moodring stream -", options="--"
        )
        self._descriptor = stream.fileno()
        self._closed = False

    def blocks(self) -> Iterator[Block]:
        """Yield the audio as it comes.

        Raises
        ------
        SourceError
            If the bytes are a file with a header, are not float samples where they should be, or end in the
            middle of a sample; everything before that has been yielded by then.
        """
        while not self._closed:
            if not select.select([self._descriptor], [], [], LONGEST_WAIT)[0]:
                yield Block(np.zeros((0, self.channels), dtype=np.float32))
                continue
            data = os.read(self._descriptor, _BYTES_PER_READ)
            samples = self._decoder.push(data) if data else self._decoder.finish()
            if len(samples):
                yield Block(samples)
            if not data:
                break
        if not self._closed:
            self._decoder.refuse_rest()

    def close(self) -> None:
        """Make `blocks` end within `LONGEST_WAIT`."""
        self._closed = True
