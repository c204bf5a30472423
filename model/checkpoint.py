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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from model.crnn import CRNNParameters
from model.ear import FRAME_LENGTH, SAMPLE_RATE, Ear, EarMemory
from model.ears import build_ear, ear_tensors, ear_to_json
from model.errors import MoodringError
from model.features import FeatureParameters, FloatArray, Frontend
from model.network import EmotionNetwork, NetworkParameters

VERSION = 1
METADATA_KEY = "moodring"
MAXIMUM_BYTES = 1 << 30
"""A larger file is refused before it is read; the CRNN's own checkpoints are a thousand times smaller."""

_MEL_FILTERBANK = "frontend.mel_filterbank"
_CHROMA_FILTERBANK = "frontend.chroma_filterbank"
_NETWORK = "network."
_EAR = "ear."

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
            If the file cannot be written.
        """
        path = Path(path)
        metadata = {
            "version": VERSION,
            "name": self.name,
            "features": self.frontend.parameters.to_json(),
            "network": self.network.network_parameters.to_json(),
            "ear": None if self.ear is None else ear_to_json(self.ear),
            "training": self.training,
            "metrics": self.metrics,
            "licence": self.licence,
        }
        tensors = {
            _NETWORK + key: value.detach().cpu().contiguous() for key, value in self.network.state_dict().items()
        }
        tensors[_MEL_FILTERBANK] = torch.from_numpy(self.frontend.mel_filterbank)
        tensors[_CHROMA_FILTERBANK] = torch.from_numpy(self.frontend.chroma_filterbank)
        if self.ear is not None:
            tensors |= {_EAR + key: value for key, value in ear_tensors(self.ear).items()}
        content = save(tensors, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(f'cannot write checkpoint "{path}": {error.strerror}') from error


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
        size = path.stat().st_size
        if not path.is_file():
            raise CheckpointError(f'checkpoint "{path}" is not a file')
        if size > MAXIMUM_BYTES:
            raise CheckpointError(f'checkpoint "{path}" has {size} bytes; at most {MAXIMUM_BYTES} are allowed')
        with safe_open(path, framework="pt") as archive:
            metadata = _parse_metadata(path, archive.metadata())
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise CheckpointError(f'no checkpoint file "{path}"') from error
    except OSError as error:
        raise CheckpointError(f'cannot read checkpoint "{path}": {error.strerror or error}') from error
    except SafetensorError as error:
        raise CheckpointError(
            f'checkpoint "{path}" is truncated or not a safetensors file; train or copy it again'
        ) from error
    try:
        return _rebuild(metadata, tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f'checkpoint "{path}" does not fit together: {reason[:200]}') from error


def _parse_metadata(path: Path, header: Mapping[str, str] | None) -> dict[str, Any]:
    text = (header or {}).get(METADATA_KEY)
    try:
        metadata = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise CheckpointError(f'"{path}" is a safetensors file, but not a moodring checkpoint')
    if metadata.get("version") != VERSION:
        raise CheckpointError(
            f'checkpoint "{path}" has version {str(metadata.get("version"))[:20]}; this moodring reads version '
            f"{VERSION}: train it again, or install the moodring that made it"
        )
    return metadata


def _rebuild(metadata: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Checkpoint:
    features = FeatureParameters(**metadata["features"])
    network_json = dict(metadata["network"])
    network_json["columns"] = tuple(network_json["columns"])
    network_json["crnn"] = CRNNParameters(**network_json["crnn"])
    weights = {key[len(_NETWORK) :]: value for key, value in tensors.items() if key.startswith(_NETWORK)}
    banks = [_finite(tensors[key]).numpy() for key in (_MEL_FILTERBANK, _CHROMA_FILTERBANK)]
    frontend = Frontend(features, *(bank.astype(np.float32) for bank in banks))
    parameters = NetworkParameters(**network_json)
    ear = None
    if metadata.get("ear") is not None:
        of_ear = {key[len(_EAR) :]: _finite(value) for key, value in tensors.items() if key.startswith(_EAR)}
        ear = build_ear(metadata["ear"], of_ear)
        if (features.sample_rate, features.frame_length) != (SAMPLE_RATE, FRAME_LENGTH):
            raise ValueError(f"its ear needs frames of {FRAME_LENGTH} samples at {SAMPLE_RATE} Hz")
    if parameters.ear_columns != (0 if ear is None else ear.shape.outputs):
        raise ValueError("the network takes another number of columns than its ear gives")
    with torch.device("meta"):
        expected = EmotionNetwork(features, parameters).state_dict()
    # compared before memory is taken: the sizes come from the file
    for key in sorted(expected.keys() | weights.keys()):
        if key not in expected or key not in weights or expected[key].shape != weights[key].shape:
            raise ValueError(f'tensor "{key}" is missing, unknown or of another shape')
    network = EmotionNetwork(features, parameters)
    network.load_state_dict({key: _finite(value) for key, value in weights.items()})
    network.eval()
    return Checkpoint(
        name=str(metadata["name"]),
        frontend=frontend,
        network=network,
        training=dict(metadata["training"]),
        metrics=dict(metadata["metrics"]),
        licence=str(metadata["licence"]),
        ear=ear,
    )


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("a tensor holds NaN or infinity")
    return tensor
