"""Ears that were taught before, kept beside the features: teaching takes minutes, and a cross-validation has five.

Like that of features, a file's name is the digest of all that its content depends on; see `training.feature_cache`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save

from model.distilled_ear import DistilledEarParameters
from model.ears import DistilledListener, build_ear, ear_tensors, ear_to_json
from model.errors import CheckpointError
from model.metadata import MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES, fitting_together, reading
from model.tensor_file import read_tensor_file
from training.distillation import DistillationSettings
from training.files import write_whole

_LAYOUT = 1
"""Raised when the arithmetic of teaching changes in a way that the settings do not show."""
_DESCRIPTION = "ear"


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


def read_ear(path: Path) -> DistilledListener | None:
    """Return an ear that was kept, or None if there is none, or its file is damaged."""
    try:
        with reading(path):
            file = read_tensor_file(path, MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES)
        with fitting_together(path):
            ear = build_ear(json.loads(file.metadata[_DESCRIPTION]), file.tensors)
    except CheckpointError:
        return None
    return ear if isinstance(ear, DistilledListener) else None


def keep_ear(path: Path, ear: DistilledListener) -> None:
    """Write an ear where `ear_path` says.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    content = save(ear_tensors(ear), {_DESCRIPTION: json.dumps(ear_to_json(ear))})
    write_whole(path, content, "the feature cache", make_folder=True)
