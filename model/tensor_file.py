"""Reads safetensors files that anybody may have written: every size is bounded before memory is taken for it.

A file is a little-endian length of 8 bytes, a JSON header of that length, and the tensors' bytes one after the other
(https://github.com/huggingface/safetensors, "Format"). It is read, not mapped into memory: of a mapped file that
somebody else cuts off meanwhile, the next access kills the process.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from model.regular_file import FileError, open_regular, size_of

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TensorFile:
    """What a file holds.

    Attributes
    ----------
    metadata : dict of str to str
        Of its header; empty if it has none.
    tensors : dict of str to Tensor
        By name.
    """

    metadata: dict[str, str]
    tensors: dict[str, Tensor]


def read_tensor_file(path: Path, most_bytes: int, most_header_bytes: int) -> TensorFile:
    """Read a file whole.

    Parameters
    ----------
    path : Path
    most_bytes : int
        A larger file is refused unread.
    most_header_bytes : int
        A longer header is refused unparsed: of JSON, a byte can take twenty bytes of memory.

    Returns
    -------
    TensorFile

    Raises
    ------
    OSError
        If it cannot be read.
    FileError
        If it is no regular file, too large, truncated or no safetensors file.
    """
    with open_regular(path) as file:
        size = size_of(file, most_bytes)
        header = _read_header(file, size, most_header_bytes)
        file.seek(0)
        content = file.read(size)
    metadata = _metadata(header, size)
    try:
        return TensorFile(metadata, load(content))
    except (SafetensorError, AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise FileError("is truncated or not a safetensors file") from error


def read_metadata(path: Path, most_header_bytes: int) -> dict[str, str]:
    """Read the metadata alone, of a file that is as long as its header says; otherwise as `read_tensor_file` does."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        return _metadata(_read_header(file, size, most_header_bytes), size)


def _read_header(file: BinaryIO, size: int, most_header_bytes: int) -> bytes:
    start = file.read(_LENGTH_BYTES)
    length = struct.unpack("<Q", start)[0] if len(start) == _LENGTH_BYTES else size
    if length > size - _LENGTH_BYTES:
        raise FileError("is truncated or not a safetensors file")
    if length > most_header_bytes:
        raise FileError(f"has a header of {length} bytes; at most {most_header_bytes} are allowed")
    return file.read(length)


def _metadata(header: bytes, size: int) -> dict[str, str]:
    try:
        fields = dict(json.loads(header.decode()))
        metadata = dict(fields.pop("__metadata__", {}))
        ends = [field["data_offsets"][1] for field in fields.values()]
        whole = max(ends, default=0) == size - _LENGTH_BYTES - len(header)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileError("is truncated or not a safetensors file") from error
    if not whole or not all(isinstance(text, str) for text in metadata.values()):
        raise FileError("is truncated or not a safetensors file")
    return metadata
