"""A small convolutional network that hears a few frames of music: what it learns, it learns from a larger network.

The larger one pools over seconds of audio with filters as wide as the spectrum (musicnn: Pons & Serra 2019). Here
strided convolutions shrink a frame's log-mel spectrogram, one layer as wide as the spectrum tells where in it things
are, and the rest of time is pooled, first over the frame, then over the newest frames, as many as the larger one pools
("knowledge distillation", Hinton et al. 2015; on embeddings: Romero et al. 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.ear import LONGEST_SPAN, MOST_FILTERS
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
    span : int
        Frames, the newest one among them, that are pooled into what it gives.
    hidden_units : int
        Units of a layer between what is pooled and the outputs; 0 for none.
    """

    columns: int = 31
    bands: int = 96
    filters: tuple[int, ...] = (16, 32, 64, 64)
    spectrum_filters: int = 128
    outputs: int = 96
    span: int = 6
    hidden_units: int = 192

    def __post_init__(self) -> None:
        """Refuse sizes that are not positive, absurdly large, or leave nothing of the spectrum.

        Raises
        ------
        ValueError
            If a size is out of its range.
        """
        check_kinds(self)
        limits = {"columns": 1024, "bands": 1024, "spectrum_filters": MOST_FILTERS, "outputs": 4096}
        limits["span"] = LONGEST_SPAN
        sizes = [(name, getattr(self, name), limit) for name, limit in limits.items()]
        if not 1 <= len(self.filters) <= 6:
            raise ValueError(f"filters must be of 1 to 6 layers, not {len(self.filters)}")
        sizes += [("filters", count, 512) for count in self.filters]
        for name, value, limit in sizes:
            if not 1 <= value <= limit:
                raise ValueError(f"{name} must be a whole number from 1 to {limit}, not {value!r}")
        if not 0 <= self.hidden_units <= 4096:
            raise ValueError(f"hidden_units must be a whole number from 0 to 4096, not {self.hidden_units!r}")
        if self.bands % 2 ** len(self.filters):
            raise ValueError(
                f"bands must be a multiple of {2 ** len(self.filters)}, not {self.bands}: layers halve them"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object."""
        return {**asdict(self), "filters": list(self.filters)}

    @classmethod
    def from_json(cls, sizes: Mapping[str, Any]) -> DistilledEarParameters:
        """Read the parameters from a JSON object.

        Those of the first ears, which heard each frame by itself, lack ``span`` and ``hidden_units``.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it is not what `to_json` gives.
        """
        return cls(**{"span": 1, "hidden_units": 0, **sizes, "filters": tuple(sizes["filters"])})


class DistilledEar(nn.Module):
    """Strided convolutions, one as wide as the spectrum, then maximum and mean over time, and dense layers.

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
        numbers = 2 * p.spectrum_filters
        self.dense = nn.Sequential()
        if p.hidden_units:
            layers = [nn.BatchNorm1d(numbers), nn.Linear(numbers, p.hidden_units), nn.ReLU()]
            self.dense = nn.Sequential(*layers, nn.BatchNorm1d(p.hidden_units))
        self.linear = nn.Linear(p.hidden_units or numbers, p.outputs)

    def set_standardisation(self, logmel: Tensor) -> None:
        """Take every band's mean and standard deviation from spectrograms, shape (batch, columns, bands)."""
        flat = logmel.flatten(end_dim=1)
        self.mean.copy_(flat.mean(dim=0))
        self.std.copy_(flat.std(dim=0).clamp_min(_SMALLEST_STD))

    def pooled(self, logmel: Tensor) -> Tensor:
        """Convolve frames, each by itself, and pool each over time.

        Parameters
        ----------
        logmel : Tensor of float32, shape (batch, columns, bands)
            Compressed mel energies of each frame, log10(10^4 energy + 1), after the gain.

        Returns
        -------
        Tensor of float32, shape (batch, 2 * spectrum_filters)
            Of each filter the maximum, then of each the mean.

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
        return torch.cat([over_time.amax(dim=2), over_time.mean(dim=2)], dim=1)

    def said_of(self, pooled: Tensor) -> Tensor:
        """Pool over frames, and say what is heard.

        Parameters
        ----------
        pooled : Tensor of float32, shape (batch, span, 2 * spectrum_filters)
            Of frames that follow each other, as `pooled` gives them.

        Returns
        -------
        Tensor of float32, shape (batch, outputs)
            What is heard; over the training music each has about mean 0 and standard deviation 1 or less.
        """
        filters = self.parameters_.spectrum_filters
        both = torch.cat([pooled[..., :filters].amax(dim=1), pooled[..., filters:].mean(dim=1)], dim=1)
        said: Tensor = self.linear(self.dense(both))
        return said

    def forward(self, logmel: Tensor) -> Tensor:
        """Hear frames that follow each other.

        Parameters
        ----------
        logmel : Tensor of float32, shape (batch, frames, columns, bands)
            As `pooled` takes them; at least `span` frames.

        Returns
        -------
        Tensor of float32, shape (batch, frames - span + 1, outputs)
            What is heard up to each frame that has enough before it.
        """
        batch, frames = logmel.shape[:2]
        spans = self.pooled(logmel.flatten(end_dim=1)).reshape(batch, frames, -1).unfold(1, self.parameters_.span, 1)
        said = self.said_of(spans.flatten(end_dim=1).transpose(1, 2))
        return said.reshape(batch, -1, self.parameters_.outputs)
