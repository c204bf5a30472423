"""Which models moodring ships, and where their files are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

BUNDLED = ("default", "large")
"""Names of the checkpoints that moodring ships; the large one needs torch and the package musicnn."""


def bundled_checkpoint_path(name: str = BUNDLED[0]) -> Path:
    """Return the path of a checkpoint that moodring ships, one of `BUNDLED`."""
    return Path(str(files("model") / "weights" / f"{name}.safetensors"))


def bundled_onnx_path(name: str = BUNDLED[0]) -> Path:
    """Return where a model that moodring ships is in ONNX, if it is."""
    return bundled_checkpoint_path(name).with_suffix(".onnx")
