"""A model as one ONNX file, computed by ONNX Runtime: what `model.onnx_export` makes of a checkpoint.

The file has one graph with three parts. The ear's first turns ``spectrograms`` (frames, columns, bands) into
``pooled`` (frames, filters), its second ``spans`` of these, (frames, span, filters), into ``heard`` (frames, numbers);
an ear whose span is one frame has a single part, from ``spectrograms`` to ``heard``. The network's turns ``history``,
feature rows up to `NetworkParameters.history`, into ``estimates`` of the newest frames (streams, window, 2), or without
a CRNN of all of them together (streams, 1, 2), and ``stds`` (streams, 2). With CRNN and summary, it turns ``history``
and a ``window`` of earlier rows into ``earlier`` estimates (streams, window, 2). The filterbanks are tensors beside
them, and what a checkpoint's metadata say is the property ``moodring``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from model.ear import COLUMNS, LONGEST_SPAN, MEL_BANDS, MOST_FILTERS, Ear, EarFrontend, EarShape
from model.errors import shown
from model.estimator import Estimator
from model.features import FloatArray, check_filterbank, frontend_of
from model.metadata import MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES, METADATA_KEY, fitting_together, parse_metadata, reading
from model.network_parameters import (
    NetworkParameters,
    check_ear_fits,
    parameters_from_json,
    validate_model_name,
)
from model.onnx_file import OnnxFile, parse_onnx
from model.onnx_session import Session, check_shape
from model.readout import readout, unheard_by_summary
from model.regular_file import FileError, open_regular, size_of

SPECTROGRAMS, POOLED, SPANS, HEARD = "spectrograms", "pooled", "spans", "heard"
HISTORY, WINDOW = "history", "window"
ESTIMATES, STDS, EARLIER = "estimates", "stds", "earlier"
FRONTEND = "frontend."
EAR_FILTERBANK = "ear.mel_filterbank"
KIND = "distilled"
"""Of ears, the one that can be exported: the other's weights stay in their own package."""
LONGEST_TRIAL = 10.0
"""Seconds that the first estimate may take when a file is loaded: of the bundled default, it takes a thousandth."""


class OnnxEar(Ear):
    """An ear that convolves each frame by itself, as the bundled default's does.

    Parameters
    ----------
    frontend : EarFrontend
        From samples to spectrograms.
    shape : EarShape
        Its needs; no context.
    convolution : bytes
        The graph that convolves frames, in ONNX.
    filters : int
        Numbers that it gives of every frame.
    reading : bytes, optional
        The graph that says what is heard of a span of them; not given, they are that themselves.

    Raises
    ------
    CheckpointError
        If a graph cannot be used.
    """

    kind = KIND

    def __init__(
        self, frontend: EarFrontend, shape: EarShape, convolution: bytes, filters: int, reading: bytes | None = None
    ) -> None:
        self.frontend = frontend
        self.shape = shape
        self._filters = filters
        self._digest = hashlib.sha256(frontend.mel_filterbank.tobytes() + convolution + (reading or b"")).digest()
        self._convolution = Session(convolution)
        self._reading = None if reading is None else Session(reading)

    def convolved(self, spectrograms: FloatArray) -> FloatArray:
        """Convolve each frame; see `Ear.convolved`."""
        frames = spectrograms.reshape(-1, COLUMNS, MEL_BANDS)
        name = HEARD if self._reading is None else POOLED
        (pooled,) = self._convolution.run([name], {SPECTROGRAMS: frames})
        return check_shape(name, pooled, (len(frames), self._filters)).reshape(*spectrograms.shape[:2], -1)

    def said_of(self, pooled: FloatArray) -> FloatArray:
        """Say what is heard of the frames; see `Ear.said_of`."""
        if self._reading is None:
            return pooled[:, 0]
        (heard,) = self._reading.run([HEARD], {SPANS: pooled})
        return check_shape(HEARD, heard, (len(pooled), self.shape.outputs))

    def digest(self) -> bytes:
        """Identify the ear by its filterbank and graphs."""
        return self._digest


