"""The audio of a recording: FLAC, one file per hour, readable up to the last seconds however it ends.

A frame at position *p* seconds is in file number *p* // `SECONDS_PER_FILE`, after *p* % `SECONDS_PER_FILE` seconds:
what was lost is there as zeros. Samples are of 24 bits; what is beyond full scale is clipped, and what was not finite
is zero, as for the tracker.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from model.features import FloatArray
from streamer.framer import LARGEST_SAMPLE
from streamer.recording.folder import RecordingError, create_file

SECONDS_PER_FILE = 3600
"""Seconds of audio in a file: what goes wrong with one of them costs the others nothing."""
MOST_CHANNELS = 8
HIGHEST_RATE = 655350
"""What FLAC can hold (RFC 9639, section 8.2)."""
_ZEROS_AT_ONCE = 1 << 16

_BLOCK_SIZE_AT, _TOTAL_AT = 10, 18
"""Where a FLAC file says how many samples a block has at most (2 bytes), and, after rate, channels and bits per sample
in 28 bits, how many there are in all (36 bits): RFC 9639, sections 6, 8.1 and 8.2."""
_TOTAL_MASK = (1 << 36) - 1


class _Sink(io.FileIO):
    """The file that libsndfile writes to: keeps the error, of which libsndfile would not tell what it was."""

    def __init__(self, path: Path) -> None:
        super().__init__(create_file(path), "r+b")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        start = self.tell()
        try:
            while rest:
                rest = rest[super().write(rest) or 0 :]
        except OSError as error:
            self.error = error
            self.truncate(start)  # part of a FLAC frame would make readers fail on what is before it
            return 0
        return len(data)

    def read_at(self, place: int, size: int) -> bytes:
        """Read without moving."""
        here = self.tell()
        self.seek(place)
        data = self.read(size)
        self.seek(here)
        return data

    def write_at(self, place: int, data: bytes) -> None:
        """Overwrite without moving."""
        here = self.tell()
        self.seek(place)
        self.write(data)
        self.seek(here)


class AudioWriter:
    """Writes a stream's audio.

    Parameters
    ----------
    folder : Path
        Where; the files must not be there yet.
    sample_rate, channels : int
        Of the audio.
    seconds_per_file : int
        How much of it one file holds.

    Raises
    ------
    RecordingError
        If FLAC cannot hold such audio.
    OSError
        If the first file cannot be made.
    """

    def __init__(self, folder: Path, sample_rate: int, channels: int, seconds_per_file: int = SECONDS_PER_FILE) -> None:
        if channels > MOST_CHANNELS or sample_rate > HIGHEST_RATE:
            raise RecordingError(
                f"FLAC holds up to {MOST_CHANNELS} channels and {HIGHEST_RATE} Hz, not {channels} and {sample_rate}"
            )
        self._folder = folder
        self._rate = sample_rate
        self._channels = channels
        self._per_file = seconds_per_file * sample_rate
        self._files = 0
        self._open()

    def write(self, samples: FloatArray) -> None:
        """Append samples.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, channels)

        Raises
        ------
        OSError
            If the disk is full, above all.
        """
        with np.errstate(invalid="ignore"):
            valid = np.abs(samples) <= LARGEST_SAMPLE
        if not valid.all():
            samples = np.where(valid, samples, np.float32(0))
        while len(samples):
            if self._written == self._per_file:
                self.close()
                self._open()
            part, samples = np.split(samples, [self._per_file - self._written])
            self._write(part)

    def skip(self, lost: int) -> None:
        """Append zeros in place of audio that was lost.

        Parameters
        ----------
        lost : int
            Samples per channel.

        Raises
        ------
        OSError
            As `write` does.
        """
        zeros = np.zeros((_ZEROS_AT_ONCE, self._channels), dtype=np.float32)
        while lost:
            some = min(lost, _ZEROS_AT_ONCE)
            self.write(zeros[:some])
            lost -= some

    def mark(self) -> None:
        """Let the file say how much is in it by now, for readers of a file that nobody could finish.

        The encoder itself says so at the end only, and readers take a file that does not say for a damaged one.
        """
        # the encoder keeps back what may become a block, and one sample more
        block = int.from_bytes(self._sink.read_at(_BLOCK_SIZE_AT, 2), "big")
        whole = (self._written - 1) // block * block if block else 0
        if whole > 0:
            fields = int.from_bytes(self._sink.read_at(_TOTAL_AT, 8), "big") & ~_TOTAL_MASK
            self._sink.write_at(_TOTAL_AT, (fields | whole).to_bytes(8, "big"))

    def sync(self) -> None:
        """Bring what there is to the disk."""
        os.fsync(self._sink.fileno())

    def close(self) -> None:
        """Finish the file. May be called twice.

        Raises
        ------
        OSError
            If what the encoder had kept back cannot be written; what was there before can still be read.
        """
        if self._sink.closed:
            return
        before = self._sink.error
        try:
            self.mark()
            with suppress(soundfile.LibsndfileError):
                self._file.close()
            if before is None and self._sink.error is not None:
                raise self._sink.error
        finally:
            self._sink.close()

    def _open(self) -> None:
        self._sink = _Sink(self._folder / f"audio-{self._files:03}.flac")
        self._files += 1
        self._written = 0
        self._file = soundfile.SoundFile(self._sink, "w", self._rate, self._channels, "PCM_24", format="FLAC")

    def _write(self, samples: FloatArray) -> None:
        try:
            self._file.write(samples)
        except (soundfile.LibsndfileError, AssertionError) as error:
            raise self._sink.error or OSError(str(error)) from error
        if self._sink.error is not None:
            raise self._sink.error
        self._written += len(samples)
