"""What a data set loader gives: clips of music, their labels, and the part of the data set that they belong to.

Conventions
-----------
- Values are valence first, arousal second, in [-1, 1].
- Frame i of a clip covers the time from i to i + 1 frame durations; a label at a position describes the frame that
  ends there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

DEVELOPMENT = "development"
EVALUATION = "evaluation"

FOLDS = 5
EVALUATION_FOLD = 0
VALIDATION_FOLD = 1


@dataclass(frozen=True, eq=False)
class DynamicLabels:
    """Time-continuous labels.

    Attributes
    ----------
    positions : ndarray of float64, shape (n,)
        Ends of the labelled frames in seconds, rising.
    values : ndarray of float32, shape (n, 2)
        Valence and arousal there.
    """

    positions: NDArray[np.float64]
    values: FloatArray

    def per_frame(self, frames: int, frame_duration: float) -> FloatArray:
        """Lay the labels out on the frames of the clip's features.

        Parameters
        ----------
        frames : int
            How many frames the clip has; labels after the last one are dropped.
        frame_duration : float
            Seconds.

        Returns
        -------
        ndarray of float32, shape (frames, 2)
            NaN where a frame has no label.
        """
        laid_out = np.full((frames, 2), np.nan, dtype=np.float32)
        indices = np.rint(self.positions / frame_duration).astype(np.int64) - 1
        inside = (indices >= 0) & (indices < frames)
        laid_out[indices[inside]] = self.values[inside]
        return laid_out


@dataclass(frozen=True)
class StaticLabels:
    """One valence and one arousal for the whole clip, in [-1, 1]."""

    valence: float
    arousal: float


@dataclass(frozen=True)
class SignLabels:
    """The quadrant of the whole clip: the signs (-1 or 1) of its valence and arousal."""

    valence: int
    arousal: int


Labels = DynamicLabels | StaticLabels | SignLabels


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of labelled music.

    Attributes
    ----------
    dataset : str
        Name of its data set.
    name : str
        Unique within the data set.
    group : str
        What must not be torn apart when clips are split: the song or the artist.
    source : Path
        Audio, or MIDI to be rendered.
    part : str
        `DEVELOPMENT` or `EVALUATION`.
    labels : DynamicLabels, StaticLabels or SignLabels
        What listeners said.
    """

    dataset: str
    name: str
    group: str
    source: Path
    part: str
    labels: Labels


def fold_of(group: str) -> int:
    """Return the fold, from 0 to `FOLDS` - 1, of a group of clips.

    It is the SHA-256 hash of the group's name (as UTF-8, case and outer blanks ignored) modulo `FOLDS`: it depends
    neither on the other clips nor on a random state, so adding clips moves none.

    Parameters
    ----------
    group : str
        Name of a song, clip or artist.

    Returns
    -------
    int
    """
    digest = hashlib.sha256(group.strip().casefold().encode()).digest()
    return int.from_bytes(digest, "big") % FOLDS


def part_of(group: str) -> str:
    """Return the part of a group in data sets that have no published split: one fold in five is held out.

    Parameters
    ----------
    group : str
        Name of a song, clip or artist.

    Returns
    -------
    str
        `EVALUATION` or `DEVELOPMENT`.
    """
    return EVALUATION if fold_of(group) == EVALUATION_FOLD else DEVELOPMENT
