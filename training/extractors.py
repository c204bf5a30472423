"""What turns a file of music into numbers that are worth keeping: features, what an ear looks at, what it says.

Each has a key that tells what, beside the file, its output depends on; `training.feature_cache` keeps the output.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.ear import COLUMNS, FRAME_LENGTH, MEL_BANDS, SAMPLE_RATE, Ear, EarFrontend, EarMemory, EarShape
from model.features import FeatureParameters, FloatArray, Frontend, mean_square
from training.audio import read_frames

_FRAMES_AT_ONCE = 64
_LAYOUT = 1
"""Raised when the arithmetic changes in a way that the parameters do not show."""


@dataclass(frozen=True)
class FrontendExtractor:
    """The frontend's features of a file.

    Attributes
    ----------
    frontend : Frontend
        What computes them.
    """

    frontend: Frontend

    @property
    def key(self) -> bytes:
        """SHA-256 of the frontend's parameters and filterbanks."""
        digest = hashlib.sha256(json.dumps([_LAYOUT, self.frontend.parameters.to_json()], sort_keys=True).encode())
        for values in self.frontend.tensors().values():
            digest.update(values.tobytes())
        return digest.digest()

    @property
    def column_count(self) -> int:
        """The frontend's ``feature_count``."""
        return self.frontend.parameters.feature_count

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the features, shape (frames, feature_count)."""
        return self.frontend(read_frames(source, self.frontend.parameters, sound_font))


def read_ear_frames(source: Path, sound_font: Path) -> FloatArray:
    """Read a file as the frames that ears hear; see `training.audio.read_frames`."""
    parameters = FeatureParameters(sample_rate=SAMPLE_RATE, frame_duration=FRAME_LENGTH / SAMPLE_RATE)
    return read_frames(source, parameters, sound_font)


@dataclass(frozen=True)
class EarExtractor:
    """What an ear says of a file.

    Attributes
    ----------
    ear : Ear
        What hears it.
    """

    ear: Ear

    @property
    def key(self) -> bytes:
        """The ear's digest."""
        return f"ear {_LAYOUT} ".encode() + self.ear.digest()

    @property
    def column_count(self) -> int:
        """The ear's outputs."""
        return self.ear.shape.outputs

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return what is heard, shape (frames, outputs)."""
        frames = read_ear_frames(source, sound_font)
        memory = self.ear.memory()
        torch.set_num_threads(1)
        parts = [frames[start : start + _FRAMES_AT_ONCE] for start in range(0, len(frames), _FRAMES_AT_ONCE)]
        return np.concatenate([self.ear.hear(part, [memory] * len(part)) for part in parts])


@dataclass(frozen=True)
class SpectrogramExtractor:
    """What an ear looks at: spectrograms of a file's frames, without their gain.

    Attributes
    ----------
    frontend : EarFrontend
        What computes them.
    """

    frontend: EarFrontend

    @property
    def key(self) -> bytes:
        """The filterbank."""
        return f"ear's spectrograms {_LAYOUT} ".encode() + self.frontend.mel_filterbank.tobytes()

    @property
    def column_count(self) -> int:
        """Columns times bands."""
        return COLUMNS * MEL_BANDS

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the spectrograms, shape (frames, COLUMNS * MEL_BANDS)."""
        return look_at(self.frontend, read_ear_frames(source, sound_font))


def look_at(frontend: EarFrontend, frames: FloatArray) -> FloatArray:
    """Return what ears look at of one stream's frames, shape (frames, FRAME_LENGTH); see `SpectrogramExtractor`."""
    powers = mean_square(frames).tolist()
    memory = EarMemory(EarShape(context=0, span=1, outputs=0))
    energies = frontend(frames)
    rows = [memory.remove_gain(frame, power) for frame, power in zip(energies, powers, strict=True)]
    return np.stack(rows).reshape(len(rows), -1)


def hear_kept(ear: Ear, spectrograms: FloatArray) -> FloatArray:
    """Return what an ear says of a clip, from what `look_at` made of it with the ear's frontend.

    Parameters
    ----------
    ear : Ear
    spectrograms : ndarray of float32, shape (frames, COLUMNS * MEL_BANDS)

    Returns
    -------
    ndarray of float32, shape (frames, outputs)
        Bit for bit what `EarExtractor` gives.
    """
    memory = ear.memory()
    torch.set_num_threads(1)
    pictures = spectrograms.reshape(1, -1, COLUMNS, MEL_BANDS)
    starts = range(0, pictures.shape[1], _FRAMES_AT_ONCE)
    return np.concatenate(
        [ear.hear_spectrograms(pictures[:, start : start + _FRAMES_AT_ONCE], [memory])[0] for start in starts]
    )
