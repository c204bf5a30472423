"""How frontend, ear and network travel in a checkpoint: JSON objects and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from model.ear import Ear
from model.ears import build_ear, ear_tensors, ear_to_json
from model.features import Frontend, frontend_of
from model.network import EmotionNetwork
from model.network_parameters import check_ear_fits, parameters_from_json
from model.tensor_checks import check_cost, check_tensors, checked_floats

_FRONTEND = "frontend."
_NETWORK = "network."
_EAR = "ear."


def parts_to_json(frontend: Frontend, network: EmotionNetwork, ear: Ear | None) -> dict[str, Any]:
    """Describe the parts: the objects ``features``, ``network`` and ``ear`` of a checkpoint's metadata."""
    return {
        "features": frontend.parameters.to_json(),
        "network": network.network_parameters.to_json(),
        "ear": None if ear is None else ear_to_json(ear),
    }


def parts_tensors(frontend: Frontend, network: EmotionNetwork, ear: Ear | None) -> dict[str, Tensor]:
    """Return what of the parts is numbers."""
    tensors = {_NETWORK + key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    tensors |= {_FRONTEND + key: torch.from_numpy(values) for key, values in frontend.tensors().items()}
    if ear is not None:
        tensors |= {_EAR + key: value for key, value in ear_tensors(ear).items()}
    return tensors


def build_parts(
    metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[Frontend, EmotionNetwork, Ear | None]:
    """Make the parts that `parts_to_json` and `parts_tensors` describe; the network in evaluation mode.

    Nothing is built before it is known that all sizes are allowed and that the tensors have them.

    Raises
    ------
    MusicnnError
        If the ear is musicnn's and the package is missing.
    ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError
        If the metadata are of other kinds, or the parts do not fit together.
    """
    features, parameters = parameters_from_json(metadata)
    with torch.device("meta"):
        outline = EmotionNetwork(features, parameters)
    check_cost(outline)
    weights = {key[len(_NETWORK) :]: value for key, value in tensors.items() if key.startswith(_NETWORK)}
    check_tensors(outline.state_dict(), weights)
    of_frontend = {key[len(_FRONTEND) :]: value for key, value in tensors.items() if key.startswith(_FRONTEND)}
    frontend = frontend_of(features, {key: checked_floats(_FRONTEND + key, of_frontend[key]) for key in of_frontend})
    ear = None
    if metadata.get("ear") is not None:
        of_ear = {key[len(_EAR) :]: value for key, value in tensors.items() if key.startswith(_EAR)}
        ear = build_ear(metadata["ear"], of_ear)
    check_ear_fits(features, parameters, None if ear is None else ear.shape.outputs)
    network = EmotionNetwork(features, parameters)
    network.load_state_dict(weights)
    network.eval()
    return frontend, network, ear
