"""Ears and sounds that several tests need; no weights from elsewhere."""

from __future__ import annotations

import numpy as np
import torch

from model.distilled_ear import DistilledEar, DistilledEarParameters
from model.ear import FFT_WINDOW, FRAME_LENGTH, MEL_BANDS, EarFrontend, EarShape
from model.ears import DistilledListener
from model.torch_ear import TorchEar

TINY = DistilledEarParameters(filters=(2, 3), spectrum_filters=4, outputs=3, span=2, hidden_units=5)


def plain_frontend() -> EarFrontend:
    """Give a filterbank of overlapping triangles, which needs no librosa."""
    bins = np.arange(FFT_WINDOW // 2 + 1)
    centres = np.linspace(2, 250, MEL_BANDS)[:, None]
    return EarFrontend((0.05 * np.maximum(0, 1 - np.abs(bins - centres) / 4)).astype(np.float32))


def tiny_ear(seed: int = 0) -> DistilledListener:
    """Give an ear of the default model's kind, with random weights."""
    torch.manual_seed(seed)
    network = DistilledEar(TINY)
    # random weights say about the same of everything
    torch.nn.init.normal_(network.linear.weight, std=10)
    return DistilledListener(plain_frontend(), network)


class RememberingEar(TorchEar):
    """Looks two frames back and pools over three, as musicnn does over more, at no cost."""

    kind = "remembering"

    def __init__(self) -> None:
        super().__init__(plain_frontend(), EarShape(context=2, span=3, outputs=4))
        self.weights = torch.randn(3, MEL_BANDS, 4, generator=torch.Generator().manual_seed(0)) / 1000

    def convolve(self, spectrograms: torch.Tensor) -> torch.Tensor:
        columns = spectrograms.amax(dim=2)
        frames = columns.shape[1] - 2
        looked_at = torch.stack([columns[:, back : back + frames] for back in range(3)], dim=2)
        return torch.einsum("bnkm,kmo->bno", looked_at, self.weights)

    def read_out(self, pooled: torch.Tensor) -> torch.Tensor:
        assert pooled.shape[1] == 3
        return torch.tanh(pooled.amax(dim=1) + torch.arange(3.0) @ pooled)

    def digest(self) -> bytes:
        return self.weights.numpy().tobytes()


def sounds(frames: int, seed: int = 0) -> np.ndarray:
    """Give frames of tones and noise whose level changes, shape (frames, FRAME_LENGTH)."""
    random = np.random.default_rng(seed)
    time = np.arange(frames * FRAME_LENGTH) / 22050
    tones = sum(np.sin(2 * np.pi * f * time + f) for f in random.uniform(80, 4000, 5))
    level = np.repeat(10 ** random.uniform(-2, -0.7, frames), FRAME_LENGTH)
    wave = level * (tones + 0.3 * random.standard_normal(len(time))) / 3
    return wave.astype(np.float32).reshape(frames, FRAME_LENGTH)
