"""A trained system as one safetensors file: the networks' weights, the fusion's arrays, JSON metadata. No code.

What can be streamed, a CRNN on log-mel energies, is written as an ordinary checkpoint instead
(`training.paper.streamable`). The metadata is one JSON object under the key ``moodring-system``::

    {"version": 1, "configuration": {...}, "columns": 260, "training": {...}}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from model.errors import shown
from model.regular_file import FileError
from model.tensor_checks import check_tensors
from model.tensor_file import read_metadata, read_tensor_file
from training.files import write_whole
from training.paper import networks
from training.paper.configuration import Configuration, configure
from training.paper.fusion import HIDDEN_NODES, Fusion, Regressor
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.systems import FUSION_LENGTHS, Component, TrainedSystem
from training.state import whole_number, without_prefix
from training.tables import DataError

VERSION = 1
METADATA_KEY = "moodring-system"
_MOST_BYTES = 1 << 30
_MOST_HEADER_BYTES = 1 << 24
_MOST_COLUMNS = 1 << 16
"""Of a network's inputs; openSMILE's features are 260."""
_LONGEST_REASON = 200


@dataclass(frozen=True)
class SystemFile:
    """What such a file holds.

    Attributes
    ----------
    system : TrainedSystem
        Without the estimates of its validation songs.
    training : dict
        How it was trained and how well it does, as a JSON object.
    """

    system: TrainedSystem
    training: dict[str, Any]


def is_system_file(path: Path) -> bool:
    """Tell whether a file is a trained system rather than a checkpoint; False if it cannot be read at all."""
    try:
        return METADATA_KEY in read_metadata(path, _MOST_HEADER_BYTES)
    except (OSError, FileError):
        return False


def write_system(path: Path, system: TrainedSystem, training: dict[str, Any]) -> None:
    """Write a system; an existing file is replaced in one step or not at all.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for number, component in enumerate(system.components):
        for name, value in component.network.state_dict().items():
            tensors[f"component.{number}.{name}"] = value.detach().cpu().contiguous()
    if system.fusion is not None:
        for dimension in ("valence", "arousal"):
            regressor = getattr(system.fusion, dimension)
            for field in fields(Regressor):
                array = np.array(getattr(regressor, field.name), dtype=np.float64)
                tensors[f"fusion.{dimension}.{field.name}"] = torch.from_numpy(array)
    metadata = {
        "version": VERSION,
        "configuration": system.configuration.to_json(),
        "columns": len(system.components[0].network.input_mean),
        "training": training,
    }
    write_whole(path, save(tensors, {METADATA_KEY: json.dumps(metadata, sort_keys=True)}))


def read_system(path: Path) -> SystemFile:
    """Read a system.

    Raises
    ------
    DataError
        If there is no such file, it is truncated, no such system, of another version, or does not fit together.
    """
    try:
        file = read_tensor_file(path, _MOST_BYTES, _MOST_HEADER_BYTES)
        metadata = json.loads(file.metadata.get(METADATA_KEY, "null"))
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except FileError as error:
        raise DataError(f'cannot read "{path}": it {error}') from error
    except (RecursionError, ValueError):
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("version") != VERSION:
        raise DataError(f'"{path}" is no trained system of version {VERSION}')
    try:
        configuration = configure(dict(metadata["configuration"]))
        system = _rebuild(configuration, whole_number(metadata["columns"], 1, _MOST_COLUMNS), file.tensors)
        return SystemFile(system, dict(metadata["training"]))
    except (ArithmeticError, DataError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = shown(" ".join(str(error).split()), _LONGEST_REASON)
        raise DataError(f'"{path}" does not fit together: {reason}') from error


def _rebuild(configuration: Configuration, columns: int, tensors: dict[str, Tensor]) -> TrainedSystem:
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ValueError("a tensor holds NaN or infinity")
    lengths = {"ensemble": SEQUENCE_LENGTHS, "dblstm-fusion": FUSION_LENGTHS}.get(
        configuration.system, (configuration.sequence_length,)
    )
    build = networks.dblstm if configuration.system == "dblstm-fusion" else networks.crnn
    components = []
    for number, length in enumerate(lengths):
        weights = without_prefix(f"component.{number}", tensors)
        with torch.device("meta"):
            expected = build(configuration, columns).state_dict()
        check_tensors(expected, weights)  # before memory is taken: the sizes come from the file
        network = build(configuration, columns)
        network.load_state_dict(weights)
        network.eval()
        components.append(Component(network, length))
    fusion = None
    if configuration.system == "dblstm-fusion":
        fusion = Fusion(*(_regressor(without_prefix(f"fusion.{d}", tensors)) for d in ("valence", "arousal")))
    return TrainedSystem(configuration, components, fusion)


def _regressor(tensors: dict[str, Tensor]) -> Regressor:
    networks, vectors = len(FUSION_LENGTHS), len(tensors["support_vectors"])
    shapes = {
        "mean": (networks,),
        "std": (networks,),
        "support_vectors": (vectors, networks),
        "dual_coefficients": (vectors,),
        "intercept": (),
        "hidden_weight": (networks, HIDDEN_NODES),
        "hidden_bias": (HIDDEN_NODES,),
        "output_weight": (HIDDEN_NODES,),
        "output_bias": (),
    }
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise ValueError("the tensors of the fusion are missing, unknown or of another shape")
    return Regressor(**{name: tensors[name].numpy() for name in shapes})
