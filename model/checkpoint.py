"""A trained model as one safetensors file: weights, filterbanks and JSON metadata. Loading executes no code.

The metadata is one JSON object under the key ``moodring`` of the safetensors header::

    {"version": 1, "name": "...", "features": {...}, "network": {...},
     "training": {...}, "metrics": {...}, "licence": "..."}

``features`` and ``network`` rebuild the frontend and the network, so that a network can never meet features that it
was not trained on; the rest is for people.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from model.crnn import CRNNParameters
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
    """

    name: str
    frontend: Frontend
    network: EmotionNetwork
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = ""

    @property
    def window(self) -> int:
        """Frames that the network hears at once."""
        return self.network.network_parameters.window

    def frames_of_lag(self, lag: float) -> int:
        """Turn a lag in seconds into frames.

        Parameters
        ----------
        lag : float
            Seconds, a multiple of the frame's duration and shorter than the window.

        Returns
        -------
        int

        Raises
        ------
        MoodringError
            If the lag is negative, not finite, between frames, or longer than the window.
        """
        duration = self.frontend.parameters.frame_duration
        frames = round(lag / duration) if math.isfinite(lag) else -1
        longest = self.window - 1
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
        windows : ndarray of float32, shape (n, frames, feature_count)
            Oldest frame first; `frames` is `window`, or fewer while a stream warms up.
        lag : int
            Frames to look back from the newest one.

        Returns
        -------
        ndarray of float32, shape (n, 2)
            Valence and arousal in [-1, 1].
        """
        with torch.inference_mode():
            output: FloatArray = self.network.estimate(torch.from_numpy(windows), lag).numpy()
        return output

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
            "training": self.training,
            "metrics": self.metrics,
            "licence": self.licence,
        }
        tensors = {
            _NETWORK + key: value.detach().cpu().contiguous() for key, value in self.network.state_dict().items()
        }
        tensors[_MEL_FILTERBANK] = torch.from_numpy(self.frontend.mel_filterbank)
        tensors[_CHROMA_FILTERBANK] = torch.from_numpy(self.frontend.chroma_filterbank)
        content = save(tensors, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(f'cannot write checkpoint "{path}": {error.strerror}') from error


def default_checkpoint_path() -> Path:
    """Return the path of the checkpoint that moodring ships."""
    return Path(str(files("model") / "weights" / "default.safetensors"))


def load_checkpoint(path: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    path : str or Path, optional
        The bundled one if not given.

    Returns
    -------
    Checkpoint

    Raises
    ------
    CheckpointError
        If there is no such file, or it is truncated, not a moodring checkpoint, of another version, or its
        parts do not fit together.
    """
    path = default_checkpoint_path() if path is None else Path(path)
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
    )


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("a tensor holds NaN or infinity")
    return tensor
