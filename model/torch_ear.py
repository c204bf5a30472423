"""An ear whose network runs in torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.ear import Ear, EarFrontend, EarShape
from model.features import FloatArray


class TorchEar(nn.Module, Ear):
    """What every kind of ear in torch has in common.

    Parameters
    ----------
    frontend : EarFrontend
        From samples to spectrograms.
    shape : EarShape
        Its needs.
    """

    def __init__(self, frontend: EarFrontend, shape: EarShape) -> None:
        super().__init__()
        self.frontend = frontend
        self.shape = shape

    def convolve(self, spectrograms: Tensor) -> Tensor:
        """Look at spectrograms, as `Ear.convolved` does."""
        raise NotImplementedError

    def read_out(self, pooled: Tensor) -> Tensor:
        """Turn what was convolved into what the ear says, as `Ear.said_of` does."""
        raise NotImplementedError

    @torch.inference_mode()
    def convolved(self, spectrograms: FloatArray) -> FloatArray:
        """Convolve arrays; see `Ear.convolved`."""
        pooled: FloatArray = self.convolve(torch.from_numpy(spectrograms)).numpy()
        return pooled

    @torch.inference_mode()
    def said_of(self, pooled: FloatArray) -> FloatArray:
        """Read arrays out; see `Ear.said_of`."""
        said: FloatArray = self.read_out(torch.from_numpy(pooled)).numpy()
        return said
