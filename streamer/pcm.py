"""Raw PCM: bytes without a header to samples, with checks for what raw PCM cannot say about itself."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from model.features import FloatArray
from streamer.source import SourceError, validate_format

FORMATS: dict[str, tuple[str, int]] = {
    "s16le": ("PCM_16", 2),
    "s24le": ("PCM_24", 3),
    "s32le": ("PCM_32", 4),
    "f32le": ("FLOAT", 4),
}
"""ffmpeg's name of each sample format: libsndfile's name, and bytes per sample."""

_NOT_PCM = {
    b"RIFF": "WAV",
    b"RF64": "WAV",
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"FORM": "AIFF",
    b"\x1aE\xdf\xa3": "Matroska",
    b"GET ": "an HTTP request",
    b"HEAD ": "an HTTP request",
    b"POST ": "an HTTP request",
    b"PUT ": "an HTTP request",
    b"OPTIONS ": "an HTTP request",
    b"SSH-": "an SSH connection",
    b"\x16\x03\x01": "a TLS connection",
    b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f": "a ZeroMQ connection",
}
"""How files with a header begin, and those who have come to a wrong port."""
_LONGEST_BEGINNING = max(map(len, _NOT_PCM))
_PLAUSIBLE = (1e-12, 1e3)
"""Magnitudes that float samples have, other than 0."""


@dataclass(frozen=True)
class PCMFormat:
    """What a writer writes; raw PCM does not say.

    Attributes
    ----------
    sample_rate : int
        Samples per second.
    channels : int
        Interleaved channels.
    sample_format : str
        A key of `FORMATS`.
    """

    sample_rate: int = 44100
    channels: int = 2
    sample_format: str = "s16le"

    @property
    def step(self) -> int:
        """Bytes of one sample of all channels."""
        return FORMATS[self.sample_format][1] * self.channels

    def validate(self, name: str) -> None:
        """Refuse what no recording has.

        Parameters
        ----------
        name : str
            What messages call the writer.

        Raises
        ------
        SourceError
            If the format is unknown or a number is out of its range.
        """
        if self.sample_format not in FORMATS:
            raise SourceError(f'unknown sample format "{self.sample_format}"; known: {", ".join(FORMATS)}')
        validate_format(name, self.sample_rate, self.channels)


class PCMDecoder:
    """Turns the bytes of one writer into samples, in portions of any size.

    Parameters
    ----------
    name : str
        What messages call the writer.
    pcm : PCMFormat
        What it writes.
    target : str
        Where ffmpeg would have to write to.
    options : str
        What stands before the names of the format's options: ``--`` on a command line, nothing in a configuration.

    Raises
    ------
    SourceError
        If no recording has that format.
    """

    def __init__(self, name: str, pcm: PCMFormat, target: str, options: str = "") -> None:
        pcm.validate(name)
        self._name = name
        self._pcm = pcm
        self._target = target
        self._options = options
        self._pending = b""
        self._checked = False

    def push(self, data: bytes) -> FloatArray:
        """Take the next bytes.

        Parameters
        ----------
        data : bytes
            Any number of them.

        Returns
        -------
        ndarray of float32, shape (n, channels)
            The samples that they complete; full scale at ±1.

        Raises
        ------
        SourceError
            If the bytes are a file with a header, or are not float samples where they should be.
        """
        self._pending += data
        if not self._checked and len(self._pending) < _LONGEST_BEGINNING:
            return self._decode(b"")
        self._refuse_beginning()
        whole = len(self._pending) - len(self._pending) % self._pcm.step
        complete, self._pending = self._pending[:whole], self._pending[whole:]
        return self._decode(complete)

    def finish(self) -> FloatArray:
        """Take note that no more bytes come.

        Returns
        -------
        ndarray of float32, shape (n, channels)
            What had been held back because it was too short to be checked.

        Raises
        ------
        SourceError
            As `push` does.
        """
        self._refuse_beginning()
        return self.push(b"")

    def refuse_rest(self) -> None:
        """Refuse an end in the middle of a sample; to be asked after `finish`.

        Raises
        ------
        SourceError
            If bytes are left over.
        """
        if self._pending:
            raise SourceError(
                f"{self._name} ended in the middle of a sample: {len(self._pending)} of {self._pcm.step} bytes "
                f"({self._pcm.channels} channels of {self._pcm.sample_format}); "
                f"check {self._options}channels and {self._options}format"
            )

    def _decode(self, data: bytes) -> FloatArray:
        if not data:
            return np.zeros((0, self._pcm.channels), dtype=np.float32)
        samples: FloatArray
        samples, _ = soundfile.read(
            io.BytesIO(data),
            dtype="float32",
            always_2d=True,
            samplerate=self._pcm.sample_rate,
            channels=self._pcm.channels,
            format="RAW",
            subtype=FORMATS[self._pcm.sample_format][0],
            endian="LITTLE",
        )
        if self._pcm.sample_format == "f32le":
            self._refuse_implausible(samples)
        return samples

    def _refuse_beginning(self) -> None:
        if self._checked:
            return
        self._checked = True
        for beginning, kind in _NOT_PCM.items():
            if self._pending.startswith(beginning):
                raise SourceError(
                    f"{self._name} is {kind}, not raw PCM; decode it first: ffmpeg -i FILE "
                    f"-f {self._pcm.sample_format} -ac {self._pcm.channels} -ar {self._pcm.sample_rate} {self._target}"
                )

    def _refuse_implausible(self, samples: FloatArray) -> None:
        # single NaNs and infinities are counted by the framer; this is for integers that are read as floats
        with np.errstate(invalid="ignore"):
            magnitudes = np.abs(samples[np.isfinite(samples) & (samples != 0)])
            implausible = int(np.count_nonzero((magnitudes < _PLAUSIBLE[0]) | (magnitudes > _PLAUSIBLE[1])))
        if implausible > 100 and implausible > magnitudes.size // 10:
            raise SourceError(
                f"{self._name} does not hold {self._pcm.sample_format} samples; check {self._options}format"
            )
