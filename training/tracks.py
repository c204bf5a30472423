"""What a predictor said of clips, frame by frame, kept as one safetensors file.

A track is what a live stream would have heard: the value of a frame was given at the frame's end, from nothing later,
unless the track was made with a lag. Everything that is measured is computed from tracks and labels alone, so that it
can be measured again without the predictor.

Tensors are called ``DATASET/CLIP/values`` and ``DATASET/CLIP/stds``, float32 of shape (frames, 2), valence first; the
metadata has, under ``moodring-tracks``, a JSON object with the ``version`` and the ``notes``. A clip that several
models were asked about, one per fold of a cross-validation, is called ``CLIP@FOLD``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from model.errors import shown
from model.regular_file import FileError
from model.tensor_file import read_tensor_file
from training.clips import FloatArray
from training.files import write_whole
from training.tables import DataError

VERSION = 1

_KEY = "moodring-tracks"
_MOST_BYTES = 1 << 28
"""Of a file: twenty thousand hours."""
_MOST_HEADER_BYTES = 1 << 24
"""Enough for a hundred thousand clips."""
_VALUES, _STDS = "values", "stds"


@dataclass(frozen=True, eq=False)
class Track:
    """What a predictor said of a clip.

    Attributes
    ----------
    values : ndarray of float32, shape (frames, 2)
        Valence and arousal of every frame, in [-1, 1]; at least one frame.
    stds : ndarray of float32, shape (frames, 2), or None
        Standard deviations of their errors, as the predictor sees them; at least 0.

    Raises
    ------
    ValueError
        If the arrays are none of that.
    """

    values: FloatArray
    stds: FloatArray | None = None

    def __post_init__(self) -> None:
        _check(_VALUES, self.values)
        if self.stds is not None:
            _check(_STDS, self.stds)
            if self.stds.shape != self.values.shape:
                raise ValueError(f"stds have the shape {self.stds.shape}, but values {self.values.shape}")
            if self.stds.min() < 0:
                raise ValueError("stds must not be negative")


Tracks = dict[str, dict[str, Track]]
"""Data set name to clip name to track."""


def _check(what: str, array: NDArray[Any]) -> None:
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0 or array.dtype != np.float32:
        raise ValueError(f"{what} must be float32 of shape (frames, 2), not {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite")


def write_tracks(path: Path, tracks: Mapping[str, Mapping[str, Track]], notes: Mapping[str, Any]) -> None:
    """Write tracks, whole or not at all; the same tracks and notes give the same file.

    Parameters
    ----------
    path : Path
    tracks : mapping
        Data set name to clip name to track.
    notes : mapping
        What made them, as a JSON object.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    tensors = {}
    for dataset, clips in tracks.items():
        for clip, track in clips.items():
            tensors[f"{dataset}/{clip}/{_VALUES}"] = np.ascontiguousarray(track.values)
            if track.stds is not None:
                tensors[f"{dataset}/{clip}/{_STDS}"] = np.ascontiguousarray(track.stds)
    header = json.dumps({"version": VERSION, "notes": dict(notes)}, sort_keys=True)
    write_whole(path, save(tensors, {_KEY: header}), "the tracks")


def read_tracks(path: Path) -> tuple[Tracks, dict[str, Any]]:
    """Read tracks.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tracks : Tracks
    notes : dict
        What `write_tracks` was given.

    Raises
    ------
    DataError
        If there is no such file, or it is truncated, no file of tracks, of another version, or malformed.
    """
    try:
        if not path.is_file():
            raise DataError(f'there is no file of tracks "{path}"')
        file = read_tensor_file(path, _MOST_BYTES, _MOST_HEADER_BYTES)
        notes = _notes(path, file.metadata)
        tensors = {key: tensor.numpy() for key, tensor in file.tensors.items()}
    except OSError as error:
        raise DataError(f'cannot read the tracks "{path}": {error.strerror or error}') from error
    except FileError as error:
        raise DataError(f'"{path}" is truncated or no file of tracks (it {error}); write it again') from error
    except TypeError as error:  # a type of numbers that numpy does not have
        raise DataError(f'the tracks "{path}" are of another type than float32; write them again') from error
    return _tracks(path, tensors), notes


def _notes(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {})[_KEY])
        version, notes = header["version"], header["notes"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f'"{path}" is a safetensors file, but no file of tracks') from error
    if version != VERSION or not isinstance(notes, dict):
        raise DataError(
            f'the tracks "{path}" are not of version {VERSION}, which this moodring reads; write them again'
        )
    return notes


def _tracks(path: Path, tensors: Mapping[str, NDArray[Any]]) -> Tracks:
    tracks: Tracks = {}
    for key, values in sorted(tensors.items()):
        dataset, _, rest = key.partition("/")
        clip, _, what = rest.rpartition("/")
        if not (dataset and clip and what in (_VALUES, _STDS)) or f"{dataset}/{clip}/{_VALUES}" not in tensors:
            raise DataError(
                f'the tracks "{path}" have a tensor "{shown(key)}" that belongs to no track; write them again'
            )
        if what == _VALUES:
            try:
                tracks.setdefault(dataset, {})[clip] = Track(values, tensors.get(f"{dataset}/{clip}/{_STDS}"))
            except ValueError as error:
                raise DataError(f'the tracks "{path}" are wrong: {shown(key)}: {error}') from error
    return tracks
