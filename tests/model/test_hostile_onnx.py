"""Models in ONNX that nobody should trust: refused in one line, in little memory and time; nothing else is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="exports models")

import onnx
from onnx import TensorProto, helper, numpy_helper

from model.errors import CheckpointError
from model.metadata import MAXIMUM_BYTES, MAXIMUM_HEADER_BYTES, METADATA_KEY
from model.onnx_model import load_onnx_model
from scripts.benchmarks.fuzzing.onnx_models import small_models
from streamer.api import track
from streamer.tracker import TrackerError
from tests.fuzzing import printed_by_a_child, survives

HEARING = 2
ALLOWED_BYTES = 1 << 30
"""Address space beyond what is loaded: ONNX Runtime's own bound, and as much again."""


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_from_string(small_models()[HEARING])
    change(model)
    return bytes(model.SerializeToString())


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        load_onnx_model(path)
    text = str(refused.value)
    assert text.isprintable()
    assert len(text) < 500
    assert str(path) in text
    return text


def test_hundreds_of_damaged_models(tmp_path: Path) -> None:
    survives("onnx", 500, tmp_path)


def computing(*nodes: onnx.NodeProto, **tensors: np.ndarray) -> Callable[[onnx.ModelProto], object]:
    """Put nodes before the end, the last of which gives ``more``, a number that is added to the estimates."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for i, name in enumerate(node.output):
                if name == "estimates":
                    node.output[i] = "before"
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in tensors.items())
        model.graph.node.extend([*nodes, helper.make_node("Add", ["before", "more"], ["estimates"])])

    return change


LARGEST = helper.make_node("ReduceMax", ["large"], ["more"], keepdims=0)
FILLED = helper.make_node("ConstantOfShape", ["size"], ["large"])
FEW = np.zeros((1, 1), np.float32)


def with_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    computing(helper.make_node("Loop", ["", "", "before"], ["more"], body=body))(model)


def with_hidden_graph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", body))


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def not_finite(model: onnx.ModelProto) -> None:
    tensor = next(one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def louder(model: onnx.ModelProto) -> None:
    tensor = next(one for one in model.graph.initializer if one.name == "frontend.mel_filterbank")
    tensor.CopyFrom(numpy_helper.from_array(101 * np.ones(tuple(tensor.dims), np.float32), tensor.name))


def described(change: Callable[[str], str]) -> Callable[[onnx.ModelProto], object]:
    def apply(model: onnx.ModelProto) -> None:
        (text,) = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
        del model.metadata_props[:]
        helper.set_model_props(model, {METADATA_KEY: change(text)})

    return apply


REFUSED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "a loop": (with_loop, 'the operator "Loop", which is not allowed'),
    "a graph in a node": (with_hidden_graph, "has a graph inside"),
    "another file": (outside, "keeps tensors in other files"),
    "a function": (lambda m: m.functions.add(name="f", domain="x"), "has functions"),
    "other operators": (lambda m: m.opset_import.add(domain="com.microsoft", version=1), "needs other operators"),
    "newer operators": (lambda m: setattr(m.opset_import[0], "version", 25), "needs other operators"),
    "an operator of another domain": (
        lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"),
        "which is not allowed",
    ),
    "NaN": (not_finite, "holds NaN or infinity"),
    "a loud filterbank": (louder, "must have weights from 0 to 100"),
    "another shape": (lambda m: m.graph.initializer[0].dims.append(2), "whose shape is not that of its numbers"),
    "doubles": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.DOUBLE), "of a type that"),
    "sparse tensors": (lambda m: m.graph.sparse_initializer.add(), "sparse tensors"),
    "nothing that hears": (lambda m: m.graph.node.pop(), "has nothing that gives"),
    "no metadata": (lambda m: m.ClearField("metadata_props"), "is an ONNX file, but not a moodring checkpoint"),
    "long metadata": (described(lambda text: text + " " * MAXIMUM_HEADER_BYTES), "metadata of more than"),
    "another version": (described(lambda text: text.replace('"version": 1', '"version": 9')), "has version 9"),
    "another window": (described(lambda text: text.replace('"window": 3', '"window": 601')), "window must be from 2"),
    "more columns": (
        described(lambda text: text.replace('"ear_columns": 3', '"ear_columns": 4')),
        'gives "heard" of shape',
    ),
    "another ear": (described(lambda text: text.replace('"distilled"', '"musicnn"')), "unknown kind of ear"),
    "estimates of another shape": (
        computing(helper.make_node("Expand", ["few", "size"], ["more"]), few=FEW, size=np.array([4, 1, 2])),
        'gives "estimates" of shape',
    ),
    "many nodes": (
        lambda m: m.graph.node.extend([helper.make_node("Identity", ["a"], ["b"])] * 5000),
        "has more than 4096 nodes",
    ),
    "many axes": (lambda m: m.graph.initializer[0].dims.extend([1] * 100), "whose shape"),
    "many inputs": (lambda m: m.graph.node[0].input.extend(["a"] * 100_000), "more than 1024 parts"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(tmp_path: Path, what: str) -> None:
    change, said = REFUSED[what]
    assert said in refusal(tmp_path / "odd.onnx", changed(change))


@pytest.mark.parametrize("more", [2.0, -3e38])
def test_estimates_outside_their_range_are_said_and_not_published(tmp_path: Path, more: float) -> None:
    change = computing(helper.make_node("Identity", ["much"], ["more"]), much=np.array([more], np.float32))
    (tmp_path / "odd.onnx").write_bytes(changed(change))
    model = load_onnx_model(tmp_path / "odd.onnx")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 44100).astype(np.float32)
    with pytest.raises(TrackerError, match="gives values that are not numbers from -1 to 1"):
        next(track(noise, 44100, model=model))


def test_files_that_are_something_else(tmp_path: Path) -> None:
    valid = small_models()[HEARING]
    for content in (b"", b"\xff" * 100, b"PK\x03\x04", valid[: len(valid) // 2], valid[:-1], b"\x80" * 50):
        assert "odd.onnx" in refusal(tmp_path / "odd.onnx", content)
    with (tmp_path / "odd.onnx").open("wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(CheckpointError, match=f"at most {MAXIMUM_BYTES} are allowed"):
        load_onnx_model(tmp_path / "odd.onnx")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_onnx_model(tmp_path)


def test_a_name_that_is_no_text_is_refused_without_printing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def change(model: onnx.ModelProto) -> None:
        node = next(one for one in model.graph.node if one.op_type == "MatMul")
        node.name = "ABCD"
        node.attribute.append(helper.make_attribute("unknown", 1))

    assert "cannot be used" in refusal(tmp_path / "odd.onnx", changed(change).replace(b"ABCD", b"A\xfb\xffD"))
    assert capfd.readouterr() == ("", "")


_IN_A_CHILD = """
import resource, sys
from pathlib import Path
from model.errors import CheckpointError
from model.loading import load_model
folder, allowed = Path(sys.argv[1]), int(sys.argv[2])
load_model()  # what is imported later is imported now
import model.onnx_model
model.onnx_model.LONGEST_TRIAL = 1.0
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + allowed
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for path in sorted(folder.iterdir()):
    try:
        load_model(path)
    except CheckpointError as error:
        print(path.stem, "|", error)
