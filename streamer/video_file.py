"""The sound of what libsndfile does not read, as a source: AAC, WMA, and video files, by PyAV (FFmpeg's libraries)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.stream import Discard

from model.decoding import most_frames
from model.features import FloatArray
from streamer.audio_file import validate_file
from streamer.source import Block, SourceError, validate_format

_SHORTEST_GAP = 0.1
"""Seconds of time stamps without sound that count as silence: containers round time stamps, by up to 10 ms."""
_LONGEST_GAP = 86400.0
"""Seconds; a longer one is a damaged time stamp."""
_TOLERATED_DEFICIT = 0.5
"""Seconds by which an intact file's sound may be shorter than its header says."""
_MOST_DAMAGED_PACKETS = 50
"""Packets in a row that could not be decoded, after which the rest of a file is given up."""
_MOST_CHANNELS = 8
"""FFmpeg keeps so many planes in a frame, and others elsewhere, where PyAV does not look: it would read anything."""
_PROBE_BYTES = 1 << 20
"""Bytes that may be read to find out what is in a file."""
_WITHOUT_HEADER = {"aac"}
"""Formats whose files do not say how long they are: FFmpeg guesses."""
_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63, "flt": 1.0, "dbl": 1.0}


def _duration(stream: Any) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    # as Matroska has it
    parts = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d\.\d{1,9})", stream.metadata.get("DURATION", ""))
    return 0.0 if parts is None else int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3])


class VideoFile:
    """Reads the first stream of audio of a file.

    Silence before the sound of a video begins, and within it, is not decoded but told as lost: positions are those of
    the file.

    Parameters
    ----------
    path : str or Path
        The file.
    container : str
        FFmpeg's name of its format.

    Attributes
    ----------
    duration : float
        Seconds, as the file's header has it; 0 if it has none.

    Raises
    ------
    SourceError
        If there is no such file, it is not of that format, or has no sound that can be decoded.
    """

    live = False
    zeros_hint = ""

    def __init__(self, path: str | Path, container: str) -> None:
        self.path = Path(path)
        self.name = f'"{path}"'
        self._closed = False
        validate_file(self.path, self.name)
        try:
            # no other file or address that this one may name is opened
            options = {"protocol_whitelist": "file", "probesize": str(_PROBE_BYTES)}
            self._container: Any = av.open(f"file:{path}", format=container, options=options, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError, UnicodeError) as error:
            raise SourceError(f"{self.name} is damaged, or not of the format that its name says") from error
        try:
            self._stream = next((s for s in self._container.streams.audio if s.codec_context is not None), None)
            if self._stream is None:
                raise SourceError(f"{self.name} has no sound that can be decoded")
            for other in self._container.streams:
                if other is not self._stream:
                    other.discard = Discard.all
            self.sample_rate: int = self._stream.rate or 0
            self._channels: int = self._stream.channels
            validate_format(self.name, self.sample_rate, self._channels)
            if self._channels > _MOST_CHANNELS:
                raise SourceError(f"{self.name} has {self._channels} channels; {_MOST_CHANNELS} can be tracked")
        except BaseException:
            self._container.close()
            raise
        self.duration = 0.0 if container in _WITHOUT_HEADER else _duration(self._stream)
        self._begin = (self._container.start_time or 0) / av.time_base

    def blocks(self) -> Iterator[Block]:
        """Yield the file's sound.

        Raises
        ------
        SourceError
            If the file breaks off or is damaged; everything before has been yielded by then.
        """
        heard = lost = 0
        try:
            for samples, start in self._decoded():
                if self._closed:
                    return
                gap = 0 if start is None else round((start - self._begin) * self.sample_rate) - heard - lost
                if gap > _LONGEST_GAP * self.sample_rate:
                    raise SourceError(self._broken(heard + lost))
                gap = gap if gap > _SHORTEST_GAP * self.sample_rate else 0
                lost += gap
                heard += len(samples)
                if heard > most_frames("FFMPEG", os.path.getsize(self.path)):
                    raise SourceError(self._broken(heard + lost))
                yield Block(samples, lost=gap)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(self._broken(heard + lost)) from error
        finally:
            self._container.close()
        if (heard + lost) / self.sample_rate < self.duration - _TOLERATED_DEFICIT:
            raise SourceError(self._broken(heard + lost))

    def close(self) -> None:
        """Make `blocks` end after the current one."""
        self._closed = True

    def _decoded(self) -> Iterator[tuple[FloatArray, float | None]]:
        """Yield samples, and the time stamp in seconds of the first of them."""
        damaged = 0
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
                if damaged >= _MOST_DAMAGED_PACKETS:
                    raise
                continue
            damaged = 0
            for frame in frames:
                if frame.sample_rate != self.sample_rate or frame.layout.nb_channels != self._channels:
                    raise ValueError("the sound changes its format")
                base = frame.time_base
                stamp = None if frame.pts is None or base is None else float(frame.pts * base)
                yield _as_float(frame), stamp

    def _broken(self, position: int) -> str:
        whole = f" of {self.duration:.1f} s" if self.duration else ""
        return f"{self.name} is truncated or damaged: it breaks off after {position / self.sample_rate:.1f} s{whole}"


def _as_float(frame: Any) -> FloatArray:
    """Return a decoded frame's samples, shape (n, channels), full scale at ±1."""
    kind = frame.format.name.removesuffix("p")
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    samples: FloatArray = np.ascontiguousarray(values, dtype=np.float32)
    if kind == "u8":
        samples -= np.float32(128)
    samples *= np.float32(_SCALES[kind])
    return samples
