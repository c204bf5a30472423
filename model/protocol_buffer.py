"""Reads and writes the parts of protocol buffers (https://protobuf.dev/programming-guides/encoding/).

Nothing is copied, and how many parts a message may have is bounded: in memory, an empty part takes a hundred times what
it takes in a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from model.regular_file import FileError

MOST_FIELDS = 1024
"""Parts of one node, tensor or property."""

Fields = dict[int, list[memoryview | int]]
"""A message's parts by their numbers, those of a number in their order: bytes, or a whole number."""

_VARINT, _BYTES = 0, 2
_LENGTHS = {1: 8, 5: 4}
"""Bytes of the other kinds of part, by their wire types."""
_LONGEST_VARINT = 10


def fields_of(content: memoryview, most: int = MOST_FIELDS) -> Fields:
    """Return a message's parts.

    Raises
    ------
    FileError
        If there are more than `most`.
    IndexError, ValueError
        If it is truncated or something else.
    """
    fields: Fields = {}
    place, count, end = 0, 0, len(content)
    while place < end:
        count += 1
        if count > most:
            raise FileError(f"has a part of more than {most} parts")
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == _BYTES:
            length, place = _varint(content, place)
        elif wire == _VARINT:
            value, place = _varint(content, place)
            fields.setdefault(number, []).append(value)
            continue
        elif wire in _LENGTHS:
            length = _LENGTHS[wire]
        else:
            raise ValueError("unknown wire type")
        if not 0 <= length <= end - place:
            raise ValueError("truncated")
        fields.setdefault(number, []).append(content[place : place + length])
        place += length
    return fields


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = content[place]
    if value < 0x80:  # as nearly all are
        return value, place + 1
    value &= 0x7F
    for i in range(1, _LONGEST_VARINT):
        byte = content[place + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return (value - (1 << 64) if value >= 1 << 63 else value), place + i + 1
    raise ValueError("a number is too long")


def numbers_of(fields: Fields, number: int, most: int) -> list[int]:
    """Return the whole numbers of all parts of that number; of a part that is a packed list no more than `most`."""
    numbers: list[int] = []
    for part in fields.get(number, ()):
        numbers += [part] if isinstance(part, int) else islice(_varints(part), most)
    return numbers


def _varints(content: memoryview) -> Iterator[int]:
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def bytes_of(fields: Fields, number: int) -> list[memoryview]:
    """Return all parts of that number.

    Raises
    ------
    ValueError
        If one is a whole number.
    """
    contents = []
    for part in fields.get(number, ()):
        if isinstance(part, int):
            raise ValueError("a whole number where bytes belong")
        contents.append(part)
    return contents


def texts_of(fields: Fields, number: int) -> tuple[str, ...]:
    """Return all parts of that number as texts; a `ValueError` if one is none."""
    return tuple(str(part, "utf-8") for part in bytes_of(fields, number))


def text_of(fields: Fields, number: int) -> str:
    """Return the text of the last part of that number; none is empty."""
    return texts_of(fields, number)[-1] if number in fields else ""


def number_of(fields: Fields, number: int) -> int:
    """Return the last part of that number; none is 0, and a `ValueError` if it is no whole number."""
    value = fields[number][-1] if number in fields else 0
    if not isinstance(value, int):
        raise ValueError("bytes where a whole number belongs")
    return value


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
