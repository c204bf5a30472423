"""musicnn as an ear: convolutions that learned to tag music, read from the package's own TensorFlow checkpoints.

Pons & Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging" (2019), ISC licence. The
package (`pip install --no-deps musicnn`) is not imported, as that would need TensorFlow: its files are read where it
is installed. The architecture follows section 2 of that paper: timbral filters (7 columns high over much of the
spectrum) and temporal ones (32 to 128 columns of one band), each pooled over frequency; three residual layers; then
maximum and mean over three seconds, and a dense layer of 200 units, which is what is taken here.

Instead of one patch after the other, all columns run through the convolutions once, without padding, so that a frame
costs its own columns only; an output column lies 73 columns (1.2 s) behind the newest one that it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from model.ear import COLUMNS, MEL_BANDS, EarFrontend, EarShape
from model.errors import MoodringError, shown
from model.tensorflow_checkpoint import read_tensors
from model.torch_ear import TorchEar

NETWORKS = ("MSD_musicnn", "MTT_musicnn")
"""Trained on the Million Song Dataset and on MagnaTagATune."""
UNITS = 200
_LONGEST_FILTER = 128
_RESIDUAL_LAYERS = 3
_RESIDUAL_REACH = 3
_REACH = _LONGEST_FILTER - 1 + 2 * _RESIDUAL_LAYERS * _RESIDUAL_REACH
"""Columns that an output column needs beside its own."""
_CONTEXT = -(-_REACH // COLUMNS)
_SPAN = 6
"""Frames (3 s), the length that the networks were trained with."""
_CHANNELS = 753
_EPSILON = 1e-3
_CHUNK = 4
"""Frames that are convolved at once: what is between the layers then fits the processor's cache."""


class MusicnnError(MoodringError):
    """The package musicnn is missing or not the one that is needed."""


class MusicnnEar(TorchEar):
    """The ear of the large model.

    Parameters
    ----------
    frontend : EarFrontend
        From samples to spectrograms.
    networks : sequence of str
        Which of `NETWORKS` it consists of.

    Raises
    ------
    MusicnnError
        If the package is not installed, or lacks a network.
    ValueError
        If a network is unknown.
    """

    kind = "musicnn"

    def __init__(self, frontend: EarFrontend, networks: Sequence[str] = NETWORKS) -> None:
        if not networks or any(name not in NETWORKS for name in networks) or len(set(networks)) < len(networks):
            raise ValueError(f"networks must be some of {', '.join(NETWORKS)}, not {', '.join(map(shown, networks))}")
        super().__init__(frontend, EarShape(_CONTEXT, _SPAN, UNITS * len(networks)))
        self.networks = tuple(networks)
        self._tagger_of = [_load(name) for name in networks]

    def convolve(self, spectrograms: Tensor) -> Tensor:
        """Convolve, and pool the columns of each frame; see `TorchEar.convolve`.

        Returns
        -------
        Tensor, shape (batch, n, 2 * 753 * networks)
            Of each network, the maxima and then the means.
        """
        batch, frames = spectrograms.shape[:2]
        columns = spectrograms.reshape(batch, frames * COLUMNS, MEL_BANDS)[:, _CONTEXT * COLUMNS - _REACH :]
        parts = []
        for start in range(0, frames - _CONTEXT, _CHUNK):
            length = min(_CHUNK, frames - _CONTEXT - start)
            seen = columns[:, start * COLUMNS : (start + length) * COLUMNS + _REACH]
            pooled = []
            for tagger in self._tagger_of:
                channels = tagger.convolve(seen).reshape(batch, length, COLUMNS, _CHANNELS)
                pooled += [channels.amax(dim=2), channels.mean(dim=2)]
            parts.append(torch.cat(pooled, dim=-1))
        return torch.cat(parts, dim=1)

    def read_out(self, pooled: Tensor) -> Tensor:
        """Pool over the span and run the dense layers; see `TorchEar.read_out`."""
        said = []
        for i, tagger in enumerate(self._tagger_of):
            of_network = pooled[..., 2 * i * _CHANNELS : 2 * (i + 1) * _CHANNELS]
            maxima = of_network[..., :_CHANNELS].amax(dim=1)
            means = of_network[..., _CHANNELS:].mean(dim=1)
            said.append(tagger.dense(maxima, means))
        return torch.cat(said, dim=-1)

    def digest(self) -> bytes:
        """Identify the ear by its filterbank and its networks' weights."""
        digest = hashlib.sha256(self.frontend.mel_filterbank.tobytes())
        for tagger in self._tagger_of:
            digest.update(tagger.digest)
        return digest.digest()


