"""Checkpoints that nobody should trust: refused in one line, before memory is taken for what they claim."""

from __future__ import annotations

import json
import math
import os
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.checkpoint import (
    MAXIMUM_BYTES,
    MAXIMUM_HEADER_BYTES,
    METADATA_KEY,
    CheckpointError,
    load_checkpoint,
)
from model.errors import LONGEST_SHOWN, shown
from model.features import FeatureParameters
from model.network import NetworkParameters
from model.tensorflow_checkpoint import TensorFlowCheckpointError, read_tensors
from scripts.benchmarks.fuzzing.checkpoints import joined, let_hear, small_checkpoints, split, write_sparse
from scripts.benchmarks.fuzzing.target import check_message
from tests.fuzzing import printed_by_a_child, survives
from tests.model.test_tensorflow_checkpoint import block, entry, sealed, table, varint, write

PLAIN, WHOLE, HEARING, WITHOUT_CRNN = range(4)
ALLOWED_BYTES = 256 << 20
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (60_000, 1)).astype(np.float32)


def changed(which: int, change: Callable[[dict[str, Any]], object]) -> bytes:
    header, data = split(small_checkpoints()[which])
    metadata = json.loads(header["__metadata__"][METADATA_KEY])
    change(metadata)
    header["__metadata__"][METADATA_KEY] = json.dumps(metadata)
    return joined(header, data)


def refusal(path: Path, content: bytes | None = None) -> str:
    """Load a file that must be refused, and give the one line that says so."""
    if content is not None:
        path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CheckpointError) as refused:
            load_checkpoint(path)
    text = str(refused.value)
    assert text.isprintable()
    assert len(text) < 500
    assert str(path) in text
    return text


@pytest.mark.parametrize("which", [PLAIN, WHOLE, HEARING, WITHOUT_CRNN])
def test_the_small_checkpoints_are_valid(tmp_path: Path, which: int) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(small_checkpoints()[which])
    let_hear(load_checkpoint(path), NOISE)


def test_thousands_of_damaged_checkpoints(tmp_path: Path) -> None:
    survives("checkpoints", 2000, tmp_path)


HUGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "window": lambda m: m["network"].update(window=10**9),
    "window and memory": lambda m: m["network"].update(window=600, memory=10**9),
    "members": lambda m: m["network"].update(members=10**5),
    "summary": lambda m: m["network"].update(summary_units=10**6),
    "spread": lambda m: m["network"].update(spread_units=10**6),
    "ear columns": lambda m: m["network"].update(ear_columns=10**9),
    "columns": lambda m: m["network"].update(columns=["logmel_mean"] * 10_000),
    "hidden": lambda m: m["network"]["crnn"].update(gru_units=10**6),
    "linear": lambda m: m["network"]["crnn"].update(fc_units=10**6),
    "filters": lambda m: m["network"]["crnn"].update(conv_filters=10**6),
    "kernel": lambda m: m["network"]["crnn"].update(conv_kernel=10**6 + 1),
    "layers": lambda m: m["network"]["crnn"].update(gru_layers=10**6),
    "pieces": lambda m: m["network"]["crnn"].update(maxout_pieces=10**9),
    "each size as large as it may be": lambda m: (
        m["network"].update(window=600, members=16, memory=2400),
        m["network"]["crnn"].update(conv_filters=512, conv_layers=8, fc_units=4096, gru_units=2048, gru_layers=8),
    ),
    "FFT window": lambda m: m["features"].update(fft_window=10**9),
    "FFT window and frame": lambda m: m["features"].update(
        fft_window=10**6, fft_hop=1, sample_rate=192000, frame_duration=5
    ),
    "hop": lambda m: m["features"].update(fft_hop=1, sample_rate=48000, frame_duration=5.0, fft_window=2048),
    "bands": lambda m: m["features"].update(mel_bands=10**9),
    "sample rate": lambda m: m["features"].update(sample_rate=10**12),
    "frame": lambda m: m["features"].update(frame_duration=1e9),
    "digits": lambda m: m["network"].update(window=10**4000),
}
HUGE_EARS: dict[str, Callable[[dict[str, Any]], object]] = {
    "outputs": lambda m: m["ear"]["network"].update(outputs=10**9),
    "filters": lambda m: m["ear"]["network"].update(filters=[512] * 10_000),
    "many filters": lambda m: m["ear"]["network"].update(filters=[10**9]),
    "spectrum": lambda m: m["ear"]["network"].update(spectrum_filters=10**9),
    "picture": lambda m: m["ear"]["network"].update(columns=1024, bands=1024),
    "taggers": lambda m: m.update(ear={"kind": "musicnn", "networks": ["MSD_musicnn"] * 100_000}),
}

