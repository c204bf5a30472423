"""Features of clips as a microphone in a room would hear them, kept in the feature cache like any others.

What is random (the noise, the gain) follows from the file's bytes, as the cache's names do; so a clip has the same
noise and gain in all rooms and at all signal-to-noise ratios, which makes them comparable.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from model.features import FloatArray
from training.air import SAMPLE_RATE, Room, heard_through_air
from training.altered_sound import extract_samples
from training.audio import read_mono
from training.feature_cache import Extractor
from training.random_rooms import COUNT, random_room
from training.tables import DataError

_LAYOUT = 1
"""Raised when the arithmetic changes in a way that the parameters do not show."""


@dataclass(frozen=True)
class AirPath:
    """How clips are heard.

    Attributes
    ----------
    room : Room
    snr : float
        Power of the music over that of the noise, in dB; infinity for no noise.
    gains : tuple of float
        Least and greatest level of what is heard, in dB relative to the clip's; each clip has its own in between.
    clipping : bool
        Bend peaks at full scale.
    """

    room: Room
    snr: float
    gains: tuple[float, float] = (-20.0, 0.0)
    clipping: bool = False

    @property
    def key(self) -> bytes:
        """SHA-256 of what, beside the clip, the sound depends on.

        Raises
        ------
        DataError
            If pyroomacoustics is missing.
        """
        described = json.dumps([_LAYOUT, _simulator_version(), asdict(self)], sort_keys=True)
        return hashlib.sha256(described.encode()).digest()

    def hear(self, samples: FloatArray, source: Path) -> FloatArray:
        """Return what the microphone hears of a clip.

        Parameters
        ----------
        samples : ndarray of float32, shape (n,)
            Mono, `training.air.SAMPLE_RATE` samples per second.
        source : Path
            The clip's file, which settles what is random.

        Returns
        -------
        ndarray of float32, shape (n,)

        Raises
        ------
        DataError
            If the file cannot be read or pyroomacoustics is missing.
        """
        seed = seed_of(source)
        gain = float(np.random.default_rng([seed, 1]).uniform(*self.gains))
        return heard_through_air(samples, self.room, self.snr, seed, gain=gain, clipping=self.clipping)


@dataclass(frozen=True)
class AirPathOfEach:
    """How clips are heard if each is in a room, and amid noise, of its own: as training hears them.

    Attributes
    ----------
    snrs : tuple of float
        Least and greatest power of the music over that of the noise, in dB.
    gains : tuple of float
        As in `AirPath`.
    rooms : int
        Of `training.random_rooms`, the first so many.
    """

    snrs: tuple[float, float] = (5.0, 35.0)
    gains: tuple[float, float] = (-20.0, 0.0)
    rooms: int = COUNT

    @property
    def key(self) -> bytes:
        """SHA-256 of what, beside the clip, the sound depends on; raises as `AirPath.key` does."""
        rooms = [asdict(random_room(number)) for number in range(self.rooms)]
        described = json.dumps([_LAYOUT, _simulator_version(), asdict(self), rooms], sort_keys=True)
        return hashlib.sha256(described.encode()).digest()

    def hear(self, samples: FloatArray, source: Path) -> FloatArray:
        """Return what the microphone hears of a clip; see `AirPath.hear`."""
        generator = np.random.default_rng([seed_of(source), 2])
        room = random_room(int(generator.integers(self.rooms)))
        return AirPath(room, float(generator.uniform(*self.snrs)), self.gains).hear(samples, source)


def rooms_of_each(count: int) -> AirPathOfEach | None:
    """Return how clips are heard in so many rooms; None if there are none."""
    return AirPathOfEach(rooms=count) if count else None


@dataclass(frozen=True)
class ThroughAir:
    """What another extractor makes of a file that is played in a room.

    Attributes
    ----------
    extractor : Extractor
        The other one.
    path : AirPath or AirPathOfEach
        How it hears.
    """

    extractor: Extractor
    path: AirPath | AirPathOfEach

    @property
    def key(self) -> bytes:
        """The path's key and the other extractor's."""
        return self.path.key + self.extractor.key

    @property
    def column_count(self) -> int:
        """The other extractor's."""
        return self.extractor.column_count

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the other extractor's array for what is heard of a file."""
        heard = self.path.hear(read_mono(source, SAMPLE_RATE, sound_font), source)
        return extract_samples(self.extractor, heard, SAMPLE_RATE, source, sound_font)


def seed_of(source: Path) -> int:
    """Return a number that belongs to a file's bytes, whatever its name and place.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    try:
        return int.from_bytes(hashlib.sha256(source.read_bytes()).digest()[:8], "big")
    except OSError as error:
        raise DataError(f'cannot read "{source}": {error.strerror or error}') from error


@lru_cache(maxsize=1)
def _simulator_version() -> str:
    try:
        return importlib.metadata.version("pyroomacoustics")
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError("hearing through the air needs pyroomacoustics: install moodring[train]") from error
