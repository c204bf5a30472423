"""Teach a small network to hear what a large one hears: its embeddings, from a few frames of the same music.

The student learns from spectrograms as an equaliser, a level and a noise floor change them; what it is to say stays
what the teacher says of the clean music. What is used later is the mean over many frames, and a share of the loss is
on that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.distilled_ear import DistilledEar, DistilledEarParameters
from training.clips import FloatArray

_STANDARDISATION_BATCHES = 10
_SMALLEST_STD = 1e-6
_KNOTS = 7
"""The equaliser's gain is drawn at this many bands and linear between them."""
_LOWEST_NOISE, _HIGHEST_NOISE = -2.5, 0.5
"""Decimal logarithm of the noise floor's 10^4 energy, where music of full level has 1 to 3."""


@dataclass(frozen=True)
class DistillationSettings:
    """How a student is taught.

    Attributes
    ----------
    steps : int
        Batches.
    windows, frames : int
        Windows of music in a batch, and frames of each.
    learning_rate : float
        Of Adam, at its highest; it falls to zero along a cosine.
    weight_decay : float
        Of AdamW.
    window_weight : float
        Share of the loss that is on a window's mean rather than on its frames.
    component_power : float
        A component's error counts by the teacher's standard deviation along it to twice this power: 0, all alike;
        1, as much as in the teacher's own space.
    equaliser : float
        Largest gain or attenuation of a band, in dB.
    gain : float
        Largest change of level, in dB.
    noise_share : float
        Share of the windows that get a noise floor.
    averaging : float
        How much of the average of weights each step keeps; the average is what is returned.
    """

    steps: int = 4000
    windows: int = 32
    frames: int = 14
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    window_weight: float = 0.5
    component_power: float = 0.5
    equaliser: float = 6.0
    gain: float = 3.0
    noise_share: float = 0.5
    averaging: float = 0.998

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        ValueError
            If a setting is out of its range.
        """
        for name in ("steps", "windows", "frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("window_weight", "component_power", "noise_share", "averaging"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "equaliser", "gain"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be zero or positive, not {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Projection:
    """From the teacher's embeddings to what the student is to say: standardised principal components.

    Attributes
    ----------
    mean, std : ndarray of float32, shape (inputs,)
        Of every number of the embeddings.
    components : ndarray of float32, shape (inputs, outputs)
        Directions of the standardised embeddings, unit vectors, the most varied first.
    scale : ndarray of float32, shape (outputs,)
        Standard deviation along each.
    """

    mean: FloatArray
    std: FloatArray
    components: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, embeddings: FloatArray, outputs: int) -> Projection:
        """Take the components from embeddings, shape (frames, inputs).

        Raises
        ------
        ValueError
            If there are fewer frames or numbers in them than components.
        """
        if min(embeddings.shape) < outputs:
            raise ValueError(f"{outputs} components cannot be had from embeddings of shape {embeddings.shape}")
        mean = embeddings.mean(axis=0, dtype=np.float64)
        std = np.maximum(embeddings.std(axis=0, dtype=np.float64), _SMALLEST_STD)
        standardised = embeddings - mean
        standardised /= std
        # of the covariance, not of the frames: they are many
        directions, variances, _ = np.linalg.svd(standardised.T @ standardised / len(embeddings))
        # the sign of a direction is arbitrary: its largest number is positive
        largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
        directions = directions * np.sign(largest)
        scale = np.sqrt(np.maximum(variances[:outputs], _SMALLEST_STD**2))
        arrays = [array.astype(np.float32) for array in (mean, std, directions[:, :outputs], scale)]
        return cls(*arrays)

    def apply(self, embeddings: FloatArray) -> FloatArray:
        """Map embeddings, shape (frames, inputs), to standardised components, shape (frames, outputs)."""
        projected: FloatArray = ((embeddings - self.mean) / self.std) @ (self.components / self.scale)
        return projected.astype(np.float32)


def distil(
    spectrograms: Sequence[NDArray[np.floating[Any]]],
    targets: Sequence[NDArray[np.floating[Any]]],
    parameters: DistilledEarParameters,
    settings: DistillationSettings,
    seed: int = 0,
    stepped: Callable[[int, float], None] = lambda step, loss: None,
    initial: tuple[DistilledEar, Projection] | None = None,
) -> tuple[DistilledEar, Projection]:
    """Teach a student, on one thread.

    Parameters
    ----------
    spectrograms : sequence of ndarray, shape (frames, columns, bands)
        One array per clip: log10(10^4 energy + 1) of every frame, after the gain.
    targets : sequence of ndarray, shape (frames, inputs)
        The teacher's embedding that belongs to each frame, one array per clip.
    parameters : DistilledEarParameters
        The student's sizes.
    settings : DistillationSettings
        How to teach it.
    seed : int
        Everything random follows from it.
    stepped : callable
        Called after every step with its number, from 1, and its loss.
    initial : tuple of DistilledEar and Projection, optional
        A student that was taught before, and what it was to say: it is taught on, and is to say the same.

    Returns
    -------
    DistilledEar
        In evaluation mode.
    Projection
        What its outputs estimate.

    Raises
    ------
    ValueError
        If there are no frames, spectrograms and targets do not belong together, or windows are shorter than the
        student's span.
    """
    lengths = [len(clip) for clip in spectrograms]
    if not sum(lengths) or lengths != [len(clip) for clip in targets]:
        raise ValueError("spectrograms and targets must be of the same clips, and have frames")
    if settings.frames < parameters.span:
        raise ValueError(f"windows of {settings.frames} frames are too short for an ear that pools {parameters.span}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _distil(spectrograms, targets, parameters, settings, seed, stepped, initial)
    finally:
        torch.set_num_threads(threads)


def _distil(
    spectrograms: Sequence[NDArray[np.floating[Any]]],
    targets: Sequence[NDArray[np.floating[Any]]],
    parameters: DistilledEarParameters,
    settings: DistillationSettings,
    seed: int,
    stepped: Callable[[int, float], None],
    initial: tuple[DistilledEar, Projection] | None,
) -> tuple[DistilledEar, Projection]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    embeddings = np.concatenate(targets).astype(np.float32)
    projection = Projection.fit(embeddings, parameters.outputs) if initial is None else initial[1]
    wanted = torch.from_numpy(projection.apply(embeddings))
    del embeddings
    lengths = torch.tensor([len(clip) for clip in spectrograms])
    starts = lengths.cumsum(0) - lengths

    def draw() -> tuple[Tensor, Tensor]:
        clips, rows = _draw_rows(lengths, settings, generator)
        # not from one array of all clips, which would be in memory beside them
        heard = np.stack([spectrograms[clip][of_clip] for clip, of_clip in zip(clips, rows.numpy(), strict=True)])
        said = starts[clips][:, None] + rows[:, parameters.span - 1 :]
        return augment_logmel(torch.from_numpy(heard).float(), settings, generator), wanted[said]

    if initial is None:
        student = DistilledEar(parameters)
        student.set_standardisation(torch.cat([draw()[0].flatten(end_dim=1) for _ in range(_STANDARDISATION_BATCHES)]))
    else:
        student = copy.deepcopy(initial[0])
    averaged = copy.deepcopy(student).eval()
    importance = torch.from_numpy(projection.scale) ** (2 * settings.component_power)
    importance = importance / importance.mean()
    optimiser = torch.optim.AdamW(student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    student.train()
    for step in range(settings.steps):
        logmel, target = draw()
        error = student(logmel) - target
        of_frames = (error.square() * importance).mean()
        of_windows = (error.mean(dim=1).square() * importance).mean()
        loss = (1 - settings.window_weight) * of_frames + settings.window_weight * of_windows
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        _average(averaged, student, min(settings.averaging, (step + 1) / (step + 10)))
        stepped(step + 1, loss.item())
    return averaged, projection


def augment_logmel(logmel: Tensor, settings: DistillationSettings, generator: torch.Generator) -> Tensor:
    """Change windows as rooms and microphones do: an equaliser, a level and a noise floor for each window.

    Parameters
    ----------
    logmel : Tensor of float32, shape (windows, frames, columns, bands)
        log10(10^4 energy + 1).
    settings : DistillationSettings
        How much.
    generator : torch.Generator

    Returns
    -------
    Tensor of float32, shape (windows, frames, columns, bands)
    """
    windows, bands = logmel.shape[0], logmel.shape[-1]

    def smooth(knots: Tensor) -> Tensor:
        curve = torch.nn.functional.interpolate(knots[:, None], size=bands, mode="linear", align_corners=True)
        return curve[:, 0, None, None, :]

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    gain = settings.equaliser * uniform(windows, _KNOTS) + settings.gain * uniform(windows, 1)
    height = _LOWEST_NOISE + (_HIGHEST_NOISE - _LOWEST_NOISE) * torch.rand(windows, 1, generator=generator)
    tilt = 0.5 * uniform(windows, _KNOTS)
    noisy = torch.rand(windows, 1, 1, 1, generator=generator) < settings.noise_share
    noise = torch.where(noisy, 10 ** smooth(height + tilt), torch.zeros(()))
    # 10^x - 1 is what was there before the logarithm
    energy = torch.expm1(logmel * float(np.log(10))) * 10 ** (smooth(gain) / 10) + noise
    return torch.log10(energy + 1)


def _draw_rows(lengths: Tensor, settings: DistillationSettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw windows: the clip of each, and its frames within the clip."""
    # by the root of the length, as windows of labelled clips are drawn: long songs do not dominate
    clips = torch.multinomial(lengths.double().sqrt(), settings.windows, replacement=True, generator=generator)
    first = (torch.rand(settings.windows, generator=generator) * (lengths[clips] - settings.frames + 1)).long()
    rows = first.clamp_min(0)[:, None] + torch.arange(settings.frames)
    # a clip that is shorter goes on as it ended
    return clips, torch.minimum(rows, lengths[clips][:, None] - 1)


@torch.no_grad()
def _average(averaged: DistilledEar, student: DistilledEar, kept: float) -> None:
    for old, new in zip(averaged.state_dict().values(), student.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - kept)
        else:
            old.copy_(new)
