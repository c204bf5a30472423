"""Ears that were taught before, kept beside the features: teaching takes minutes, and a cross-validation has five.

Like that of features, a file's name is the digest of all that its content depends on; see `training.feature_cache`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from model.distilled_ear import DistilledEarParameters
from model.ears import DistilledListener, build_ear, ear_tensors, ear_to_json
from model.metadata import MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES
from model.regular_file import FileError
from model.tensor_file import read_tensor_file
from training.distillation import DistillationSettings
from training.files import write_whole

_LAYOUT = 1
"""Raised when the arithmetic of teaching changes in a way that the settings do not show."""
_DESCRIPTION, _LOSS = "ear", "loss"


@dataclass(frozen=True)
class KeptEar:
    """An ear, and the loss of the last step of its teaching."""

    ear: DistilledListener
    loss: float


def ear_path(
    folder: Path, lessons: Iterable[Path], settings: DistillationSettings, sizes: DistilledEarParameters, seed: int
) -> Path:
    """Return where an ear is, or will be, kept.

    Parameters
    ----------
    folder : Path
        Of the feature cache.
    lessons : iterable of Path
        The files of the feature cache that it learns from, in their order: their names tell their contents.
    settings : DistillationSettings
    sizes : DistilledEarParameters
    seed : int
    """
    of_all = [_LAYOUT, torch.__version__, settings.to_json(), sizes.to_json(), seed, *(path.name for path in lessons)]
    digest = hashlib.sha256(json.dumps(of_all, sort_keys=True).encode())
    return folder / f"{digest.hexdigest()[:40]}.safetensors"


def read_ear(path: Path) -> KeptEar | None:
    """Return an ear that was kept, or None if there is none, or its file is damaged."""
    try:
        file = read_tensor_file(path, MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES)
        ear = build_ear(json.loads(file.metadata[_DESCRIPTION]), file.tensors)
        return KeptEar(ear, float(file.metadata[_LOSS])) if isinstance(ear, DistilledListener) else None
    except (OSError, FileError, ValueError, KeyError, TypeError):
        return None


def keep_ear(path: Path, ear: DistilledListener, loss: float) -> None:
    """Write an ear where `ear_path` says.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    metadata = {_DESCRIPTION: json.dumps(ear_to_json(ear)), _LOSS: repr(loss)}
    write_whole(path, save(ear_tensors(ear), metadata), "the feature cache", make_folder=True)
