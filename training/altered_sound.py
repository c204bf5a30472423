"""Features of clips that sound otherwise than their files: played in a room, or turned down.

An extractor of altered sound alters the samples and lets another extractor hear them, whichever that is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import soundfile

from model.ear import Ear
from model.features import FloatArray, Frontend
from training.audio import SOUND_FONT
from training.extractors import FrontendExtractor
from training.feature_cache import Extractor, ExtractorCache, FeatureCache, ear_cache
from training.tables import DataError


class AlteringExtractor(Extractor, Protocol):
    """What lets another extractor hear something else."""

    @property
    def extractor(self) -> Extractor:
        """The other one."""


def extract_samples(
    extractor: Extractor, samples: FloatArray, sample_rate: int, source: Path, sound_font: Path
) -> FloatArray:
    """Return what an extractor makes of samples, which it gets as a WAV file of 32-bit floats.

    Parameters
    ----------
    extractor : Extractor
    samples : ndarray of float32, shape (n,)
        Mono; nothing is clipped.
    sample_rate : int
        Samples per second.
    source : Path
        The file that they are of, for messages.
    sound_font : Path
        What the extractor would render MIDI with.

    Returns
    -------
    ndarray of float32, shape (frames, column_count)

    Raises
    ------
    DataError
        If the extractor makes nothing of them; the message names `source`.
    """
    with tempfile.TemporaryDirectory(prefix="moodring-") as folder:
        audio = Path(folder) / "heard.wav"
        soundfile.write(audio, samples, sample_rate, subtype="FLOAT")
        try:
            return extractor(audio, sound_font)
        except DataError as error:
            # nobody knows the temporary file
            raise DataError(str(error).replace(str(audio), str(source))) from error


@dataclass(frozen=True, init=False)
class AlteredFeatureCache(FeatureCache):
    """The rows that a network takes of clips that sound otherwise than their files, computed once.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    frontend : Frontend
        What computes the features.
    alter : callable
        From an extractor to the one that lets it hear something else.
    sound_font : Path
        What MIDI is rendered with.
    ear : Ear, optional
        What hears the same.
    """

    def __init__(
        self,
        folder: Path,
        frontend: Frontend,
        alter: Callable[[Extractor], AlteringExtractor],
        sound_font: Path = SOUND_FONT,
        ear: Ear | None = None,
    ) -> None:
        ExtractorCache.__init__(self, folder, alter(FrontendExtractor(frontend)), sound_font)
        object.__setattr__(self, "of_ear", ear_cache(folder, ear, sound_font, alter))

    @property
    def frontend(self) -> Frontend:
        """What computes the features."""
        altering: AlteringExtractor = self.extractor  # type: ignore[assignment]
        assert isinstance(altering.extractor, FrontendExtractor)
        return altering.extractor.frontend
