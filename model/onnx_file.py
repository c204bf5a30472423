"""Reads ONNX files that anybody may have written, and passes on only what was looked at.

An ONNX file is a protocol buffer (https://onnx.ai/onnx/repo-docs/IR.html; field numbers from onnx.proto). Its nodes and
weights are checked here before any other library sees them, and what a session is made from is put together anew from
what was checked: operators of the standard set alone, no functions, no branches or loops, no files beside this one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import shown
from model.protocol_buffer import (
    bytes_field,
    bytes_of,
    fields_of,
    number_field,
    number_of,
    numbers_of,
    text_of,
    texts_of,
)
from model.regular_file import FileError

IR_VERSION = 8
OPERATOR_SET = 18
"""Version of ONNX's own operators; another one may mean something else by the same name."""
MOST_NODES = 4096
"""More are refused; the bundled default has a fifth of them."""
MOST_AXES = 8
_ALLOWED = (
    "Abs Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv CumSum Div "
    "Einsum Equal Exp Expand Flatten GRU Gather GatherElements Gemm Identity Less Log MatMul Max Mul Neg "
    "Pow Range ReduceMax ReduceMean ReduceSum Relu Reshape Shape Slice Softplus Split Sqrt Squeeze Sub Tanh "
    "Transpose Unsqueeze Where"
)
OPERATORS = frozenset(_ALLOWED.split())
"""What an exported network is made of: arithmetic, none of which runs other graphs or touches files."""

_FLOAT, _INT64 = 1, 7
_INT = 2
"""The type of an attribute that is a whole number."""
_TYPES: dict[int, np.dtype[Any]] = {
    _FLOAT: np.dtype("<f4"),
    6: np.dtype("<i4"),
    _INT64: np.dtype("<i8"),
    9: np.dtype("?"),
}
_POSITIVE = {"dilations", "group", "kernel_shape", "strides"}
"""Attributes by which ONNX Runtime divides, whatever they are."""
_PLAIN_ATTRIBUTES = {1, 2, 3, 4, 6, 7, 8}
"""Numbers, texts and tensors, and lists of them; what is left out would be graphs."""


@dataclass(frozen=True)
class Tensor:
    """A named tensor of the file.

    Attributes
    ----------
    values : ndarray
        Its numbers.
    encoded : memoryview
        As the file has it.
    """

    values: NDArray[np.generic]
    encoded: memoryview


