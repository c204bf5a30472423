"""An audio file as a source: whatever libsndfile reads, block by block, never loaded whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import soundfile

from model.decoding import most_frames
from streamer.source import Block, SourceError, validate_format

EXTENSIONS = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64"}
)
"""File name endings of what libsndfile reads."""

_VALUES_PER_BLOCK = 1 << 15
_TOLERATED_DEFICIT = 0.1
"""Seconds by which an intact MP3 may be shorter than its header says: encoder padding."""


class _ForwardReader(soundfile.SoundFile):  # type: ignore[misc]
    """Does not seek to where it is anyway after every read, which in an MP3 of variable bit rate lands elsewhere."""

    def seekable(self) -> bool:
        return False


def validate_file(path: Path, name: str) -> None:
    """Refuse what is no file with something in it.

    Parameters
    ----------
    path : Path
        Where it should be.
    name : str
        What the message calls it.

    Raises
    ------
    SourceError
        If there is none, it cannot be opened, is no regular file, or is empty.
    """
    # not Path's own questions: they raise where a folder above may not be entered
    if os.path.isdir(path):
        raise SourceError(f"{name} is a folder, not an audio file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise SourceError(f'{name} is not a regular file; pipe raw PCM into "moodring stream -" instead')
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{name} is empty")
    except FileNotFoundError as error:
        raise SourceError(f"there is no file {name}") from error
    except ValueError as error:  # a null character in the name
        raise SourceError(f"{name.encode('unicode_escape').decode()} is not the name of a file") from error
    except OSError as error:
        raise SourceError(f"cannot read {name}: {error.strerror or error}") from error


class AudioFile:
    """Reads a file.

    Parameters
    ----------
    path : str or Path
        The file.

    Attributes
    ----------
    duration : float
        Seconds, as the file's header has it.

    Raises
    ------
    SourceError
        If there is no such file, or it is not audio that libsndfile reads.
    """

    live = False
    zeros_hint = ""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = f'"{path}"'
        self._closed = False
        validate_file(self.path, self.name)
        try:
            self._file = _ForwardReader(os.fsencode(self.path))
        except OSError as error:
            raise SourceError(f"cannot read {self.name}: {error.strerror or error}") from error
        except (soundfile.LibsndfileError, TypeError) as error:
            raise SourceError(
                f"{self.name} is not audio that libsndfile reads; convert it first: ffmpeg -i FILE song.flac"
            ) from error
        self.sample_rate: int = self._file.samplerate
        validate_format(self.name, self.sample_rate, self._file.channels)
        self.duration = self._file.frames / self.sample_rate

    def blocks(self) -> Iterator[Block]:
        """Yield the file's audio.

        Raises
        ------
        SourceError
            If the file breaks off, or its header makes libsndfile decode more than the file can hold; everything
            before has been yielded by then.
        """
        per_block = max(1, _VALUES_PER_BLOCK // self._file.channels)
        heard = 0
        with self._file:
            # not SoundFile.blocks: where a file is truncated it goes on with what the buffer held before
            while not self._closed:
                try:
                    samples = self._file.read(per_block, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError as error:
                    raise SourceError(self._broken(heard)) from error
                if not len(samples):
                    break
                heard += len(samples)
                if heard > most_frames(self._file.format, os.path.getsize(self.path)):
                    raise SourceError(self._broken(heard))
                yield Block(samples)
        if not self._closed and heard / self.sample_rate < self.duration - _TOLERATED_DEFICIT:
            raise SourceError(self._broken(heard))

    def close(self) -> None:
        """Make `blocks` end after the current one."""
        self._closed = True

    def _broken(self, heard: int) -> str:
        return (
            f"{self.name} is truncated or damaged: it breaks off after {heard / self.sample_rate:.1f} s "
            f"of {self.duration:.1f} s"
        )