class _Tagger:
    """The tensors of one network, and its arithmetic."""

    def __init__(self, folder: Path) -> None:
        tensors = {name: torch.from_numpy(value) for name, value in read_tensors(folder).items()}
        digest = hashlib.sha256()

        def get(name: str, *shape: int) -> Tensor:
            if name not in tensors or tensors[name].shape != shape:
                raise MusicnnError(f'"{folder}" is not of musicnn 0.1.0; install it with {_HOW_TO_INSTALL}')
            digest.update(tensors[name].numpy().tobytes())
            return tensors[name]

        def normalisation(number: int, size: int) -> tuple[Tensor, Tensor]:
            name = "batch_normalization" + (f"_{number}" if number else "")
            scale = get(f"{name}/gamma", size) / torch.sqrt(get(f"{name}/moving_variance", size) + _EPSILON)
            return scale, get(f"{name}/beta", size) - scale * get(f"{name}/moving_mean", size)

        def convolution(number: int, height: int, width: int, filters: int) -> tuple[Tensor, Tensor]:
            name = "conv2d" + (f"_{number}" if number else "")
            kernel = get(f"{name}/kernel", height, width, 1, filters).permute(3, 2, 0, 1).contiguous()
            return kernel, get(f"{name}/bias", filters)

        self._input = normalisation(0, 1)
        # height in columns, width in bands, filters
        sizes = ((7, 38, 204), (7, 67, 204), (_LONGEST_FILTER, 1, 51), (64, 1, 51), (32, 1, 51))
        self._front = [
            _PooledConvolution(*convolution(i, *size), *normalisation(i + 1, size[2])) for i, size in enumerate(sizes)
        ]
        self._residual = [
            (*convolution(5 + i, 7, 64 if i else 561, 64), *normalisation(6 + i, 64)) for i in range(_RESIDUAL_LAYERS)
        ]
        self._pooled = normalisation(9, 2 * _CHANNELS)
        self._dense = get("dense/kernel", 2 * _CHANNELS, UNITS), get("dense/bias", UNITS)
        self._output = normalisation(10, UNITS)
        self.digest = digest.digest()

    def convolve(self, columns: Tensor) -> Tensor:
        """Map log-mel columns, shape (batch, n + _REACH, bands), to shape (batch, n, channels)."""
        scale, offset = self._input
        picture = (columns * scale + offset).unsqueeze(1)
        length = picture.shape[2] - (_LONGEST_FILTER - 1)
        before = (_LONGEST_FILTER - 1) // 2
        parts = []
        for layer in self._front:
            # TensorFlow puts the odd column of even padding behind
            first = before - (layer.height - 1) // 2
            parts.append(layer(picture[:, :, first : first + length + layer.height - 1]))
        layers = [torch.cat(parts, dim=1)]
        for kernel, bias, scale, offset in self._residual:
            below = layers[-1]
            activity = functional.relu(functional.conv1d(below, kernel[:, 0].transpose(1, 2), bias))
            above = activity * scale[:, None] + offset[:, None]
            if len(layers) > 1:
                above = above + below[..., _RESIDUAL_REACH:-_RESIDUAL_REACH]
            layers.append(above)
        shortest = layers[-1].shape[-1]
        aligned = []
        for layer_output in layers:
            cut = (layer_output.shape[-1] - shortest) // 2
            aligned.append(layer_output[..., cut : cut + shortest])
        return torch.cat(aligned, dim=1).transpose(1, 2)

    def dense(self, maxima: Tensor, means: Tensor) -> Tensor:
        """Map pooled channels, shape (batch, channels) each, to shape (batch, UNITS)."""
        scale, offset = self._pooled
        weight, bias = self._dense
        pooled = torch.stack([maxima, means], dim=-1).flatten(start_dim=1) * scale + offset
        scale, offset = self._output
        return functional.relu(pooled @ weight + bias) * scale + offset


class _PooledConvolution:
    """Convolution, ReLU, batch normalisation and maximum over frequency.

    All but the convolution commute with the maximum where the normalisation's scale is positive; where it is negative,
    the maximum of the negated convolution gives the minimum. So only what pooling leaves is activated and scaled.
    """

    def __init__(self, kernel: Tensor, bias: Tensor, scale: Tensor, offset: Tensor) -> None:
        self.height = kernel.shape[2]
        self._sign = torch.where(scale < 0, -torch.ones_like(scale), torch.ones_like(scale))[:, None]
        self._kernel = kernel * self._sign[:, :, None, None]
        self._bias = bias * self._sign[:, 0]
        self._scale, self._offset = scale[:, None], offset[:, None]

    def __call__(self, picture: Tensor) -> Tensor:
        extreme = functional.conv2d(picture, self._kernel, self._bias).amax(dim=-1)
        return functional.relu(extreme * self._sign) * self._scale + self._offset


_HOW_TO_INSTALL = "pip install --no-deps musicnn==0.1.0"


@lru_cache(maxsize=len(NETWORKS))
def _load(network: str) -> _Tagger:
    spec = find_spec("musicnn")
    if spec is None or not spec.submodule_search_locations:
        raise MusicnnError(f"this model hears with the package musicnn, which is missing: {_HOW_TO_INSTALL}")
    return _Tagger(Path(spec.submodule_search_locations[0]) / network)
