"""Everything that a training needs to go on after it was killed: one safetensors file that is replaced as it goes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from training.files import write_whole
from training.tables import DataError

_KEY = "moodring-state"
_HASH_KEY = "sha256"


@dataclass
class State:
    """A moment between two steps.

    Attributes
    ----------
    tensors : dict
        Weights, Adam's moments, the states of the random generators, and what else a training keeps, by name.
    notes : dict
        What is no tensor, as a JSON object.
    """

    tensors: dict[str, Tensor]
    notes: dict[str, Any]


def state_beside(output: Path, resume: bool) -> Path:
    """Return where the state of a training is kept, and refuse before it begins what would fail at its end.

    Parameters
    ----------
    output : Path
        File that the training's outcome goes to.
    resume : bool
        Whether an interrupted training is to go on.

    Returns
    -------
    Path
        ``OUTPUT.state``

    Raises
    ------
    DataError
        If the outcome cannot be written there, or a state is left that is not to be gone on with.
    """
    if not output.parent.is_dir():
        raise DataError(f'there is no folder "{output.parent}" to write to')
    if output.is_dir():
        raise DataError(f'cannot write "{output}": it is a folder')
    state = output.with_name(f"{output.name}.state")
    if state.exists() and not resume:
        raise DataError(f'"{state}" is left from an interrupted training: add --resume to go on, or remove it')
    return state


def write_state(path: Path, state: State) -> None:
    """Write a state, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.tensors.items()}
    notes = json.dumps(state.notes)
    content = save(tensors, {_KEY: notes, _HASH_KEY: _digest(tensors, notes)})
    write_whole(path, content, "the training state", make_folder=True)


def read_state(path: Path) -> State:
    """Read a state.

    Raises
    ------
    DataError
        If the file cannot be read, is no such state, or is not as it was written.
    """
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a mapping)
        if metadata[_HASH_KEY] != _digest(tensors, metadata[_KEY]):
            raise ValueError("the content has changed")
    except OSError as error:
        raise DataError(f'cannot read the training state "{path}": {error.strerror or error}') from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f'"{path}" is no training state; remove it to start again') from error
    return State(tensors, json.loads(metadata[_KEY]))


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest(tensors: dict[str, Tensor], notes: str) -> str:
    return hashlib.sha256((tensors_digest(tensors) + notes).encode()).hexdigest()


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state by names such as ``optimiser.0.exp_avg``."""
    return {
        f"optimiser.{index}.{name}": torch.as_tensor(value)
        for index, moments in optimiser.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    content = optimiser.state_dict()
    content["state"] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            content["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(content)


def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights and buffers with a prefix before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what has a prefix, without it: the inverse of `module_tensors`."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