class OnnxModel(Estimator):
    """A model whose network runs in ONNX Runtime.

    Parameters
    ----------
    metadata : mapping
        Of the file.
    file : OnnxFile
        Graph and filterbanks.
    digest : str
        Of the file, in hexadecimal digits.

    Raises
    ------
    ArithmeticError, AttributeError, KeyError, TypeError, ValueError, CheckpointError
        If the metadata are of other kinds, or the parts do not fit together.
    """

    runtime: ClassVar[str] = "onnxruntime"

    def __init__(self, metadata: Mapping[str, Any], file: OnnxFile, digest: str) -> None:
        self.name = validate_model_name(metadata["name"])
        features, parameters = parameters_from_json(metadata)
        self._parameters = parameters
        self._digest = digest
        of_frontend = [name for name in file.tensors if name.startswith(FRONTEND)]
        self.frontend = frontend_of(features, {name[len(FRONTEND) :]: _floats(file, name) for name in of_frontend})
        self.ear = None
        if metadata.get("ear") is not None:
            if metadata["ear"]["kind"] != KIND:
                raise ValueError(f'unknown kind of ear "{shown(metadata["ear"]["kind"])}"')
            self.ear = _ear(file, metadata["ear"], parameters.ear_columns)
        check_ear_fits(features, parameters, None if self.ear is None else self.ear.shape.outputs)
        columns = features.feature_count + parameters.ear_columns
        stds = [STDS] if parameters.spread_units else []
        history: dict[str, tuple[int | str, ...]] = {HISTORY: ("streams", "frames", columns)}
        self._newest = _Part(file.part(history, [ESTIMATES, *stds]), [ESTIMATES, *stds])
        self._earlier: _Part | None = None
        if parameters.summary_units is not None and parameters.crnn is not None:
            window = {WINDOW: ("streams", "heard", columns)}
            self._earlier = _Part(file.part(history | window, [EARLIER, *stds]), [EARLIER, *stds])
        self._try(columns)

    @property
    def network_parameters(self) -> NetworkParameters:
        """Inputs and sizes of the network."""
        return self._parameters

    def use_one_thread(self) -> None:
        """Leave it as it is: every session has one thread."""

    def digest(self) -> str:
        """Identify the file; see `Estimator.digest`."""
        return self._digest

    def estimate_with_std(self, windows: FloatArray, lag: int = 0) -> tuple[FloatArray, FloatArray | None]:
        """Estimate; see `Estimator.estimate_with_std`."""
        return self._estimate(windows, lag)

    def _estimate(self, windows: FloatArray, lag: int, longest: float = 0.0) -> tuple[FloatArray, FloatArray | None]:
        frames = windows.shape[1]
        if self._parameters.crnn is None:
            heard = windows[:, : frames - unheard_by_summary(self.window, lag)]
            return self._run(self._newest, {HISTORY: heard}, 1, slice(None), longest)
        unheard, described = readout(frames, self.window, lag)
        inputs, part = {HISTORY: windows}, self._newest
        if unheard:
            heard = windows[:, max(0, frames - unheard - self.window) : frames - unheard]
            if self._earlier is None:
                inputs = {HISTORY: heard}
            else:
                inputs, part = {HISTORY: windows, WINDOW: heard}, self._earlier
        return self._run(part, inputs, min(self.window, frames - unheard), described, longest)

    def _run(
        self, part: _Part, inputs: dict[str, FloatArray], outputs: int, described: slice, longest: float
    ) -> tuple[FloatArray, FloatArray | None]:
        streams = len(inputs[HISTORY])
        estimates, *stds = part.session.run(part.outputs, inputs, longest)
        check_shape(part.outputs[0], estimates, (streams, outputs, 2))
        with np.errstate(over="ignore", invalid="ignore"):  # of a strange graph; who asked looks at what it gives
            values: FloatArray = estimates[:, described].mean(axis=1)
        return values, check_shape(STDS, stds[0], (streams, 2)) if stds else None

    def _try(self, columns: int) -> None:
        if self.ear is not None:
            pooled = self.ear.convolved(np.zeros((1, 1, COLUMNS, MEL_BANDS), dtype=np.float32))
            self.ear.said_of(np.repeat(pooled, self.ear.shape.span, axis=1))
        self._estimate(np.zeros((1, self.history, columns), dtype=np.float32), 0, LONGEST_TRIAL)


class _Part:
    """What of a graph gives some outputs; made ready when it is needed first."""

    def __init__(self, model: bytes, outputs: list[str]) -> None:
        self.outputs = outputs
        self._model = model

    @cached_property
    def session(self) -> Session:
        return Session(self._model)


def load_onnx_model(path: Path) -> OnnxModel:
    """Read a model that `moodring export` made, or somebody else.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    OnnxModel

    Raises
    ------
    CheckpointError
        If there is no such file, or it is truncated, not a moodring model, of another version, holds what is not
        allowed, or its parts do not fit together.
    """
    with reading(path):
        with open_regular(path) as opened:
            content = opened.read(size_of(opened, MAXIMUM_BYTES))
        file = parse_onnx(content)
        if len(file.metadata.get(METADATA_KEY, "")) > MAXIMUM_HEADER_BYTES:
            raise FileError(f"has metadata of more than {MAXIMUM_HEADER_BYTES} characters")
    metadata = parse_metadata(path, file.metadata, "an ONNX")
    with fitting_together(path):
        return OnnxModel(metadata, file, hashlib.sha256(content).hexdigest())


def _ear(file: OnnxFile, described: Mapping[str, Any], outputs: int) -> OnnxEar:
    frontend = EarFrontend(check_filterbank(EAR_FILTERBANK, _floats(file, EAR_FILTERBANK)))
    spectrograms = {SPECTROGRAMS: ("frames", COLUMNS, MEL_BANDS)}
    sizes = described["network"]
    span, filters = sizes.get("span", 1), sizes["spectrum_filters"]  # of the first ears it was not written
    for name, size, most in (("span", span, LONGEST_SPAN), ("spectrum_filters", filters, MOST_FILTERS)):
        if type(size) is not int or not 1 <= size <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, not {shown(repr(size))}")
    if span == 1:
        return OnnxEar(frontend, EarShape(0, 1, outputs), file.part(spectrograms, [HEARD]), outputs)
    return OnnxEar(
        frontend,
        EarShape(0, span, outputs),
        file.part(spectrograms, [POOLED]),
        2 * filters,
        file.part({SPANS: ("frames", span, 2 * filters)}, [HEARD]),
    )


def _floats(file: OnnxFile, name: str) -> FloatArray:
    if name not in file.tensors:
        raise ValueError(f'tensor "{name}" is missing')
    values = file.tensors[name].values
    if values.dtype != np.float32:
        raise ValueError(f'tensor "{name}" must be of float32, not {values.dtype}')
    return values.astype(np.float32)
