"""A small convolutional network that hears one frame of music: what it learns, it learns from a larger network.

The larger one pools over seconds of audio with filters as wide as the spectrum (musicnn: Pons & Serra 2019). Here
strided convolutions shrink a frame's log-mel spectrogram, one layer as wide as the spectrum tells where in it things
are, and the rest of time is pooled ("knowledge distillation", Hinton et al. 2015; on embeddings: Romero et al. 2015).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.kinds import check_kinds

_FIRST_KERNEL = 5
_SMALLEST_STD = 1e-2


@dataclass(frozen=True)
class DistilledEarParameters:
    """Every size of the network.

    Attributes
    ----------
    columns : int
        Columns of the spectrogram that it hears at once.
    bands : int
        Mel bands of a column.
    filters : tuple of int
        Filters of each convolution. Each layer halves the bands; the first three halve the columns as well.
    spectrum_filters : int
        Filters of the layer that is as wide as what is left of the spectrum.
    outputs : int
        Numbers that it gives per frame.
    """

    columns: int = 31
    bands: int = 96
    filters: tuple[int, ...] = (16, 32, 64, 64)
    spectrum_filters: int = 128
    outputs: int = 96

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, absurdly large, or leave nothing of the spectrum.

        Raises
        ------
        ValueError
            If a size is out of its range.
        """
        check_kinds(self)
        limits = {"columns": 1024, "bands": 1024, "spectrum_filters": 4096, "outputs": 4096}
        sizes = [(name, getattr(self, name), limit) for name, limit in limits.items()]
        if not 1 <= len(self.filters) <= 6:
            raise ValueError(f"filters must be of 1 to 6 layers, not {len(self.filters)}")
        sizes += [("filters", count, 512) for count in self.filters]
        for name, value, limit in sizes:
            if not 1 <= value <= limit:
                raise ValueError(f"{name} must be a whole number from 1 to {limit}, not {value!r}")
        if self.bands % 2 ** len(self.filters):
            raise ValueError(
                f"bands must be a multiple of {2 ** len(self.filters)}, not {self.bands}: layers halve them"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object."""
        return {**asdict(self), "filters": list(self.filters)}


class DistilledEar(nn.Module):
    """Strided convolutions, one as wide as the spectrum, then maximum and mean over time and a linear layer.

    Parameters
    ----------
    parameters : DistilledEarParameters
        Its sizes.
    """

    def __init__(self, parameters: DistilledEarParameters) -> None:
        super().__init__()
        p = parameters
        self.parameters_ = p
        self.register_buffer("mean", torch.zeros(p.bands))
        self.register_buffer("std", torch.ones(p.bands))
        self.mean: Tensor
        self.std: Tensor
        layers: list[nn.Module] = []
        inputs = 1
        for layer, filters in enumerate(p.filters):
            kernel = _FIRST_KERNEL if layer == 0 else 3
            stride = (2 if layer < 3 else 1, 2)
            layers += [
                nn.Conv2d(inputs, filters, kernel, stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
            ]
            inputs = filters
        width = p.bands // 2 ** len(p.filters)
        layers += [
            nn.Conv2d(inputs, p.spectrum_filters, (1, width), bias=False),
            nn.BatchNorm2d(p.spectrum_filters),
            nn.ReLU(),
        ]
        # the products take half as long in this order of the axes
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.linear = nn.Linear(2 * p.spectrum_filters, p.outputs)

    def set_standardisation(self, logmel: Tensor) -> None:
        """Take every band's mean and standard deviation from spectrograms, shape (batch, columns, bands)."""
        flat = logmel.flatten(end_dim=1)
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp_min(_SMALLEST_STD))

    def forward(self, logmel: Tensor) -> Tensor:
        """Hear frames, each by itself.

        Parameters
        ----------
        logmel : Tensor of float32, shape (batch, columns, bands)
            Compressed mel energies of each frame, log10(10^4 energy + 1), after the gain.

        Returns
        -------
        Tensor of float32, shape (batch, outputs)
            What is heard; over the training music each has about mean 0 and standard deviation 1 or less.

        Raises
        ------
        ValueError
            If the spectrograms are of another size.
        """
        p = self.parameters_
        if logmel.ndim != 3 or tuple(logmel.shape[1:]) != (p.columns, p.bands):
            raise ValueError(f"expected frames of {p.columns} columns and {p.bands} bands, not {tuple(logmel.shape)}")
        planes = self.convolutions(((logmel - self.mean) / self.std).unsqueeze(1))
        over_time = planes.flatten(start_dim=2)
        output: Tensor = self.linear(torch.cat([over_time.amax(dim=2), over_time.mean(dim=2)], dim=1))
        return output
