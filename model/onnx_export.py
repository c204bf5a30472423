"""Makes one ONNX file of a checkpoint; `model.onnx_model` says what is in it, and reads it. Needs torch and onnx."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from model.checkpoint import Checkpoint
from model.distilled_ear import DistilledEar
from model.ear import COLUMNS, MEL_BANDS
from model.ears import DistilledListener
from model.errors import CheckpointError
from model.metadata import METADATA_KEY, replace_file
from model.onnx_file import IR_VERSION, OPERATOR_SET
from model.onnx_model import (
    EAR_FILTERBANK,
    EARLIER,
    ESTIMATES,
    FRONTEND,
    HEARD,
    HISTORY,
    POOLED,
    SPANS,
    SPECTROGRAMS,
    STDS,
    WINDOW,
)
from model.onnx_network import ArrangedNetwork

_Module = TypeVar("_Module", bound=nn.Module)

_AXES = {
    SPECTROGRAMS: {0: "frames"},
    POOLED: {0: "frames"},
    SPANS: {0: "frames"},
    HEARD: {0: "frames"},
    HISTORY: {0: "streams", 1: "frames"},
    WINDOW: {0: "streams", 1: "heard"},
    ESTIMATES: {0: "streams", 1: "newest"},
    EARLIER: {0: "streams", 1: "heard"},
    STDS: {0: "streams"},
}


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint as one ONNX file; an existing file is replaced in one step or not at all.

    Parameters
    ----------
    checkpoint : Checkpoint
        The model.
    path : str or Path
        Where to.

    Raises
    ------
    CheckpointError
        If its ear cannot be exported, or the file cannot be written.
    """
    replace_file(Path(path), _exported(checkpoint).SerializeToString(deterministic=True))


def _exported(checkpoint: Checkpoint) -> onnx.ModelProto:
    parameters = checkpoint.network_parameters
    columns = checkpoint.frontend.parameters.feature_count + parameters.ear_columns
    # sizes that no other axis has, so that none is taken for another
    history = torch.randn(2, 7, columns, generator=torch.Generator().manual_seed(0))
    inputs, outputs = {HISTORY: history}, [ESTIMATES]
    if parameters.spread_units:
        outputs.append(STDS)
    if parameters.summary_units is not None and parameters.crnn is not None:
        inputs[WINDOW] = history[:, -5:]
        outputs.append(EARLIER)
    with _evaluated(checkpoint.network) as network:
        graphs = [_graph(ArrangedNetwork(network), inputs, outputs, "network.")]
    banks = {FRONTEND + name: values for name, values in checkpoint.frontend.tensors().items()}
    if checkpoint.ear is not None:
        if not isinstance(checkpoint.ear, DistilledListener):
            raise CheckpointError(
                f'model "{checkpoint.name}" hears with {checkpoint.ear.kind}, whose weights stay in their own package: '
                "it runs in torch only"
            )
        banks[EAR_FILTERBANK] = checkpoint.ear.frontend.mel_filterbank
        with _evaluated(checkpoint.ear.network) as ear:
            graphs += _ear_graphs(ear)
    whole = helper.make_graph(
        [node for graph in graphs for node in graph.node],
        "moodring",
        [value for graph in graphs for value in graph.input],
        [value for graph in graphs for value in graph.output],
        [tensor for graph in graphs for tensor in graph.initializer]
        + [numpy_helper.from_array(np.ascontiguousarray(bank), name) for name, bank in banks.items()],
    )
    model = helper.make_model(
        whole, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPERATOR_SET)], producer_name="moodring"
    )
    helper.set_model_props(model, {METADATA_KEY: checkpoint.metadata()})
    onnx.checker.check_model(model)
    return model


def _ear_graphs(ear: DistilledEar) -> Iterator[onnx.GraphProto]:
    spectrograms = torch.zeros(3, COLUMNS, MEL_BANDS)
    sizes = ear.parameters_
    if sizes.span == 1:
        whole = _Part(ear, lambda frames: ear.said_of(ear.pooled(frames).unsqueeze(1)))
        yield _graph(whole, {SPECTROGRAMS: spectrograms}, [HEARD], "ear.")
        return
    yield _graph(_Part(ear, ear.pooled), {SPECTROGRAMS: spectrograms}, [POOLED], "ear.")
    spans = torch.zeros(3, sizes.span, 2 * sizes.spectrum_filters)
    yield _graph(_Part(ear, ear.said_of), {SPANS: spans}, [HEARD], "ear.says.")


class _Part(nn.Module):
    """A function of an ear, as a module of its own."""

    def __init__(self, ear: DistilledEar, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.ear = ear
        self._function = function

    def forward(self, given: Tensor) -> Tensor:
        return self._function(given)


@contextmanager
def _evaluated(module: _Module) -> Iterator[_Module]:
    modes = {part: part.training for part in module.modules()}
    try:
        yield module.eval()
    finally:
        for part, mode in modes.items():
            part.training = mode


def _graph(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], prefix: str) -> onnx.GraphProto:
    content = io.BytesIO()
    with warnings.catch_warnings():
        # that it is the older of two exporters, and that shapes that are looked at are those of the example
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            content,  # type: ignore[arg-type]  # the older exporter takes an open file
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes={name: _AXES[name] for name in (*inputs, *outputs)},
            opset_version=OPERATOR_SET,
            dynamo=False,
        )
    graph = onnx.load_from_string(content.getvalue()).graph
    for node in graph.node:
        if node.op_type == "GRU":
            del node.input[5:]  # zeros to begin with, as without it
    _leave_out_unused(graph)
    prefixed: onnx.GraphProto = onnx.compose.add_prefix_graph(graph, prefix, rename_inputs=False, rename_outputs=False)
    del prefixed.value_info[:]
    for node in prefixed.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    return prefixed


def _leave_out_unused(graph: onnx.GraphProto) -> None:
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used & set(node.output):
            kept.append(node)
            used |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
