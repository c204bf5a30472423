"""A trained model as one safetensors file: weights, filterbanks and JSON metadata. Loading executes no code.

The metadata is one JSON object under the key ``moodring`` of the safetensors header::

    {"version": 1, "name": "...", "features": {...}, "network": {...},
     "ear": {...} or null, "training": {...}, "metrics": {...}, "licence": "..."}

``features``, ``ear`` and ``network`` rebuild the frontend, the ear and the network, so that a network can never meet
features that it was not trained on; the rest is for people.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save

from model.bundled import BUNDLED as BUNDLED
from model.bundled import bundled_checkpoint_path as bundled_checkpoint_path
from model.ear import Ear
from model.errors import CheckpointError as CheckpointError
from model.estimator import Estimator
from model.features import FloatArray, Frontend
from model.metadata import MAXIMUM_BYTES as MAXIMUM_BYTES
from model.metadata import MAXIMUM_HEADER_BYTES as MAXIMUM_HEADER_BYTES
from model.metadata import METADATA_KEY as METADATA_KEY
from model.metadata import VERSION, fitting_together, parse_metadata, reading, replace_file
from model.network import EmotionNetwork
from model.network_parameters import NetworkParameters, validate_model_name
from model.parts import build_parts, parts_tensors, parts_to_json
from model.tensor_file import read_tensor_file


@dataclass
class Checkpoint(Estimator):
    """A trained model, ready to use; its network runs in torch.

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
    runtime: ClassVar[str] = "torch"

    @property
    def network_parameters(self) -> NetworkParameters:
        """Inputs and sizes of the network."""
        return self.network.network_parameters

    def use_one_thread(self) -> None:
        """Compute in one thread; see `Estimator.use_one_thread`."""
        # a second thread makes the tail of the latency ten times longer
        torch.set_num_threads(1)

    def estimate_with_std(self, windows: FloatArray, lag: int = 0) -> tuple[FloatArray, FloatArray | None]:
        """Estimate; see `Estimator.estimate_with_std`."""
        with torch.inference_mode():
            values, stds = self.network.estimate(torch.from_numpy(windows), lag)
        return values.numpy(), None if stds is None else stds.numpy()

    def estimate_histories(
        self, histories: Sequence[FloatArray], lag: int = 0
    ) -> list[tuple[FloatArray, FloatArray | None]]:
        """Estimate at once what is long enough; see `Estimator.estimate_histories`."""
        shortest = self.network.shortest_to_pad(lag)
        padded = [history for history in histories if len(history) >= shortest]
        if len({len(history) for history in padded}) < 2:
            return super().estimate_histories(histories, lag)
        with torch.inference_mode():
            values, stds = self.network.estimate_padded([torch.from_numpy(history) for history in padded], lag)
        at_once = zip(values.numpy(), [None] * len(padded) if stds is None else stds.numpy(), strict=True)
        others = iter(super().estimate_histories([h for h in histories if len(h) < shortest], lag))
        return [next(at_once if len(history) >= shortest else others) for history in histories]

    def digest(self) -> str:
        """Identify parameters, filterbanks and weights; see `Estimator.digest`."""
        digest = hashlib.sha256()
        for description in (self.frontend.parameters.to_json(), self.network_parameters.to_json()):
            digest.update(json.dumps(description, sort_keys=True).encode())
        for values in self.frontend.tensors().values():
            digest.update(values.tobytes())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        if self.ear is not None:
            digest.update(self.ear.digest())
        return digest.hexdigest()

    def metadata(self) -> str:
        """Return what a file of this model says of it, as a JSON object.

        Raises
        ------
        CheckpointError
            If the name would not be read again.
        """
        described = {
            "version": VERSION,
            "name": validate_model_name(self.name),
            **parts_to_json(self.frontend, self.network, self.ear),
            "training": self.training,
            "metrics": self.metrics,
            "licence": self.licence,
        }
        return json.dumps(described, sort_keys=True)

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
        tensors = parts_tensors(self.frontend, self.network, self.ear)
        content = save(tensors, {METADATA_KEY: self.metadata()})
        replace_file(path, content)


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
    with reading(path):
        file = read_tensor_file(path, MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES)
    metadata = parse_metadata(path, file.metadata, "a safetensors")
    with fitting_together(path):
        return _rebuild(metadata, file.tensors)


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
