"""Reads the tensors of a TensorFlow checkpoint ("tensor bundle", version 2) without TensorFlow.

A bundle is an index, ``PREFIX.index``, and data, ``PREFIX.data-00000-of-00001``. The index is a table in LevelDB's
format (sorted string table: blocks of prefix-compressed keys, and a footer that says where the block of blocks is)
whose values are protocol buffers: for each tensor its type, shape, offset and size in the data. Sources: LevelDB's
doc/table_format.md; TensorFlow's tensor_bundle.proto. Nothing in the files is executed; every length is checked
against the file before it is used, and the index against its checksums: a wrong offset would give wrong weights.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.errors import MoodringError
from model.features import FloatArray

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_BLOCK_TRAILER_BYTES = 5
_UNCOMPRESSED = 0
_CASTAGNOLI = 0x82F63B78
_CHECKSUM_MASK = 0xA282EAD8
_DT_FLOAT = 1
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_MOST_INDEX_BYTES = 1 << 18
"""Of a longer index the checksums alone would take seconds; musicnn's has 6 KB."""
_MOST_DATA_BYTES = 1 << 28
_LONGEST_NAME = 1000
"""Characters of a variable's name. Keys share their beginnings, so that without a bound those of a small index could
take memory that grows with the square of its size."""


class TensorFlowCheckpointError(MoodringError):
    """Files are not a TensorFlow checkpoint that this reader understands."""


@dataclass(frozen=True)
class _Entry:
    dtype: int
    shape: tuple[int, ...]
    offset: int
    size: int


def read_tensors(folder: Path, prefix: str = "") -> dict[str, FloatArray]:
    """Read all 32-bit floating-point tensors of a checkpoint in one shard.

    Parameters
    ----------
    folder : Path
        Where the files are.
    prefix : str
        Their common beginning; musicnn's is empty.

    Returns
    -------
    dict of ndarray of float32
        By the names of the variables; tensors of other types are passed over.

    Raises
    ------
    TensorFlowCheckpointError
        If a file is missing, truncated or not what it should be.
    """
    try:
        index = _read(folder / f"{prefix}.index", _MOST_INDEX_BYTES)
        data = _read(folder / f"{prefix}.data-00000-of-00001", _MOST_DATA_BYTES)
    except OSError as error:
        raise TensorFlowCheckpointError(
            f'cannot read the TensorFlow checkpoint in "{folder}": {error.strerror or error}'
        ) from error
    try:
        entries = {key.decode(): _parse_entry(value) for key, value in _table(index) if key}
        return _tensors(data, {name: entry for name, entry in entries.items() if entry.dtype == _DT_FLOAT})
    except (IndexError, OverflowError, ValueError, struct.error) as error:
        raise TensorFlowCheckpointError(f'"{folder}" does not hold a whole TensorFlow checkpoint: {error}') from error


def _read(path: Path, most_bytes: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise TensorFlowCheckpointError(f'"{path}" has more than {most_bytes} bytes')
    return content


def _tensors(data: bytes, entries: Mapping[str, _Entry]) -> dict[str, FloatArray]:
    tensors = {}
    unclaimed = len(data)
    for name, entry in entries.items():
        tensors[name] = _tensor(data, entry)
        unclaimed -= entry.size
        if unclaimed < 0:
            raise ValueError("its tensors overlap")
    return tensors


def _tensor(data: bytes, entry: _Entry) -> FloatArray:
    count = math.prod(entry.shape)
    if entry.size != 4 * count or entry.offset + entry.size > len(data):
        raise ValueError("a tensor's size does not fit its shape or the file")
    flat = np.frombuffer(data, dtype="<f4", count=count, offset=entry.offset)
    return flat.reshape(entry.shape).astype(np.float32)


def _table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(content) < _FOOTER_BYTES or struct.unpack_from("<Q", content, len(content) - 8)[0] != _MAGIC:
        raise ValueError("its index has no table footer")
    footer = content[-_FOOTER_BYTES:]
    at = _skip_handle(footer, 0)  # of the metaindex block, which is empty
    blocks = [_parse_handle(handle, 0) for _, handle in _block(content, *_parse_handle(footer, at))]
    if sum(size + _BLOCK_TRAILER_BYTES for _, size in blocks) > len(content):
        raise ValueError("its blocks overlap")
    for offset, size in blocks:
        yield from _block(content, offset, size)


def _parse_handle(content: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(content, at)
    size, _ = _varint(content, at)
    return offset, size


def _skip_handle(content: bytes, at: int) -> int:
    for _ in range(2):
        _, at = _varint(content, at)
    return at


def _block(content: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if offset + size + _BLOCK_TRAILER_BYTES > len(content):
        raise ValueError("a block reaches past the end of the index")
    if content[offset + size] != _UNCOMPRESSED:
        raise ValueError("its index is compressed")
    if struct.unpack_from("<I", content, offset + size + 1)[0] != _masked_checksum(content[offset : offset + size + 1]):
        raise ValueError("its index is damaged")
    block = content[offset : offset + size]
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    end = size - 4 * (restarts + 1)
    key = b""
    at = 0
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        if at + unshared + length > end:
            raise ValueError("an entry reaches past the end of its block")
        key = key[:shared] + block[at : at + unshared]
        if len(key) > _LONGEST_NAME:
            raise ValueError("a name is too long")
        at += unshared
        yield key, block[at : at + length]
        at += length


def _masked_checksum(content: bytes) -> int:
    """CRC-32C, rotated and shifted as LevelDB keeps it."""
    checksum = 0xFFFFFFFF
    for byte in content:
        checksum = (checksum >> 8) ^ _CHECKSUM_TABLE[(checksum ^ byte) & 0xFF]
    checksum ^= 0xFFFFFFFF
    return ((checksum >> 15 | checksum << 17) + _CHECKSUM_MASK) & 0xFFFFFFFF


def _checksum_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_CASTAGNOLI if byte & 1 else 0)
    return byte


_CHECKSUM_TABLE = [_checksum_of_byte(byte) for byte in range(256)]


def _parse_entry(message: bytes) -> _Entry:
    dtype, offset, size = 0, 0, 0
    shape: tuple[int, ...] = ()
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            dtype = value
        elif field == 2 and isinstance(value, bytes):
            shape = tuple(_dimension(dimension) for number, dimension in _fields(value) if number == 2)
        elif field == 4 and isinstance(value, int):
            offset = value
        elif field == 5 and isinstance(value, int):
            size = value
    return _Entry(dtype, shape, offset, size)


def _dimension(message: int | bytes) -> int:
    sizes = [value for field, value in _fields(message) if field == 1] if isinstance(message, bytes) else []
    if len(sizes) > 1 or any(not isinstance(size, int) for size in sizes):
        raise ValueError("a tensor's shape is malformed")
    # protocol buffers leave out zeros
    return int(sizes[0]) if sizes else 0


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _LENGTH_DELIMITED:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("its index has a field of an unknown kind")
        if at + length > len(message):
            raise ValueError("a field reaches past the end of its message")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
