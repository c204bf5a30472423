"""Which ears there are, and how each travels in a checkpoint: a JSON object and tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from model.distilled_ear import DistilledEar, DistilledEarParameters
from model.ear import COLUMNS, MEL_BANDS, Ear, EarFrontend, EarShape
from model.errors import shown
from model.musicnn import MusicnnEar
from model.tensor_checks import check_tensors, checked_filterbank
from model.torch_ear import TorchEar

_MEL_FILTERBANK = "mel_filterbank"
_NETWORK = "network."


class DistilledListener(TorchEar):
    """The ear of the bundled default.

    Parameters
    ----------
    frontend : EarFrontend
        From samples to spectrograms.
    network : DistilledEar
        For spectrograms of `COLUMNS` columns and `MEL_BANDS` bands.

    Raises
    ------
    ValueError
        If the network is for another size.
    """

    kind = "distilled"

    def __init__(self, frontend: EarFrontend, network: DistilledEar) -> None:
        p = network.parameters_
        if (p.columns, p.bands) != (COLUMNS, MEL_BANDS):
            raise ValueError(f"the ear's network is for {p.columns} columns of {p.bands} bands")
        super().__init__(frontend, EarShape(context=0, span=p.span, outputs=p.outputs))
        self.network = network.eval()

    def convolve(self, spectrograms: Tensor) -> Tensor:
        """Convolve each frame; see `TorchEar.convolve`."""
        return self.network.pooled(spectrograms.flatten(end_dim=1)).reshape(*spectrograms.shape[:2], -1)

    def read_out(self, pooled: Tensor) -> Tensor:
        """Say what is heard of the frames; see `TorchEar.read_out`."""
        return self.network.said_of(pooled)

    def digest(self) -> bytes:
        """Identify the ear by its filterbank and weights."""
        digest = hashlib.sha256(self.frontend.mel_filterbank.tobytes())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return digest.digest()


def ear_to_json(ear: Ear) -> dict[str, Any]:
    """Describe an ear; `ear_tensors` has the rest."""
    if isinstance(ear, MusicnnEar):
        return {"kind": ear.kind, "networks": list(ear.networks)}
    assert isinstance(ear, DistilledListener)
    return {"kind": ear.kind, "network": ear.network.parameters_.to_json()}


def ear_tensors(ear: Ear) -> dict[str, Tensor]:
    """Return what of an ear travels in a checkpoint; musicnn's weights do not, they stay in their package."""
    tensors = {_MEL_FILTERBANK: torch.from_numpy(ear.frontend.mel_filterbank)}
    if isinstance(ear, DistilledListener):
        tensors |= {_NETWORK + name: tensor.contiguous() for name, tensor in ear.network.state_dict().items()}
    return tensors


def build_ear(description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TorchEar:
    """Make the ear that `ear_to_json` and `ear_tensors` describe.

    Raises
    ------
    MusicnnError
        If it is musicnn's and the package is missing.
    ValueError, KeyError, TypeError
        If the parts do not fit together.
    """
    frontend = EarFrontend(checked_filterbank(tensors, _MEL_FILTERBANK))
    if description["kind"] == MusicnnEar.kind:
        return MusicnnEar(frontend, description["networks"])
    if description["kind"] != DistilledListener.kind:
        raise ValueError(f'unknown kind of ear "{shown(description["kind"])}"')
    parameters = DistilledEarParameters.from_json(description["network"])
    weights = {name[len(_NETWORK) :]: value for name, value in tensors.items() if name.startswith(_NETWORK)}
    if (parameters.columns, parameters.bands) != (COLUMNS, MEL_BANDS):
        raise ValueError(f"the ear's network must be for {COLUMNS} columns of {MEL_BANDS} bands")
    with torch.device("meta"):
        expected = DistilledEar(parameters).state_dict()
    check_tensors(expected, weights)
    network = DistilledEar(parameters)
    network.load_state_dict(weights)
    return DistilledListener(frontend, network)
