"""Models in ONNX with other bytes, nodes, tensors and metadata than `moodring export` writes."""

from __future__ import annotations

import random
import struct
from functools import lru_cache

import numpy as np
import onnx

from model.checkpoint import load_checkpoint
from model.errors import MoodringError
from model.onnx_export import export_onnx
from model.onnx_model import load_onnx_model
from scripts.benchmarks.fuzzing.checkpoints import let_hear, small_checkpoints
from scripts.benchmarks.fuzzing.mutations import FLOATS, damage
from scripts.benchmarks.fuzzing.target import Scratch, check_message

_OPERATORS = ("Identity", "ConstantOfShape", "Expand", "Reshape", "Loop", "If", "Tile", "MatMul", "Concat", "Cast")
_SIZES = (-(1 << 63), -1, 0, 1, 2, 3, 7, 1 << 10, 1 << 20, 1 << 31, 1 << 40, 1 << 62)


@lru_cache
def small_models() -> tuple[bytes, ...]:
    """Return the small checkpoints, exported."""
    scratch, made = Scratch("small.onnx"), []
    for content in small_checkpoints():
        export_onnx(load_checkpoint(scratch.write(content)), scratch.path)
        made.append(scratch.path.read_bytes())
    return tuple(made)


class OnnxTarget:
    """`load_onnx_model`, and estimates of noise by what it accepts."""

    name = "onnx"

    def __init__(self) -> None:
        self._valid = small_models()
        self._scratch = Scratch("case.onnx")
        self._noise = np.random.default_rng(0).uniform(-0.5, 0.5, (200_000, 1)).astype(np.float32)

    def make(self, chance: random.Random) -> bytes:
        """Return a file of which bytes, or a few nodes and tensors, are changed."""
        content = chance.choice(self._valid)
        if chance.random() < 0.4:
            return damage(chance, content, self._valid)
        model = onnx.load_from_string(content)
        for _ in range(chance.choice((1, 1, 2, 4))):
            self._change(chance, model.graph)
        return model.SerializeToString()

    def check(self, content: bytes) -> bool:
        """Load the file; if it is accepted, let it hear noise."""
        try:
            accepted = load_onnx_model(self._scratch.write(content))
        except MoodringError as error:
            check_message(error)
            return False
        let_hear(accepted, self._noise)
        return True

    def _change(self, chance: random.Random, graph: onnx.GraphProto) -> None:
        node = chance.choice(graph.node)
        kind = chance.randrange(6)
        if kind == 0:
            node.op_type = chance.choice((*_OPERATORS, chance.choice(graph.node).op_type))
        elif kind == 1 and node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice(chance.choice(graph.node).output)
        elif kind == 2 and node.attribute:
            attribute = chance.choice(node.attribute)
            if attribute.type == onnx.AttributeProto.INT:
                attribute.i = chance.choice(_SIZES)
            elif attribute.type == onnx.AttributeProto.INTS and attribute.ints:
                attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(_SIZES)
            elif attribute.type == onnx.AttributeProto.TENSOR:
                self._change_tensor(chance, attribute.t)
        elif kind == 3:
            self._change_tensor(chance, chance.choice(graph.initializer))
        elif kind == 4:
            graph.node.remove(node)
        else:
            tensor = chance.choice(graph.initializer)
            del tensor.dims[:]
            tensor.dims.extend(chance.choice(_SIZES) for _ in range(chance.randrange(4)))

    def _change_tensor(self, chance: random.Random, tensor: onnx.TensorProto) -> None:
        raw = bytearray(tensor.raw_data)
        if len(raw) >= 8:
            value = chance.choice((struct.pack("<q", chance.choice(_SIZES)), struct.pack("<f", chance.choice(FLOATS))))
            at = len(value) * chance.randrange(len(raw) // len(value))
            raw[at : at + len(value)] = value
            tensor.raw_data = bytes(raw)
