"""Reads a model from whichever file it is in, for whichever runtime shall compute it. Imports no more than that one.

What computes a model follows from its file: ONNX Runtime where there is an ONNX file, which is so of the bundled
default and of what `moodring export` wrote, and torch for safetensors checkpoints, which `moodring train` writes.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from model.bundled import BUNDLED, bundled_onnx_path
from model.errors import CheckpointError, MoodringError

if TYPE_CHECKING:
    from model.estimator import Estimator

Runtime = Literal["onnx", "torch"]
RUNTIMES: tuple[Runtime, ...] = ("onnx", "torch")
ONNX_SUFFIX = ".onnx"

_NEEDED: dict[Runtime, tuple[str, str]] = {
    "onnx": ("onnxruntime", "pip install moodring"),
    "torch": ("torch", 'pip install "moodring[torch]"'),
}


def runtime_of(model: str, runtime: Runtime | None = None) -> Runtime:
    """Say what computes a model.

    Parameters
    ----------
    model : str
        One of `BUNDLED`, or a file's path.
    runtime : str, optional
        One of `RUNTIMES`, if it is asked for.

    Returns
    -------
    str
        One of `RUNTIMES`.

    Raises
    ------
    CheckpointError
        If there is no file for the runtime that is asked for.
    """
    if model in BUNDLED:
        exported = bundled_onnx_path(model).exists()
        if runtime == "onnx" and not exported:
            raise CheckpointError(f'the bundled model "{model}" runs in torch only: leave out --runtime onnx')
        return runtime or ("onnx" if exported else "torch")
    own: Runtime = "onnx" if model.lower().endswith(ONNX_SUFFIX) else "torch"
    if runtime is None or runtime == own:
        return own
    if own == "onnx":
        raise CheckpointError(
            f'"{model}" runs in ONNX Runtime only; for --runtime torch, give what it was exported from'
        )
    raise CheckpointError(f'for --runtime onnx, export the model first: moodring export "{model}" -o FILE.onnx')


def load_model(model: str | Path | None = None, runtime: Runtime | None = None) -> Estimator:
    """Read a model.

    Parameters
    ----------
    model : str or Path, optional
        A file, or one of `BUNDLED` for a model that moodring ships; its default if not given.
    runtime : str, optional
        One of `RUNTIMES`; what the file is for if not given.

    Returns
    -------
    Estimator

    Raises
    ------
    CheckpointError
        If there is no such file, it cannot be used, or not in that runtime.
    MoodringError
        If a package is missing.
    """
    name = BUNDLED[0] if model is None else str(model)
    chosen = runtime_of(name, runtime)
    package, remedy = _NEEDED[chosen]
    if find_spec(package) is None:
        what = f"--runtime {chosen}" if runtime else f'model "{name}"'
        raise MoodringError(f"{what} needs {package}: {remedy}")
    if chosen == "onnx":
        from model.onnx_model import load_onnx_model

        return load_onnx_model(bundled_onnx_path(name) if name in BUNDLED else Path(name))
    from model.checkpoint import load_checkpoint

    return load_checkpoint(name)


class ModelChoice(NamedTuple):
    """Which model, in which runtime: what `load_model` takes."""

    model: str | None = None
    runtime: Runtime | None = None

    def load(self) -> Estimator:
        """Read it; see `load_model`."""
        return load_model(self.model, self.runtime)


DEFAULT_MODEL = ModelChoice()
