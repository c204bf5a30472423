"""An audio file in a loop as a source."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from streamer.audio_file import AudioFile
from streamer.limited_log import LimitedLog
from streamer.source import Block, SourceError

SHORTEST_LOOP = 0.5
"""Seconds; a shorter file would be opened again so often that nothing else was done."""

_log = logging.getLogger("moodring.service")


class LoopedFile:
    """Reads a file again and again. The last sample is followed by the first; the file may be replaced meanwhile.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SourceError
        If there is no such file, or it is not audio that libsndfile reads.
    """

    live = False
    zeros_hint = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = AudioFile(path)
        self._closed = False
        self._warnings = LimitedLog(_log)
        self.name = self._file.name
        self.sample_rate = self._file.sample_rate

    def blocks(self) -> Iterator[Block]:
        """Yield the file's audio, until `close`.

        Raises
        ------
        SourceError
            If the file is too short, cannot be opened again, or has another sample rate by then.
        """
        while True:
            heard = 0
            try:
                for block in self._file.blocks():
                    heard += len(block.samples)
                    yield block
            except SourceError as error:
                if heard < SHORTEST_LOOP * self.sample_rate:
                    raise
                self._warnings.warning(str(error), f"{error}; it begins again from there")
            if self._closed:
                return
            if heard < SHORTEST_LOOP * self.sample_rate:
                raise SourceError(f"{self.name} is shorter than {SHORTEST_LOOP:g} s, too short for a loop")
            self._file = AudioFile(self._path)
            if self._file.sample_rate != self.sample_rate:
                raise SourceError(f"{self.name} was replaced by one of {self._file.sample_rate} samples per second")

    def close(self) -> None:
        """Make `blocks` end after the current one."""
        self._closed = True
        self._file.close()
