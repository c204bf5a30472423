"""The file of what hears the notes of a frame, from `moodring teach-notes`: weights of `model.chroma.NoteChroma`.

A checkpoint that was trained with them holds them itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from model.chroma import NoteChroma
from model.features import FeatureParameters, FloatArray
from model.regular_file import FileError
from model.tensor_checks import checked_floats
from model.tensor_file import read_tensor_file
from training.files import write_whole
from training.tables import DataError

_MOST_BYTES, _MOST_HEADER_BYTES = 4 << 20, 1 << 16


def bundled_notes() -> Path:
    """Return the file that moodring ships."""
    return Path(str(files("training") / "notes.safetensors"))


def write_notes(path: Path, weights: Mapping[str, FloatArray], taught: Mapping[str, Any]) -> None:
    """Write weights, and how they were taught.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    content = save(tensors, {"taught": json.dumps(dict(taught), sort_keys=True)})
    write_whole(path, content, "the notes")


def read_notes(path: Path | None = None) -> dict[str, FloatArray]:
    """Read weights.

    Parameters
    ----------
    path : Path, optional
        The file that moodring ships if not given.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        If it cannot be read, or is none that `write_notes` wrote.
    """
    path = path or bundled_notes()
    try:
        tensors = read_tensor_file(path, _MOST_BYTES, _MOST_HEADER_BYTES).tensors
        weights = {name: checked_floats(name, tensor) for name, tensor in tensors.items()}
        parameters = FeatureParameters()
        NoteChroma(weights, parameters.frame_length, parameters.sample_rate)
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror}') from error
    except FileError as error:
        raise DataError(f'the file of notes "{path}" {error}') from error
    except ValueError as error:
        raise DataError(f'"{path}" is not of "moodring teach-notes": {error}') from error
    return weights
