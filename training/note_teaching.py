"""From music without labels to what hears the notes of a frame (`model.chroma.NoteChroma`).

The teacher is a transcriber, basic-pitch (Bittner et al. 2022, "A lightweight instrument-agnostic model for polyphonic
note transcription and multipitch estimation"; Apache-2.0): it tells how likely each note sounds every 12 ms, from two
seconds of sound. The student says how likely it is on average in one frame, from the spectrum of that frame alone. The
teacher's weights stay in their own package (`pip install --no-deps basic-pitch==0.4.0`); only teaching needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model.chroma import LAYERS
from model.features import FeatureParameters, FloatArray, power_spectrum, spectrum_taper
from model.note_spectrum import NOTES, SPECTRUM_BANDS, NoteSpectrum, around_notes, inputs_of
from model.onnx_session import Session
from training.audio import read_mono
from training.tables import DataError

TEACHER_SHA256 = "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec"
_TEACHER_FILE = Path("saved_models", "icassp_2022", "nmp.onnx")
_INSTALL = "pip install --no-deps basic-pitch==0.4.0"
_SAMPLE_RATE = 22050
_WINDOW = 43844
"""Samples that the teacher hears at once."""
_COLUMN = 256
"""Samples from one of its columns to the next."""
_INPUT, _NOTES = "serving_default_input_2:0", "StatefulPartitionedCall:1"
_FRAMES = 3
"""Frames in the middle of what the teacher hears."""
_LAYOUT = 1
"""Raised when the arithmetic changes in a way that the parameters do not show."""


@dataclass(frozen=True)
class NoteTeaching:
    """How the student is taught.

    Attributes
    ----------
    excerpts : int
        Of two seconds, that are heard of each clip, from its beginning to its end.
    bands_per_harmonic : int
        A third of a semitone each: how much the student sees of the spectrum around each harmonic of a note.
    units : tuple of int
        Of the student's two hidden layers.
    steps, frames_per_step : int
        Steps of training, and frames in each.
    learning_rate : float
        At the beginning; it falls to 0 like a cosine.
    """

    excerpts: int = 16
    bands_per_harmonic: int = 15
    units: tuple[int, int] = (32, 16)
    steps: int = 6000
    frames_per_step: int = 96
    learning_rate: float = 5e-3

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)


@lru_cache(maxsize=1)
def _teacher() -> Session:
    package = find_spec("basic_pitch")
    if package is None or package.origin is None:
        raise DataError(f"teaching notes needs basic-pitch: {_INSTALL}")
    path = Path(package.origin).parent / _TEACHER_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror}; {_INSTALL}') from error
    if hashlib.sha256(content).hexdigest() != TEACHER_SHA256:
        raise DataError(f'"{path}" is not that of basic-pitch 0.4.0; {_INSTALL}')
    return Session(content)


def check_teacher() -> None:
    """Raise a `DataError` if the teacher's package is missing, or is another version."""
    _teacher()


@dataclass(frozen=True)
class NoteLessons:
    """An extractor of what there is to learn from a file; see `training.extractors`.

    Attributes
    ----------
    excerpts : int
        As in `NoteTeaching`.
    """

    excerpts: int

    @property
    def key(self) -> bytes:
        """The teacher's digest and how much is heard."""
        return f"notes {_LAYOUT} {TEACHER_SHA256} {self.excerpts}".encode()

    @property
    def column_count(self) -> int:
        """What is looked at and what the teacher says."""
        return SPECTRUM_BANDS + NOTES

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return spectra and how likely each note sounds, shape (frames, SPECTRUM_BANDS + NOTES)."""
        samples = read_mono(source, _SAMPLE_RATE, sound_font)
        samples = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
        starts = np.linspace(0, len(samples) - _WINDOW, self.excerpts).astype(int)
        excerpts = np.stack([samples[start : start + _WINDOW] for start in starts])
        (said,) = _teacher().run([_NOTES], {_INPUT: excerpts[..., np.newaxis]})
        length = FeatureParameters().frame_length
        first = (_WINDOW - _FRAMES * length) // 2
        edges = np.round((first + length * np.arange(_FRAMES + 1)) / _COLUMN).astype(int)
        wanted = np.stack([said[:, a:b].mean(axis=1) for a, b in pairwise(edges)], axis=1)
        frames = excerpts[:, first : first + _FRAMES * length].reshape(-1, length)
        spectra = NoteSpectrum(length, _SAMPLE_RATE).spectrum(power_spectrum(frames * spectrum_taper(length)))
        return np.concatenate([spectra, wanted.reshape(-1, NOTES)], axis=1)


def teach_notes(
    lessons: Sequence[FloatArray],
    settings: NoteTeaching,
    seed: int = 0,
    stepped: Callable[[int, float], None] = lambda step, loss: None,
) -> dict[str, FloatArray]:
    """Teach the student.

    Parameters
    ----------
    lessons : sequence of ndarray of float32, shape (n, SPECTRUM_BANDS + NOTES)
        From `NoteLessons`, of each clip.
    settings : NoteTeaching
        How.
    seed : int
        Everything random follows from it.
    stepped : callable
        Called after every step with its number and its loss.

    Returns
    -------
    dict of str to ndarray
        The weights of `model.chroma.NoteChroma`.
    """
    together = np.concatenate(lessons)
    spectra, wanted = together[:, :SPECTRUM_BANDS], torch.from_numpy(together[:, SPECTRUM_BANDS:])
    chance = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(a, b) for a, b in pairwise((inputs_of(settings.bands_per_harmonic), *settings.units, 1))]
    with torch.no_grad():
        for layer in layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=chance)
            layer.bias.zero_()
    student = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimiser = torch.optim.AdamW(student.parameters(), lr=settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    for step in range(1, settings.steps + 1):
        rows = torch.randint(len(wanted), (settings.frames_per_step,), generator=chance)
        seen = around_notes(spectra[rows.numpy()], settings.bands_per_harmonic)
        scores = student(torch.from_numpy(seen))[..., 0]
        loss = nn.functional.binary_cross_entropy_with_logits(scores, wanted[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        stepped(step, loss.item())
    return {
        f"{name}.{part}": np.ascontiguousarray(values.detach().numpy().T)
        for name, layer in zip(LAYERS, layers, strict=True)
        for part, values in (("weight", layer.weight), ("bias", layer.bias))
    }