"""


def refusals_in_a_child(folder: Path, contents: dict[str, bytes]) -> dict[str, str]:
    """Load models in a process that may take only so much memory, and could crash; return what it says, by name."""
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    lines = printed_by_a_child(_IN_A_CHILD, folder, ALLOWED_BYTES)
    return dict(line.split(" | ", 1) for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_graphs_that_would_take_gigabytes_or_hours_are_refused(tmp_path: Path) -> None:
    size = np.array([1500, 1500])
    products = [helper.make_node("MatMul", [f"large{i or ''}", "large"], [f"large{i + 1}"]) for i in range(1000)]
    files = {
        "16 GB": computing(FILLED, LARGEST, size=np.array([1 << 20, 1 << 14])),
        "2^62": computing(FILLED, LARGEST, size=np.array([1 << 31, 1 << 31])),
        "square": computing(
            helper.make_node("Expand", ["few", "size"], ["large"]), LARGEST, few=FEW, size=np.array([1 << 17, 1 << 17])
        ),
        "slow": computing(
            FILLED, *products, helper.make_node("ReduceMax", ["large1000"], ["more"], keepdims=0), size=size
        ),
    }
    contents = {name: changed(change) for name, change in files.items()}
    padded = b"".join(b"\x7a\x00" for _ in range(10_000_000))  # empty parts that nobody knows
    told = refusals_in_a_child(tmp_path, contents | {"empty parts": small_models()[HEARING] + padded})
    assert told.keys() == {*files, "empty parts"}
    assert "an estimate takes more than 1 s" in told["slow"]
    assert "more than 1024 parts" in told["empty parts"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_divisions_that_would_end_the_process_are_refused(tmp_path: Path) -> None:
    least, minus_one = np.array([np.iinfo(np.int64).min]), np.array([-1])

    def stride_of_zero(model: onnx.ModelProto) -> None:
        node = next(one for one in model.graph.node if one.op_type == "Conv")
        (strides,) = (one for one in node.attribute if one.name == "strides")
        strides.ints[0] = 0

    def of_whole_numbers(operator: str) -> Callable[[onnx.ModelProto], object]:
        nodes = (
            helper.make_node(operator, ["least", "minus_one"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["more"], to=TensorProto.FLOAT),
        )
        return computing(*nodes, least=least, minus_one=minus_one)

    contents = {
        "stride": changed(stride_of_zero),
        "quotient": changed(of_whole_numbers("Div")),
        "remainder": changed(of_whole_numbers("Mod")),
    }
    told = refusals_in_a_child(tmp_path, contents)
    assert told.keys() == contents.keys()
    assert 'the operator "Conv" with strides that are not' in told["stride"]
    assert "cannot be used" in told["quotient"]
    assert 'the operator "Mod", which is not allowed' in told["remainder"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_graphs_that_would_crash_an_optimiser_are_refused(tmp_path: Path) -> None:
    def cutting_an_axis_that_is_not_there(name: str) -> Callable[[onnx.ModelProto], object]:
        def change(model: onnx.ModelProto) -> None:
            model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 20]), "axis"))
            (node,) = (node for node in model.graph.node if node.name == name)
            node.input[3] = "axis"

        return change

    nodes = onnx.load_from_string(small_models()[HEARING]).graph.node
    names = [node.name for node in nodes if node.op_type == "Slice"]
    contents = {str(i): changed(cutting_an_axis_that_is_not_there(name)) for i, name in enumerate(names)}
    told = refusals_in_a_child(tmp_path, contents)
    assert sum("'axes' has an axis" in text for text in told.values()) >= 2  # no check of shapes sees these
