"""Songs as the paper's systems take them, and how they are cut into sequences.

A sequence is a run of consecutive frames that a network hears and labels at once (the paper, section 3.3). Unlike the
live path's windows, sequences do not overlap, but for the last one of a song, which ends with the song.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

FRAME_DURATION = 0.5
"""Seconds; labels come twice a second (the paper, section 3.1)."""


@dataclass(frozen=True, eq=False)
class Song:
    """The labelled frames of a song.

    Attributes
    ----------
    name : str
        Unique within its data set.
    inputs : ndarray of float32, shape (frames, columns)
        Features of consecutive frames, not standardised.
    labels : ndarray of float32, shape (frames, 2)
        Valence and arousal of the same frames.
    first_position : float
        End of the first frame, in seconds from the song's beginning.
    """

    name: str
    inputs: FloatArray
    labels: FloatArray
    first_position: float = FRAME_DURATION

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together.

        Raises
        ------
        ValueError
            If shapes disagree, there is no frame, or a value is not finite.
        """
        if self.inputs.ndim != 2 or self.labels.shape != (len(self.inputs), 2) or len(self.inputs) == 0:
            raise ValueError(f"song {self.name}: inputs {self.inputs.shape} and labels {self.labels.shape} do not fit")
        if not (np.isfinite(self.inputs).all() and np.isfinite(self.labels).all()):
            raise ValueError(f"song {self.name}: a feature or a label is not finite")


@dataclass(frozen=True, eq=False)
class Division:
    """Songs for making choices and for training, and songs for the final figures only."""

    development: list[Song]
    evaluation: list[Song]


@dataclass(frozen=True)
class Place:
    """A sequence: `length` frames of song number `song`, from frame `start` on."""

    song: int
    start: int
    length: int


def cut(songs: Sequence[Song], length: int) -> list[Place]:
    """Cut songs into sequences.

    Parameters
    ----------
    songs : sequence of Song
    length : int
        Frames; a shorter song is one shorter sequence.

    Returns
    -------
    list of Place
        Every frame lies in one of them; the frames before a song's last sequence in exactly one.
    """
    places = []
    for number, song in enumerate(songs):
        frames = len(song.inputs)
        if frames <= length:
            places.append(Place(number, 0, frames))
            continue
        starts = list(range(0, frames - length + 1, length))
        if starts[-1] + length < frames:
            starts.append(frames - length)
        places += [Place(number, start, length) for start in starts]
    return places


def hold_out(songs: Sequence[Song], share: float) -> tuple[list[Song], list[Song]]:
    """Split songs for early stopping, by song and the same way every time.

    Songs are ordered by the SHA-256 hash of their names; the first ones are held out.

    Parameters
    ----------
    songs : sequence of Song
        At least two.
    share : float
        In (0, 1); at least one song is held out, and at least one is not.

    Returns
    -------
    training, validation : list of Song
    """
    if len(songs) < 2:
        raise ValueError("at least two songs are needed to hold one out")
    count = min(max(1, math.ceil(share * len(songs))), len(songs) - 1)
    by_hash = by_name_hash(songs)
    return by_hash[count:], by_hash[:count]


def by_name_hash(songs: Sequence[Song]) -> list[Song]:
    """Return songs in an order that has nothing to do with their content, and is always the same."""
    return sorted(songs, key=lambda song: hashlib.sha256(song.name.encode()).digest())


def songs_digest(songs: Sequence[Song]) -> str:
    """Return the SHA-256, in hexadecimal, of all names, inputs and labels."""
    digest = hashlib.sha256()
    for song in songs:
        digest.update(f"{song.name!r} {song.inputs.shape}".encode())
        digest.update(np.ascontiguousarray(song.inputs).tobytes())
        digest.update(np.ascontiguousarray(song.labels).tobytes())
    return digest.hexdigest()
