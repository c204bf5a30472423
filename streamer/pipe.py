"""Raw PCM on standard input as a source."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from model.features import FloatArray
from streamer.source import LONGEST_WAIT, Block, SourceError, validate_format

FORMATS: dict[str, tuple[str, int]] = {
    "s16le": ("PCM_16", 2),
    "s24le": ("PCM_24", 3),
    "s32le": ("PCM_32", 4),
    "f32le": ("FLOAT", 4),
}
"""ffmpeg's name of each sample format: libsndfile's name, and bytes per sample."""

_BYTES_PER_READ = 1 << 15
_CONTAINERS = {
    b"RIFF": "WAV",
    b"RF64": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"FORM": "AIFF",
    b"\x1aE\xdf\xa3": "Matroska",
}
_PLAUSIBLE = (1e-12, 1e3)
"""Magnitudes that float samples have, other than 0."""


class Pipe:
    """Reads raw PCM from a file object such as standard input.

    Parameters
    ----------
    stream : binary file object
        What to read.
    sample_rate, channels : int
        What the writer writes; raw PCM does not say.
    sample_format : str
        A key of `FORMATS`.

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
        if sample_format not in FORMATS:
            raise SourceError(f'unknown sample format "{sample_format}"; known: {", ".join(FORMATS)}')
        validate_format(self.name, sample_rate, channels)
        self.sample_rate = sample_rate
        self.channels = channels
        self.sample_format = sample_format
        self._subtype, self._sample_bytes = FORMATS[sample_format]
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
        step = self._sample_bytes * self.channels
        pending = b""
        checked = False
        while not self._closed:
            if not select.select([self._descriptor], [], [], LONGEST_WAIT)[0]:
                yield Block(np.zeros((0, self.channels), dtype=np.float32))
                continue
            data = os.read(self._descriptor, _BYTES_PER_READ)
            if not data:
                break
            pending += data
            if not checked and len(pending) >= max(step, 4):
                self._refuse_container(pending)
                checked = True
            whole = len(pending) - len(pending) % step
            if checked and whole:
                samples = self._decode(pending[:whole])
                pending = pending[whole:]
                yield Block(samples)
        if pending and not self._closed:
            raise SourceError(
                f"{self.name} ended in the middle of a sample: {len(pending)} of {step} bytes "
                f"({self.channels} channels of {self.sample_format}); check --channels and --format"
            )

    def close(self) -> None:
        """Make `blocks` end within `LONGEST_WAIT`."""
        self._closed = True

    def _decode(self, data: bytes) -> FloatArray:
        samples: FloatArray
        samples, _ = soundfile.read(
            io.BytesIO(data),
            dtype="float32",
            always_2d=True,
            samplerate=self.sample_rate,
            channels=self.channels,
            format="RAW",
            subtype=self._subtype,
            endian="LITTLE",
        )
        if self._subtype == "FLOAT":
            self._refuse_implausible(samples)
        return samples

    def _refuse_container(self, start: bytes) -> None:
        for magic, container in _CONTAINERS.items():
            if start.startswith(magic):
                raise SourceError(
                    f"{self.name} is {container}, not raw PCM; decode it first: "
                    f"ffmpeg -i FILE -f s16le -ac 2 -ar 44100 - | moodring stream -"
                )

    def _refuse_implausible(self, samples: FloatArray) -> None:
        # single NaNs and infinities are counted by the framer; this is for integers that are read as floats
        with np.errstate(invalid="ignore"):
            magnitudes = np.abs(samples[np.isfinite(samples) & (samples != 0)])
            implausible = int(np.count_nonzero((magnitudes < _PLAUSIBLE[0]) | (magnitudes > _PLAUSIBLE[1])))
        if implausible > 100 and implausible > magnitudes.size // 10:
            raise SourceError(f"{self.name} does not hold {self.sample_format} samples; check --format")
