"""Reads and writes the parts of protocol buffers (https://protobuf.dev/programming-guides/encoding/).

Nothing is copied, and how many parts a message may have is bounded: in memory, an empty part takes a hundred times what
it takes in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from model.regular_file import FileError

MOST_FIELDS = 1024
"""Parts of one node, tensor or property."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Field(NamedTuple):
    """A part of a message: its number, and what it holds, bytes or a whole number."""

    number: int
    content: memoryview
    value: int


def listed(encoded: Field) -> list[Field]:
    """Return the parts of a part that is a message."""
    return list(fields_of(encoded.content, MOST_FIELDS))


def fields_of(content: memoryview, most: int) -> Iterator[Field]:
    """Yield a message's parts.

    Raises
    ------
    FileError
        If there are more than `most`.
    IndexError, ValueError
        If it is truncated or something else.
    """
    place = count = 0
    while place < len(content):
        count += 1
        if count > most:
            raise FileError(f"has a part of more than {most} parts")
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(content, place)
            yield Field(number, content[:0], value)
            continue
        length = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire, 0)
        if wire == _BYTES:
            length, place = _varint(content, place)
        elif not length:
            raise ValueError("unknown wire type")
        if length < 0 or length > len(content) - place:
            raise ValueError("truncated")
        yield Field(number, content[place : place + length], 0)
        place += length


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for i in range(_LONGEST_VARINT):
        byte = content[place + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return (value - (1 << 64) if value >= 1 << 63 else value), place + i + 1
    raise ValueError("a number is too long")


def varints(content: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed list."""
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def decoded(field: Field) -> str:
    """Return a part's text."""
    return bytes(field.content).decode()


def text_of(fields: list[Field], number: int) -> str:
    """Return the text of the last part of that number; none is empty."""
    texts = [decoded(field) for field in fields if field.number == number]
    return texts[-1] if texts else ""


def number_of(fields: list[Field], number: int) -> int:
    """Return the whole number of the last part of that number; none is 0."""
    values = [field.value for field in fields if field.number == number]
    return values[-1] if values else 0


def _encoded_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def number_field(number: int, value: int) -> bytes:
    """Encode a part that is a whole number from 0 on."""
    return _encoded_varint(number << 3 | _VARINT) + _encoded_varint(value)


def bytes_field(number: int, content: bytes | memoryview) -> bytes:
    """Encode a part that is bytes, a text or a message."""
    return b"".join((_encoded_varint(number << 3 | _BYTES), _encoded_varint(len(content)), content))
