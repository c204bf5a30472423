"""A trained model as one safetensors file: weights, filterbanks and JSON metadata. Loading executes no code.

The metadata is one JSON object under the key ``moodring`` of the safetensors header::

    {"version": 1, "name": "...", "features": {...}, "network": {...},
     "ear": {...} or null, "training": {...}, "metrics": {...}, "licence": "..."}

``features``, ``ear`` and ``network`` rebuild the frontend, the ear and the network, so that a network can never meet
features that it was not trained on; the rest is for people.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from model.ear import Ear, EarMemory
from model.errors import MoodringError, shown
from model.features import FloatArray, Frontend
from model.network import EmotionNetwork
from model.parts import build_parts, parts_tensors, parts_to_json
from model.tensor_file import TensorFileError, read_tensor_file

VERSION = 1
METADATA_KEY = "moodring"
MAXIMUM_BYTES = 1 << 26
"""A larger file is refused before it is read; the bundled checkpoints are forty times smaller."""
MAXIMUM_HEADER_BYTES = 1 << 20
"""A longer header is refused before it is parsed; those of the bundled checkpoints are eighty times shorter."""
LONGEST_NAME = 100
"""Characters of a model's name, which every message carries."""

_LONGEST_REASON = 200

BUNDLED = ("default", "large")
"""Names of the checkpoints that moodring ships; the large one needs the package musicnn."""


class CheckpointError(MoodringError):
    """A file is not a checkpoint that this version can use."""


