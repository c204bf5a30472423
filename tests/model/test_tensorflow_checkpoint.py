"""The reader with files that are made here, byte by byte, as TensorFlow makes them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.tensorflow_checkpoint import TensorFlowCheckpointError, read_tensors

MAGIC = 0xDB4775248B80FB57
ANY_FILES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def crc32c(content: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def sealed(block: bytes, compression: int = 0) -> bytes:
    content = block + bytes([compression])
    crc = crc32c(content)
    return content + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    content, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return content + struct.pack("<II", 0, 1)


def entry(dtype: int, shape: Sequence[int], offset: int, size: int) -> bytes:
    dimensions = b""
    for length in shape:
        dimension = b"\x08" + varint(length) if length else b""
        dimensions += b"\x12" + varint(len(dimension)) + dimension
    message = b"\x08" + varint(dtype) + b"\x12" + varint(len(dimensions)) + dimensions
    if offset:
        message += b"\x20" + varint(offset)
    return message + b"\x28" + varint(size) + b"\x35" + bytes(4)


def table(blocks: Sequence[Sequence[tuple[bytes, bytes]]], compression: int = 0) -> bytes:
    content, handles = b"", []
    for entries in blocks:
        raw = block(entries)
        handles.append((entries[-1][0], varint(len(content)) + varint(len(raw))))
        content += sealed(raw, compression)
    meta = varint(len(content)) + varint(len(block([])))
    content += sealed(block([]))
    of_blocks = block(handles)
    footer = meta + varint(len(content)) + varint(len(of_blocks))
    content += sealed(of_blocks)
    return content + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


TENSORS = {
    "conv2d/bias": np.arange(3, dtype=np.float32),
    "conv2d/kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "dense/kernel": -np.arange(200, dtype=np.float32).reshape(20, 10),
    "scalar": np.float32(2.5).reshape(()),
}


def write(folder: Path, index: bytes, data: bytes, prefix: str = "") -> Path:
    (folder / f"{prefix}.index").write_bytes(index)
    (folder / f"{prefix}.data-00000-of-00001").write_bytes(data)
    return folder


def bundle() -> tuple[bytes, bytes]:
    data, entries = b"", [(b"", b"\x08\x01")]
    for name, value in TENSORS.items():
        entries.append((name.encode(), entry(1, value.shape, len(data), value.nbytes)))
        data += value.tobytes()
    step = np.int64(1000).tobytes()
    entries.append((b"step", entry(9, (), len(data), len(step))))
    return table([entries[:3], entries[3:]]), data + step


INDEX, DATA = bundle()


def check(tensors: dict[str, np.ndarray]) -> None:
    assert tensors.keys() == TENSORS.keys()
    for name, value in tensors.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, TENSORS[name])


def test_tensors_come_by_name_and_whole_numbers_are_passed_over(tmp_path: Path) -> None:
    check(read_tensors(write(tmp_path, INDEX, DATA)))
    check(read_tensors(write(tmp_path, INDEX, DATA, "model"), "model"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TensorFlowCheckpointError, match=r"cannot read the TensorFlow checkpoint in .*No such file"):
        read_tensors(tmp_path)
    (tmp_path / ".index").write_bytes(INDEX)
    with pytest.raises(TensorFlowCheckpointError, match="cannot read the TensorFlow checkpoint"):
        read_tensors(tmp_path)


@ANY_FILES
@given(st.integers(0, len(INDEX) - 1))
def test_an_index_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    with pytest.raises(TensorFlowCheckpointError, match="does not hold a whole TensorFlow checkpoint"):
        read_tensors(write(tmp_path, INDEX[:kept], DATA))


@ANY_FILES
@given(st.integers(0, len(DATA) - 9))
def test_data_that_are_cut_off_are_refused(tmp_path: Path, kept: int) -> None:
    with pytest.raises(TensorFlowCheckpointError, match="does not fit its shape or the file"):
        read_tensors(write(tmp_path, INDEX, DATA[:kept]))


@ANY_FILES
@given(st.lists(st.tuples(st.integers(0, len(INDEX) - 1), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_damaged_index_is_refused_or_read_rightly(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(INDEX)
    for position, change in flips:
        content[position] ^= change
    with suppress(TensorFlowCheckpointError):
        check(read_tensors(write(tmp_path, bytes(content), DATA)))


@ANY_FILES
@given(st.binary(max_size=200))
def test_a_block_of_anything_is_refused_or_read(tmp_path: Path, content: bytes) -> None:
    """With a right checksum, so that what is inside is looked at."""
    offset = len(sealed(content))
    of_blocks = block([(b"z", varint(0) + varint(len(content)))])
    footer = varint(0) + varint(0) + varint(offset) + varint(len(of_blocks))
    index = sealed(content) + sealed(of_blocks) + footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    with suppress(TensorFlowCheckpointError):
        assert all(value.nbytes <= len(DATA) for value in read_tensors(write(tmp_path, index, DATA)).values())


@ANY_FILES
@given(st.binary(max_size=60))
def test_an_entry_of_anything_is_refused_or_read(tmp_path: Path, message: bytes) -> None:
    with suppress(TensorFlowCheckpointError):
        read_tensors(write(tmp_path, table([[(b"a", message)]]), DATA))


@pytest.mark.parametrize(
    "shape",
    [(2**40,), (2**64 - 1,), (0, 2**63), (0, 2**66), (1,) * 100, (2**32, 2**32), (3, 2**64 - 4)],
)
@pytest.mark.parametrize("offset", [0, 4, 2**63, 2**69])
def test_impossible_shapes_and_offsets_are_refused(tmp_path: Path, shape: tuple[int, ...], offset: int) -> None:
    size = 0 if 0 in shape else 4
    if shape == (2**32, 2**32):
        size = 2**66
    with pytest.raises(TensorFlowCheckpointError):
        read_tensors(write(tmp_path, table([[(b"a", entry(1, shape, offset, size))]]), DATA))


def test_numbers_without_an_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TensorFlowCheckpointError, match="a number is too long"):
        read_tensors(write(tmp_path, table([[(b"a", b"\xff" * 40)]]), DATA))
    with pytest.raises(TensorFlowCheckpointError):
        read_tensors(write(tmp_path, table([[(b"a", b"\x08\xff")]]), DATA))


def test_a_compressed_index_is_refused(tmp_path: Path) -> None:
    index = table([[(b"a", entry(1, (3,), 0, 12))]], compression=1)
    with pytest.raises(TensorFlowCheckpointError, match="compressed"):
        read_tensors(write(tmp_path, index, DATA))
