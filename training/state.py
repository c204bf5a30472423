"""Everything that a training needs to go on after it was killed: one safetensors file that is replaced as it goes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from model.tensor_file import read_tensor_file
from training.files import write_whole
from training.tables import DataError

_KEY = "moodring-state"
_HASH_KEY = "sha256"
_MOST_BYTES = 1 << 30
"""Of a state: twenty times what the largest network of the paper's systems needs, three times over for Adam."""
_MOST_HEADER_BYTES = 1 << 24
"""The notes hold a line per epoch, of which there may be a hundred thousand."""


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
        file = read_tensor_file(path, _MOST_BYTES, _MOST_HEADER_BYTES)
        if file.metadata[_HASH_KEY] != _digest(file.tensors, file.metadata[_KEY]):
            raise ValueError("the content has changed")
        notes = json.loads(file.metadata[_KEY])
        if not isinstance(notes, dict):
            raise ValueError("the notes are no object")
    except OSError as error:
        raise DataError(f'cannot read the training state "{path}": {error.strerror or error}') from error
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f'"{path}" is no training state; remove it to start again') from error
    return State(file.tensors, notes)


@contextmanager
def going_on(path: Path) -> Iterator[None]:
    """Put back a state inside: one that does not fit what is trained is refused, and not a traceback.

    Raises
    ------
    DataError
        If anything is missing, of another kind or of another size; what was put back before is of no use then.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DataError(f'the training state "{path}" does not fit this training; remove it to start again') from error


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
    """Put back what `optimiser_tensors` gave of Adam, or of one of its kind.

    Raises
    ------
    ValueError, IndexError
        If it does not fit the optimiser's parameters, which torch itself would notice later or never.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    content = optimiser.state_dict()
    content["state"] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            content["state"].setdefault(int(index), {})[name] = value
    for index, moments in content["state"].items():
        like = parameters[index]
        shapes = {"step": torch.Size(), "exp_avg": like.shape, "exp_avg_sq": like.shape}
        if {name: value.shape for name, value in moments.items()} != shapes:
            raise ValueError(f"the moments of parameter {index} do not fit it")
        if any(value.dtype != like.dtype for value in moments.values()):
            raise ValueError(f"the moments of parameter {index} are of another type")
    optimiser.load_state_dict(content)


def restore_schedule(schedule: torch.optim.lr_scheduler.LRScheduler, notes: Any) -> None:
    """Put back what a learning rate schedule's `state_dict` gave, as JSON has kept it.

    Raises
    ------
    AttributeError, TypeError, ValueError
        If it is of another kind. torch takes whatever it is given for the schedule's attributes, methods included.
    """
    present = schedule.state_dict()
    if notes.keys() != present.keys():
        raise ValueError("the schedule has other values")
    for name, value in present.items():
        given = notes[name]
        if isinstance(value, list):
            if not isinstance(given, list) or len(given) != len(value):
                raise ValueError(f"{name} is no list of {len(value)} numbers")
            for number in given:
                finite_number(number)
        elif isinstance(value, bool) or value is None:
            if type(given) is not type(value):
                raise ValueError(f"{name} is of another kind")
        else:
            finite_number(given)
    schedule.load_state_dict(notes)


def whole_number(value: Any, low: int, high: int) -> int:
    """Return the value if it is a whole number in a range, both ends included.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"not a whole number from {low} to {high}")
    return value


def finite_number(value: Any) -> float:
    """Return the value if it is a finite number.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights and buffers with a prefix before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what has a prefix, without it: the inverse of `module_tensors`."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