@dataclass
class Checkpoint:
    """A trained model, ready to use.

    Attributes
    ----------
    name : str
        What estimates are labelled with.
    frontend : Frontend
        Samples of frames to features.
    network : EmotionNetwork
        Features of a window to valence and arousal; in evaluation mode when loaded.
    training, metrics : dict
        How it was trained and how well it does, as JSON objects.
    licence : str
        Terms of use.
    ear : Ear, optional
        Adds columns to the features.
    """

    name: str
    frontend: Frontend
    network: EmotionNetwork
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    ear: Ear | None = None

    @property
    def window(self) -> int:
        """Frames that the CRNN hears at once; with fewer, estimates are of a stream that warms up."""
        return self.network.network_parameters.window

    @property
    def history(self) -> int:
        """Frames that the whole network looks back over."""
        return self.network.network_parameters.history

    def memory(self) -> EarMemory | None:
        """Return what features of a new stream need to remember; None if each frame's are its own alone."""
        return None if self.ear is None else self.ear.memory()

    def features(self, frames: FloatArray, memories: Sequence[EarMemory | None]) -> FloatArray:
        """Compute the rows that the network takes.

        Parameters
        ----------
        frames : ndarray of float32, shape (n, frame_length)
            Mono samples, full scale at ±1; those of one stream in their order.
        memories : sequence of EarMemory or None
            Of the stream of each frame, from `memory`.

        Returns
        -------
        ndarray of float32, shape (n, feature_count + ear_columns)
        """
        return feature_rows(self.frontend, self.ear, frames, memories)

    def frames_of_lag(self, lag: float) -> int:
        """Turn a lag in seconds into frames.

        Parameters
        ----------
        lag : float
            Seconds, a multiple of the frame's duration and shorter than what the network looks back over.

        Returns
        -------
        int

        Raises
        ------
        MoodringError
            If the lag is negative, not finite, between frames, or too long.
        """
        duration = self.frontend.parameters.frame_duration
        frames = round(lag / duration) if math.isfinite(lag) else -1
        longest = self.history - 1
        if not 0 <= frames <= longest or abs(frames * duration - lag) > 1e-6:
            raise MoodringError(
                f"a lag of {lag:g} s is not possible with this model; choose a multiple of {duration:g} s "
                f"from 0 to {longest * duration:g} s"
            )
        return frames

    def estimate(self, windows: FloatArray, lag: int = 0) -> FloatArray:
        """Estimate valence and arousal of windows of features.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, frames, feature_count + ear_columns)
            Oldest frame first; `frames` is `history`, or fewer while there is less.
        lag : int
            Frames to look back from the newest one.

        Returns
        -------
        ndarray of float32, shape (n, 2)
            Valence and arousal in [-1, 1].
        """
        return self.estimate_with_std(windows, lag)[0]

    def estimate_with_std(self, windows: FloatArray, lag: int = 0) -> tuple[FloatArray, FloatArray | None]:
        """Estimate as `estimate` does, and say how far listeners' ratings lie from it.

        Returns
        -------
        values : ndarray of float32, shape (n, 2)
            Valence and arousal in [-1, 1].
        stds : ndarray of float32, shape (n, 2), or None
            Standard deviations; None if the network does not give them.
        """
        with torch.inference_mode():
            values, stds = self.network.estimate(torch.from_numpy(windows), lag)
        return values.numpy(), None if stds is None else stds.numpy()

    def save(self, path: str | Path) -> None:
        """Write the checkpoint; an existing file is replaced in one step or not at all.

        Parameters
        ----------
        path : str or Path
            Where to.

        Raises
        ------
        CheckpointError
            If the file cannot be written, or the name would not be read again.
        """
        path = Path(path)
        metadata = {
            "version": VERSION,
            "name": validate_model_name(self.name),
            **parts_to_json(self.frontend, self.network, self.ear),
            "training": self.training,
            "metrics": self.metrics,
            "licence": self.licence,
        }
        tensors = parts_tensors(self.frontend, self.network, self.ear)
        content = save(tensors, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(f'cannot write checkpoint "{path}": {error.strerror}') from error


def validate_model_name(name: object) -> str:
    """Return the name if messages can carry it.

    Parameters
    ----------
    name : object
        At most `LONGEST_NAME` printable characters.

    Returns
    -------
    str

    Raises
    ------
    CheckpointError
        If it is something else.
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise CheckpointError(
            f'a model\'s name must be text of at most {LONGEST_NAME} printable characters, not "{shown(name)}"'
        )
    return name


def feature_rows(
    frontend: Frontend, ear: Ear | None, frames: FloatArray, memories: Sequence[EarMemory | None]
) -> FloatArray:
    """Compute the rows that a network takes, features and then what the ear says; see `Checkpoint.features`."""
    rows = frontend(frames)
    if ear is None:
        return rows
    heard = ear.hear(frames, [memory for memory in memories if memory is not None])
    return np.concatenate([rows, heard], axis=1)


def bundled_checkpoint_path(name: str = BUNDLED[0]) -> Path:
    """Return the path of a checkpoint that moodring ships, one of `BUNDLED`."""
    return Path(str(files("model") / "weights" / f"{name}.safetensors"))


def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    path : str or Path, optional
        A file, or one of `BUNDLED` for a checkpoint that moodring ships; its default if not given.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If there is no such file, or it is truncated, not a moodring checkpoint, of another version, or its
        parts do not fit together.
    MusicnnError
        If it needs the package musicnn, which is missing.
    """
    name = BUNDLED[0] if path is None else str(path)
    path = bundled_checkpoint_path(name) if name in BUNDLED else Path(name)
    try:
        file = read_tensor_file(path, MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES)
    except FileNotFoundError as error:
        raise CheckpointError(f'no checkpoint file "{path}"') from error
    except OSError as error:
        raise CheckpointError(f'cannot read checkpoint "{path}": {error.strerror or error}') from error
    except TensorFileError as error:
        raise CheckpointError(f'checkpoint "{path}" {error}; train or copy it again') from error
    metadata = _parse_metadata(path, file.metadata)
    try:
        return _rebuild(metadata, file.tensors)
    except KeyError as error:
        raise CheckpointError(f'checkpoint "{path}" does not fit together: {error} is missing') from error
    except (ArithmeticError, AttributeError, CheckpointError, RuntimeError, TypeError, ValueError) as error:
        reason = shown(" ".join(str(error).split()), _LONGEST_REASON)
        raise CheckpointError(f'checkpoint "{path}" does not fit together: {reason}') from error


def _parse_metadata(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    text = (header or {}).get(METADATA_KEY)
    try:
        metadata = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise CheckpointError(f'"{path}" is a safetensors file, but not a moodring checkpoint')
    if metadata.get("version") != VERSION or isinstance(metadata["version"], bool):
        raise CheckpointError(
            f'checkpoint "{path}" has version {shown(metadata.get("version"))}; this moodring reads version '
            f"{VERSION}: train it again, or install the moodring that made it"
        )
    return metadata


def _rebuild(metadata: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> Checkpoint:
    name = validate_model_name(metadata["name"])
    frontend, network, ear = build_parts(metadata, tensors)
    return Checkpoint(
        name=name,
        frontend=frontend,
        network=network,
        training=dict(metadata["training"]),
        metrics=dict(metadata["metrics"]),
        licence=str(metadata["licence"]),
        ear=ear,
    )
