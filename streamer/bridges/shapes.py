"""Reads from an output's table what is to be made of its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from streamer.bridges.destinations import Kind
from streamer.bridges.palettes import Palette
from streamer.bridges.signals import (
    NUMBERS,
    POINTS,
    STATES,
    TEXTS,
    Level,
    Lookup,
    Range,
    Scale,
    Shape,
    Switch,
    Tint,
    Words,
)
from streamer.service.tables import Table, one_of, text

SOURCES: Final = (*NUMBERS, *POINTS, *STATES, *TEXTS)
GAMMA: Final = 2.2
"""The exponent of the curve ``gamma``, if the mapping does not say another: what displays and many dimmers have."""
LARGEST: Final = 1e6
"""Magnitude of the largest number in a mapping: as 32-bit floats, which OSC has, whole numbers stay exact."""
_LAYOUT_LETTERS: Final = "rgbwd"


def take_shape(table: Table, source: str, kind: Kind, palettes: Mapping[str, Palette]) -> Shape | None:
    """Read the keys that say what is sent of a source.

    Parameters
    ----------
    table : Table
        The output's.
    source : str
        One of `SOURCES`.
    kind : Kind
        The bridge's.
    palettes : mapping of str to Palette
        Those that the file may name.

    Returns
    -------
    Shape or None
        None where there can be none; what is wrong has been added to the findings.
    """
    if source in NUMBERS:
        return _of_number(table, source, kind)
    if source in POINTS:
        palette = table.take("palette", one_of(*palettes), " or ".join(palettes), "vivid")
        layout = table.take("layout", _layout, 'letters of "rgbwd", each once, such as "rgb", "rgbw" or "drgb"', "rgb")
        return Tint(palettes[palette], layout, _scale(table, kind, (0.0, 1.0)))
    if source in STATES:
        states = STATES[source]
        if "values" in table or not kind.takes_text:
            values = table.table("values")
            valid = f"a number for each state, such as {{ {states[1]} = 1 }}; states are {', '.join(states)}"
            table.require("values", valid)
            low, high = kind.range or (-LARGEST, LARGEST)
            numbers = {s: values.take(s, number(low, high), f"a number from {low:g} to {high:g}", None) for s in states}
            values.finish(f"the values of {source}")
            return Lookup({state: value for state, value in numbers.items() if value is not None})
        return Words()
    if not kind.takes_text:
        table.complain("source", f"is a text, which {kind.name} cannot send; give {', '.join((*NUMBERS, *POINTS))}")
        return None
    return Words()


def _of_number(table: Table, source: str, kind: Kind) -> Shape:
    own = NUMBERS[source].range
    valid = "a number, such as 0.5"
    on = table.take("on", number(-LARGEST, LARGEST), f"{valid}: on from there upwards", None)
    if "on" in table:
        off = table.take("off", number(-LARGEST, LARGEST), f"{valid}: off below there", on)
        if on is not None and off is not None and off > on:
            table.complain("off", f"= {off:g} is above on = {on:g}; give the same or less")
        return Switch(on or 0.0, off or 0.0, _to(table, kind, (0.0, 1.0)))
    from_range = table.take("from", _ascending, "two numbers, the smaller first, such as [-0.5, 0.5]", own)
    return Level(from_range, _scale(table, kind, own))


def _scale(table: Table, kind: Kind, own: Range) -> Scale:
    curve = table.take("curve", one_of("linear", "gamma"), "linear or gamma", "linear")
    gamma = table.take("gamma", number(0.1, 10), "a number from 0.1 to 10, such as 2.2", GAMMA)
    if "gamma" in table and curve != "gamma":
        table.complain("gamma", 'is for another curve; give curve = "gamma", too')
    return Scale(_to(table, kind, own), gamma if curve == "gamma" else 1.0)


def _to(table: Table, kind: Kind, own: Range) -> Range:
    low, high = kind.range or (-LARGEST, LARGEST)
    return table.take("to", number_pair(low, high), f"two numbers from {low:g} to {high:g}", kind.range or own)


def number(low: float, high: float) -> Callable[[Any], float]:
    """Accept numbers in a range, both ends included."""

    def accept(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError
        if math.isinf(value):
            raise ValueError
        return float(value)

    return accept


def number_pair(low: float, high: float) -> Callable[[Any], Range]:
    """Accept two numbers in a range, in any order."""
    accept_number = number(low, high)

    def accept(value: Any) -> Range:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError
        return accept_number(value[0]), accept_number(value[1])

    return accept


def _ascending(value: Any) -> Range:
    low, high = number_pair(-LARGEST, LARGEST)(value)
    if low >= high:
        raise ValueError("the first is not the smaller one")
    return low, high


def _layout(value: Any) -> str:
    letters = text(value)
    if not set(letters) <= set(_LAYOUT_LETTERS) or len(set(letters)) != len(letters):
        raise ValueError
    return letters