_IN_A_CHILD = """
import resource, sys
from pathlib import Path
from model.checkpoint import CheckpointError, load_checkpoint
folder, allowed = Path(sys.argv[1]), int(sys.argv[2])
load_checkpoint()  # what is imported later is imported now
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + allowed
resource.setrlimit(resource.RLIMIT_AS, (most, most))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(folder.iterdir()):
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        print(path.stem, "|", str(error).replace(str(path), "FILE"))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def _long_header(length: int, kind: str) -> bytes:
    header, data = split(small_checkpoints()[PLAIN])
    if kind == "padding":
        encoded = json.dumps(header).encode().ljust(length)
    else:
        header["__metadata__"]["more"] = "x" * length if kind == "text" else json.dumps([[]] * (length // 4))
        encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def _moved(offsets: list[int], shape: list[int] | None = None, dtype: str = "F32") -> bytes:
    header, data = split(small_checkpoints()[PLAIN])
    name = next(name for name in header if name.startswith("network"))
    header[name] = {"dtype": dtype, "shape": shape or header[name]["shape"], "data_offsets": offsets}
    return joined(header, data)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_nothing_is_allocated_for_what_is_refused(tmp_path: Path) -> None:
    """All in one child that could not take the memory: 256 MB for files that claim up to 2^63 bytes."""
    folder = tmp_path / "files"
    folder.mkdir()
    files = {f"network {name}": changed(WHOLE, change) for name, change in HUGE.items()}
    files |= {f"ear {name}": changed(HEARING, change) for name, change in HUGE_EARS.items()}
    size = len(split(small_checkpoints()[PLAIN])[1])
    files |= {
        "length of the header 2^63": struct.pack("<Q", 1 << 63) + small_checkpoints()[PLAIN][8:],
        "length of the header 2^64": struct.pack("<Q", (1 << 64) - 1) + small_checkpoints()[PLAIN][8:],
        "length of the header 1 GB": struct.pack("<Q", 1 << 30) + small_checkpoints()[PLAIN][8:],
        "header of spaces": _long_header(30_000_000, "padding"),
        "metadata of 60 MB": _long_header(60_000_000, "text"),
        "nested metadata": _long_header(4_000_000, "lists"),
        "tensor of 4 GB": _moved([0, 1 << 32], [1 << 30]),
        "tensor of 2^62": _moved([0, 1 << 62], [1 << 60]),
        "tensor of an overflow": _moved([0, 4], [1 << 32, 1 << 32]),
        "tensor outside": _moved([size, size + 4], [1]),
        "tensor before": _moved([-4, 0], [1]),
        "tensors that overlap": _moved([4, 8], [1]),
        "another type": _moved([0, 8], [1], "F64"),
        "an unknown type": _moved([0, 4], [1], "X32"),
        "nested header": struct.pack("<Q", 100_000) + b"[" * 100_000,
    }
    for name, content in files.items():
        (folder / f"{name}.safetensors").write_bytes(content)
    write_sparse(folder / "sparse file of 4 GB.safetensors", 1 << 32)
    write_sparse(folder / "sparse metadata.safetensors", 1 << 25)
    with (folder / "sparse header.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000))
        file.truncate(100_000_008)
    *lines, growth = printed_by_a_child(_IN_A_CHILD, folder, ALLOWED_BYTES)
    told = dict(line.split(" | ", 1) for line in lines)
    assert told.keys() == {path.stem for path in folder.iterdir()}
    assert int(growth) < 200, f"{growth} MB more for files of at most {MAXIMUM_BYTES >> 20} MB"
    assert "at most 67108864 are allowed" in told["sparse file of 4 GB"]
    assert f"at most {MAXIMUM_HEADER_BYTES} are allowed" in told["header of spaces"]
    assert "window must be" in told["network window"]
    assert "fft_hop, fft_window and the frame" in told["network FFT window"]
    assert "multiplications" in told["network each size as large as it may be"]


@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        (WHOLE, lambda m: m["network"].update(window=3.5), "window must be a whole number"),
        (WHOLE, lambda m: m["network"].update(window=True), "window must be a whole number"),
        (WHOLE, lambda m: m["network"].update(memory=6.5), "memory must be a whole number"),
        (WHOLE, lambda m: m["network"].update(dynamic_range="loud"), "dynamic_range must be a finite number"),
        (WHOLE, lambda m: m["network"].update(dynamic_range=math.nan), "dynamic_range must be a finite number"),
        (WHOLE, lambda m: m["network"].update(remove_level="no"), "remove_level must be true or false"),
        (WHOLE, lambda m: m["network"].update(summary_units=2.5), "summary_units must be a whole number or null"),
        (WHOLE, lambda m: m["network"].update(columns="harmony"), "columns must be some of"),
        (WHOLE, lambda m: m["network"].update(columns=[["harmony"]]), "columns must be a list of texts"),
        (PLAIN, lambda m: m["features"].update(mel_bands=4.0), "mel_bands must be a whole number"),
        (PLAIN, lambda m: m["features"].update(fft_hop=64.0), "fft_hop must be a whole number"),
        (PLAIN, lambda m: m["features"].update(energy_floor=1e-60), "energy_floor must be"),
        (PLAIN, lambda m: m["features"].update(mel_high=math.inf), "mel_high must be a finite number"),
        (PLAIN, lambda m: m["network"]["crnn"].update(conv_layers=True), "conv_layers must be a whole number"),
        (HEARING, lambda m: m["ear"].update(kind=["distilled"]), "unknown kind of ear"),
        (HEARING, lambda m: m["ear"]["network"].update(filters=[1, True, 1, 1]), "filters must be"),
        (PLAIN, lambda m: m.update(name="n" * 101), "a model's name must be text of at most 100"),
        (PLAIN, lambda m: m.update(name="\x1b]0;you have been had\x07"), "a model's name must be text"),
        (PLAIN, lambda m: m.update(name=["a"]), "a model's name must be text"),
        (PLAIN, lambda m: m.update(version=True), "has version True; this moodring reads version 1"),
        (PLAIN, lambda m: m.update(version=[[1]] * 1000), "this moodring reads version 1"),
        (PLAIN, lambda m: m["network"].update({"\x1b[31m" + "x" * 5000: 1}), "does not fit together"),
    ],
)
def test_parameters_of_another_kind_are_refused(
    tmp_path: Path, which: int, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    assert said in refusal(tmp_path / "odd.safetensors", changed(which, change))


def test_filters_that_do_not_fit_32_bits_are_refused(tmp_path: Path) -> None:
    header, data = split(small_checkpoints()[PLAIN])
    first, end = header["frontend.mel_filterbank"]["data_offsets"]
    bank = np.full(math.prod(header["frontend.mel_filterbank"]["shape"]), 1e300)
    header["frontend.mel_filterbank"] |= {"dtype": "F64", "data_offsets": [len(data), len(data) + bank.nbytes]}
    kept = sorted((field["data_offsets"], name) for name, field in header.items() if name != "__metadata__")
    moved = b""
    for (start, stop), name in kept:
        content = (data + bank.tobytes())[start:stop]
        header[name]["data_offsets"] = [len(moved), len(moved) + len(content)]
        moved += content
    assert end > first
    said = refusal(tmp_path / "wide.safetensors", joined(header, moved))
    assert "must be of torch.float32, not torch.float64" in said


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    header, data = split(small_checkpoints()[PLAIN])
    for name, field in header.items():
        if name == "__metadata__" or field["dtype"] != "F32":
            continue
        first = field["data_offsets"][0]
        content = joined(header, data[:first] + struct.pack("<f", value) + data[first + 4 :])
        assert "holds NaN or infinity" in refusal(tmp_path / "odd.safetensors", content)


@pytest.mark.parametrize("weight", [3e38, 101.0, -1e-3])
@pytest.mark.parametrize("name", ["frontend.mel_filterbank", "frontend.chroma_filterbank", "ear.mel_filterbank"])
def test_filterbanks_that_could_overflow_are_refused(tmp_path: Path, name: str, weight: float) -> None:
    header, data = split(small_checkpoints()[HEARING])
    first = header[name]["data_offsets"][0]
    content = joined(header, data[:first] + struct.pack("<f", weight) + data[first + 4 :])
    assert "must have weights from 0 to 100" in refusal(tmp_path / "loud.safetensors", content)


@pytest.mark.parametrize("weight", [3e38, 1001.0])
def test_notes_that_could_overflow_are_refused(tmp_path: Path, weight: float) -> None:
    header, data = split(small_checkpoints()[WHOLE])
    first = header["frontend.notes.second.weight"]["data_offsets"][0]
    content = joined(header, data[:first] + struct.pack("<f", weight) + data[first + 4 :])
    assert "must have weights from -1000 to 1000" in refusal(tmp_path / "loud.safetensors", content)


@pytest.mark.parametrize("name", ["frontend.mel_filterbank", "frontend.notes.first.bias", "ear.mel_filterbank"])
def test_tensors_of_many_dimensions_are_refused(tmp_path: Path, name: str) -> None:
    header, data = split(small_checkpoints()[HEARING if name.startswith("ear") else WHOLE])
    header[name]["shape"] += [1] * 70
    assert "dimensions, not 7" in refusal(tmp_path / "deep.safetensors", joined(header, data))


def test_a_missing_layer_of_the_notes_is_told(tmp_path: Path) -> None:
    header, data = split(small_checkpoints()[WHOLE])
    header["frontend.notes.fourth.bias"] = header.pop("frontend.notes.third.bias")
    assert '"notes.third.bias" is missing' in refusal(tmp_path / "short.safetensors", joined(header, data))


@pytest.mark.parametrize("scale", [3e38, 1e-45, -3e38])
def test_weights_at_the_edge_give_estimates_or_one_line(tmp_path: Path, scale: float) -> None:
    header, data = split(small_checkpoints()[WHOLE])
    changed = bytearray(data)
    for name, field in header.items():
        if name.startswith("network.") and field["dtype"] == "F32":
            first, end = field["data_offsets"]
            changed[first:end] = struct.pack("<f", scale) * ((end - first) // 4)
    content = joined(header, bytes(changed))
    path = tmp_path / "loud.safetensors"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        let_hear(load_checkpoint(path), NOISE)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(
        st.sampled_from([*FeatureParameters.__dataclass_fields__]),
        st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5)),
    )
)
def test_feature_parameters_are_refused_or_affordable(values: dict[str, Any]) -> None:
    parameters = None
    try:
        parameters = FeatureParameters(**values)
    except ValueError as error:
        check_message(error)
    if parameters is None:
        return
    assert parameters.frame_length <= 1 << 18
    columns = (parameters.frame_length - parameters.fft_window) // parameters.fft_hop + 1
    assert columns * parameters.fft_window <= 1 << 19


@settings(max_examples=150, deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from([name for name in NetworkParameters.__dataclass_fields__ if name != "crnn"]),
        st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5), st.just(("harmony",) * 2)),
    )
)
def test_network_parameters_are_refused_with_one_line(values: dict[str, Any]) -> None:
    try:
        NetworkParameters(**values)
    except ValueError as error:
        check_message(error)


def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        assert "is not a file" in refusal(path)
    with pytest.raises(CheckpointError, match="no checkpoint file"):
        load_checkpoint("a\x00b")


@given(content=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_what_is_shown_of_anything_is_one_short_line(content: object) -> None:
    line = shown(content)
    assert line.isprintable()
    assert len(line) <= LONGEST_SHOWN + 1


def test_what_is_shown_of_endless_numbers_and_nesting() -> None:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    assert shown(nested).startswith("[[")
    assert shown(10**5000) == "a number of thousands of digits"


def test_a_tensorflow_index_cannot_ask_for_the_square_of_its_size(tmp_path: Path) -> None:
    """Names that share their beginnings, tensors and blocks that are there many times over."""
    growing = [(bytes([65 + i % 26]) * (i + 1), entry(1, (1,), 0, 4)) for i in range(2000)]
    whole = b"".join(varint(max(0, i)) + varint(1) + varint(len(v)) + b"a" + v for i, (_, v) in enumerate(growing))
    content = whole + struct.pack("<II", 0, 1)
    of_blocks = block([(b"z", varint(0) + varint(len(content)))])
    footer = varint(0) + varint(0) + varint(len(sealed(content))) + varint(len(of_blocks))
    index = sealed(content) + sealed(of_blocks) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    with pytest.raises(TensorFlowCheckpointError, match="a name is too long"):
        read_tensors(write(tmp_path, index, bytes(8)))
    same = [(f"{i:04}".encode(), entry(1, (1000,), 0, 4000)) for i in range(500)]
    with pytest.raises(TensorFlowCheckpointError, match="tensors overlap"):
        read_tensors(write(tmp_path, table([same]), bytes(4000)))
    entries = block(same[:100])
    handles = block([(f"{i:04}".encode(), varint(0) + varint(len(entries))) for i in range(100)])
    footer = varint(0) + varint(0) + varint(len(sealed(entries))) + varint(len(handles))
    index = sealed(entries) + sealed(handles) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    with pytest.raises(TensorFlowCheckpointError, match="blocks overlap"):
        read_tensors(write(tmp_path, index, bytes(4000)))
    with pytest.raises(TensorFlowCheckpointError, match="has more than"):
        read_tensors(write(tmp_path, bytes(1 << 19), bytes(4000)))