@dataclass(frozen=True)
class Node:
    """An operator, with the names of what it takes and gives, and encoded: as the file has it, or as what is safe."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    encoded: tuple[memoryview | bytes, ...]


@dataclass(frozen=True)
class OnnxFile:
    """What of a file was looked at.

    Attributes
    ----------
    metadata : dict of str to str
        Its properties.
    nodes : tuple of Node
        In their order.
    tensors : dict of str to Tensor
        Its initializers.
    """

    metadata: dict[str, str]
    nodes: tuple[Node, ...]
    tensors: dict[str, Tensor]

    def part(self, inputs: Mapping[str, tuple[int | str, ...]], outputs: Iterable[str]) -> bytes:
        """Put together the graph that computes some outputs.

        Parameters
        ----------
        inputs : mapping of str to tuple
            What it may take: tensors of float32, each axis a size or a name for any size.
        outputs : iterable of str
            What it shall give, of float32.

        Returns
        -------
        bytes
            An ONNX model.

        Raises
        ------
        FileError
            If it would need anything else.
        """
        outputs = list(outputs)
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                nodes.append(node)
                needed -= set(node.outputs)
                needed |= set(node.inputs) - {""}
        unknown = needed - inputs.keys() - self.tensors.keys()
        if unknown:
            raise FileError(f'has nothing that gives "{shown(min(unknown))}"')
        graph = [bytes_field(1, encoded) for node in reversed(nodes) for encoded in node.encoded]
        graph.append(bytes_field(2, b"moodring"))
        graph += [bytes_field(5, self.tensors[name].encoded) for name in sorted(needed & self.tensors.keys())]
        graph += [bytes_field(11, _described(name, axes)) for name, axes in inputs.items()]
        graph += [bytes_field(12, _described(name, None)) for name in outputs]
        operators = bytes_field(1, b"") + number_field(2, OPERATOR_SET)
        return number_field(1, IR_VERSION) + bytes_field(7, b"".join(graph)) + bytes_field(8, operators)


def parse_onnx(content: bytes) -> OnnxFile:
    """Look at a whole file.

    Parameters
    ----------
    content : bytes
        Of the file; its length bounds all memory that is taken here.

    Returns
    -------
    OnnxFile

    Raises
    ------
    FileError
        If it is something else, or has what is not allowed.
    """
    try:
        return _parse(memoryview(content))
    except FileError:
        raise
    except (IndexError, OverflowError, ValueError) as error:  # of bytes that are no text, as well
        raise FileError("is truncated or not an ONNX file") from error


def _parse(content: memoryview) -> OnnxFile:
    model = fields_of(content)
    metadata: dict[str, str] = {}
    for encoded in bytes_of(model, 14):
        entry = fields_of(encoded)
        metadata[text_of(entry, 1)] = text_of(entry, 2)
    if not model.keys().isdisjoint((20, 25)):
        raise FileError("has functions or training steps of its own, which are not allowed")
    graphs = bytes_of(model, 7)
    if len(graphs) != 1:
        raise FileError("is truncated or not an ONNX file")
    operators = [fields_of(encoded) for encoded in bytes_of(model, 8)]
    if [(text_of(of_set, 1), number_of(of_set, 2)) for of_set in operators] != [("", OPERATOR_SET)]:
        raise FileError(f"needs other operators than version {OPERATOR_SET} of ONNX's own")
    graph = fields_of(graphs[0], 4 * MOST_NODES)
    if 15 in graph:
        raise FileError("has sparse tensors, which are not allowed")
    if len(graph.get(1, ())) > MOST_NODES:
        raise FileError(f"has more than {MOST_NODES} nodes")
    nodes = tuple(_node(encoded) for encoded in bytes_of(graph, 1))
    tensors: dict[str, Tensor] = {}
    for encoded in bytes_of(graph, 5):
        name, tensor = _tensor(encoded)
        if name in tensors:
            raise FileError(f'has "{shown(name)}" twice')
        tensors[name] = tensor
    return OnnxFile(metadata, nodes, tensors)


def _node(encoded: memoryview) -> Node:
    fields = fields_of(encoded)
    operator = text_of(fields, 4)
    if operator not in OPERATORS or text_of(fields, 7):
        raise FileError(f'has the operator "{shown(operator)}", which is not allowed')
    for content in bytes_of(fields, 5):
        attribute = fields_of(content)
        if number_of(attribute, 20) not in _PLAIN_ATTRIBUTES or not attribute.keys().isdisjoint((6, 11)):
            raise FileError(f'has a graph inside "{operator}", which is not allowed')
        name = text_of(attribute, 1)
        numbers = [*numbers_of(attribute, 3, 1), *numbers_of(attribute, 8, MOST_AXES + 1)]
        if name in _POSITIVE and (min(numbers, default=0) < 1 or len(numbers) > MOST_AXES):
            raise FileError(f'has the operator "{operator}" with {name} that are not 1 to {MOST_AXES} positive numbers')
        for number in (5, 10):
            for tensor in bytes_of(attribute, number):
                _tensor(tensor)
    inputs, outputs = texts_of(fields, 1), texts_of(fields, 2)
    if operator == "Div":
        return Node(inputs, outputs, _division(inputs, outputs))
    return Node(inputs, outputs, (encoded,))


def _division(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[bytes, ...]:
    """Encode a division whose divisor is made to be of float32.

    Of whole numbers, the least one divided by -1 ends the process. A dividend of another type is refused by ONNX
    Runtime, as both must be of one; a division of float32 remains what it was.
    """
    if len(inputs) != 2 or len(outputs) != 1:
        raise FileError("has a division that is not of two numbers")
    dividend, divisor, quotient = (name.encode() for name in inputs + outputs)
    as_float = quotient + b"/divisor"
    to_float = bytes_field(1, b"to") + number_field(3, _FLOAT) + number_field(20, _INT)
    return (
        bytes_field(1, divisor) + bytes_field(2, as_float) + bytes_field(4, b"Cast") + bytes_field(5, to_float),
        bytes_field(1, dividend) + bytes_field(1, as_float) + bytes_field(2, quotient) + bytes_field(4, b"Div"),
    )


def _tensor(encoded: memoryview) -> tuple[str, Tensor]:
    fields = fields_of(encoded)
    name = text_of(fields, 8)
    if 13 in fields or number_of(fields, 14):
        raise FileError("keeps tensors in other files, which is not allowed")
    kind = _TYPES.get(number_of(fields, 2))
    raw = bytes_of(fields, 9)
    shape = numbers_of(fields, 1, MOST_AXES + 1)
    if kind is None or len(raw) > 1 or not fields.keys().isdisjoint((4, 5, 6, 7, 10, 11)):
        raise FileError(f'has a tensor "{shown(name)}" of a type that is not allowed')
    data = raw[0] if raw else memoryview(b"")
    if len(shape) > MOST_AXES or any(size < 0 for size in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise FileError(f'has a tensor "{shown(name)}" whose shape is not that of its numbers')
    values = np.frombuffer(data, kind).reshape(shape)
    if kind.kind == "f" and not np.isfinite(values).all():
        raise FileError(f'has a tensor "{shown(name)}" that holds NaN or infinity')
    return name, Tensor(values, encoded)


def _described(name: str, axes: tuple[int | str, ...] | None) -> bytes:
    """Encode the name of a tensor of float32, and its shape if that is given."""
    kind = number_field(1, _FLOAT)
    if axes is not None:
        sizes = [number_field(1, axis) if isinstance(axis, int) else bytes_field(2, axis.encode()) for axis in axes]
        kind += bytes_field(2, b"".join(bytes_field(1, size) for size in sizes))
    return bytes_field(1, name.encode()) + bytes_field(2, bytes_field(1, kind))
