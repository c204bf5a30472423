"""Damage to valid input: at the level of bytes, and of JSON or TOML values."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from typing import Any

_NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_LONG_NUMBERS = (*_NUMBERS, 1 << 32, 1 << 40, 1 << 48, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_FORMATS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")

FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-38, 1e30, -1e30, 3.4e38, float("nan"), float("inf"), float("-inf"), 2.0**31)
"""Samples and weights that arithmetic does not like."""

_TEXTS = ("\x00", "\x1b]0;a\x07", "\ud800", "ü" * 300, "../../etc/passwd", "/dev/zero", "nan", "a\nb", "\u202e")


def damage(chance: random.Random, content: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Change bytes in one to six places.

    Parameters
    ----------
    chance : Random
    content : bytes
        Valid input.
    others : sequence of bytes
        Other valid input, pieces of which may be put in.

    Returns
    -------
    bytes
    """
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        _change(chance, changed, others)
    return bytes(changed)


def _change(chance: random.Random, content: bytearray, others: Sequence[bytes]) -> None:
    size = len(content)
    # headers stand at the beginning, and break more than what follows them
    at = chance.randrange(min(size, 200) if chance.random() < 0.6 else size) if size else 0
    length = chance.choice((1, 1, 2, 4, 8, 16, 64, 1024))
    kind = chance.randrange(9)
    if kind <= 1 and size:
        content[at] ^= 1 << chance.randrange(8)
    elif kind == 2 and size:
        content[at] = chance.randrange(256)
    elif kind <= 4:
        layout = chance.choice(_FORMATS)
        width = struct.calcsize(layout)
        number = chance.choice(_LONG_NUMBERS) & ((1 << 8 * width) - 1)
        content[at : at + width] = struct.pack(layout, number)
    elif kind == 5:
        del content[at : at + length]
    elif kind == 6:
        content[at:at] = content[at : at + length]
    elif kind == 7:
        del content[at:]
    elif others:
        other = chance.choice(others)
        start = chance.randrange(len(other)) if other else 0
        content[at : at + length] = other[start : start + length]


def strange_value(chance: random.Random) -> Any:
    """Return a value that JSON or TOML can hold and that few would expect."""
    return chance.choice(
        (
            lambda: chance.choice((None, True, False, "", [], {}, -1, 0, 1, 2, 0.5, -0.0)),
            lambda: chance.choice(_LONG_NUMBERS) * chance.choice((1, -1)),
            lambda: 10 ** chance.randrange(1, 400),
            lambda: chance.choice((1e308, -1e308, 5e-324, 1e-30, 1e30, float("nan"), float("inf"))),
            lambda: chance.uniform(-2, 2),
            lambda: "".join(chr(chance.randrange(0x250)) for _ in range(chance.randrange(12))),
            lambda: chance.choice(_TEXTS),
            lambda: [strange_value(chance) for _ in range(chance.randrange(4))],
            lambda: {str(i): strange_value(chance) for i in range(chance.randrange(3))},
            lambda: _nested(chance.choice((2, 50, 400))),
        )
    )()


def is_modest_number(content: Any) -> bool:
    """Whether this is a number that one can go on calculating with."""
    return isinstance(content, (int, float)) and not isinstance(content, bool) and abs(content) < 1e15


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def change_value(chance: random.Random, content: Any) -> Any:
    """Return a JSON value in which something, somewhere, is another value, is missing or is there twice."""
    if isinstance(content, dict) and content and chance.random() < 0.9:
        changed = dict(content)
        name = chance.choice(list(changed))
        kind = chance.random()
        if kind < 0.1:
            del changed[name]
        elif kind < 0.15:
            changed[str(strange_value(chance))] = changed[name]
        else:
            changed[name] = change_value(chance, changed[name])
        return changed
    if isinstance(content, list) and content and chance.random() < 0.7:
        place = chance.randrange(len(content))
        kind = chance.random()
        if kind < 0.2:
            return content[:place] + content[place + 1 :]
        if kind < 0.4:
            return content + [content[place]] * chance.choice((1, 2, 100))
        return [*content[:place], change_value(chance, content[place]), *content[place + 1 :]]
    if is_modest_number(content) and chance.random() < 0.4:
        return content * chance.choice((-1, 0, 2, 3, 10, 1000, 0.5, 1.0)) + chance.choice((0, 1, -1))
    return strange_value(chance)
