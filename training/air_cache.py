"""Features of clips as a microphone in a room would hear them, kept in the feature cache like any others.

What is random (the noise, the gain) follows from the file's bytes, as the cache's names do; so a clip has the same
noise and gain in all rooms and at all signal-to-noise ratios, which makes them comparable.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import tempfile
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from model.ear import Ear
from model.features import FloatArray, Frontend
from training.air import SAMPLE_RATE, Room, heard_through_air
from training.audio import SOUND_FONT, read_mono
from training.feature_cache import EarExtractor, Extractor, ExtractorCache, FeatureCache, FrontendExtractor
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
class ThroughAir:
    """What another extractor makes of a file that is played in a room.

    The other one gets what the microphone hears as a WAV file of 32-bit floats, so that it can be any.

    Attributes
    ----------
    extractor : Extractor
        The other one.
    path : AirPath
        How it hears.
    """

    extractor: Extractor
    path: AirPath

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
        with tempfile.TemporaryDirectory(prefix="moodring-") as folder:
            audio = Path(folder) / "heard.wav"
            soundfile.write(audio, heard, SAMPLE_RATE, subtype="FLOAT")
            try:
                return self.extractor(audio, sound_font)
            except DataError as error:
                # nobody knows the temporary file
                raise DataError(str(error).replace(str(audio), str(source))) from error


@dataclass(frozen=True, init=False)
class AirFeatureCache(FeatureCache):
    """The frontend's features of clips that are heard through the air, computed once.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    frontend : Frontend
        What computes them.
    path : AirPath
        How clips are heard.
    sound_font : Path
        What MIDI is rendered with.
    ear : Ear, optional
        What hears the same.
    """

    def __init__(
        self,
        folder: Path,
        frontend: Frontend,
        path: AirPath,
        sound_font: Path = SOUND_FONT,
        ear: Ear | None = None,
    ) -> None:
        ExtractorCache.__init__(self, folder, ThroughAir(FrontendExtractor(frontend), path), sound_font)
        of_ear = None if ear is None else ExtractorCache(folder, ThroughAir(EarExtractor(ear), path), sound_font)
        object.__setattr__(self, "of_ear", of_ear)

    @property
    def frontend(self) -> Frontend:
        """What computes the features."""
        assert isinstance(self.extractor, ThroughAir)
        assert isinstance(self.extractor.extractor, FrontendExtractor)
        return self.extractor.extractor.frontend

    @property
    def ear(self) -> Ear | None:
        """What hears the same."""
        if self.of_ear is None:
            return None
        assert isinstance(self.of_ear.extractor, ThroughAir)
        assert isinstance(self.of_ear.extractor.extractor, EarExtractor)
        return self.of_ear.extractor.extractor.ear


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
        raise DataError("hearing through the air needs pyroomacoustics: install moodring[air]") from error
