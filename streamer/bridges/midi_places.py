"""Where values go in MIDI: controllers, notes and programs of a channel, and how a mapping says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streamer.service.tables import Table, whole_number

CHANNELS: Final = 16
HIGHEST: Final = 127
"""The highest number of a controller, a note, a program or a velocity (MIDI 1.0, table I)."""
HIGHEST_CONTROL: Final = 119
"""Controllers above are channel mode messages, such as "all notes off" (MIDI 1.0, table IIIa)."""
FINE: Final = 32
"""How far the controller of the low 7 bits lies above that of the high 7 bits (MIDI 1.0, table III)."""


@dataclass(frozen=True)
class Control:
    """A controller for each part of a value: one number after the other.

    Attributes
    ----------
    channel : int
        From 1 to 16.
    control : int
        The first one, from 0 to 119.
    bits : {7, 14}
        14 are two controllers for each part, the fine one `FINE` above.
    """

    channel: int
    control: int
    bits: int
    glides = True

    def describe(self, parts: int) -> str:
        """Say where it is."""
        last = self.control + parts - 1
        controls = f"control {self.control}" if parts == 1 else f"controls {self.control}-{last}"
        return f"channel {self.channel}, {controls}" + (f" (14 bit, fine {FINE} above)" if self.bits == 14 else "")


@dataclass(frozen=True)
class Note:
    """A note: the value is its velocity, and 0 ends it.

    Attributes
    ----------
    channel : int
        From 1 to 16.
    note : int
        From 0 to 127; 60 is the middle C.
    """

    channel: int
    note: int
    glides = False

    def describe(self, parts: int) -> str:
        """Say where it is."""
        return f"channel {self.channel}, note {self.note}"


@dataclass(frozen=True)
class Program:
    """The program of a channel: the value is its number.

    Attributes
    ----------
    channel : int
        From 1 to 16.
    """

    channel: int
    glides = False

    def describe(self, parts: int) -> str:
        """Say where it is."""
        return f"channel {self.channel}, program"


MIDIPlace = Control | Note | Program
_WAYS: Final = ("control", "note", "program")


def take_midi(table: Table, name: str, parts: int) -> MIDIPlace | None:
    """Read from an output's table where it goes.

    Parameters
    ----------
    table : Table
        The output's.
    name : str
        What the mapping calls it.
    parts : int
        How many numbers its values have.

    Returns
    -------
    Control, Note, Program or None
        None where it is not valid; what is wrong has been added to the findings.
    """
    channel = table.take("channel", whole_number(1, CHANNELS), f"a whole number from 1 to {CHANNELS}", 1)
    valid = f"a whole number from 0 to {HIGHEST_CONTROL}"
    control = table.take("control", whole_number(0, HIGHEST_CONTROL), valid, None)
    bits = table.take("bits", _bits, "7 or 14", 7)
    note = table.take("note", whole_number(0, HIGHEST), f"a whole number from 0 to {HIGHEST}", None)
    program = table.take("program", _true, "true, or leave it out", None)
    given = [way for way in _WAYS if way in table]
    if not given:
        table.complain("control", f"is missing; give control = 0 to {HIGHEST_CONTROL}, or note, or program = true")
    elif len(given) > 1:
        table.complain("", f"has {' and '.join(given)}; give one of them")
    elif given == ["control"]:
        return None if control is None else _control(table, channel, control, bits, parts)
    elif _steps(table, given[0]) and (program or note is not None):
        table.claim(given[0], f"channel {channel}, {given[0]}" + ("" if program else f" {note}"))
        return Program(channel) if note is None else Note(channel, note)
    return None


def _control(table: Table, channel: int, control: int, bits: int, parts: int) -> Control | None:
    highest = HIGHEST_CONTROL if bits == 7 else FINE - 1
    last = control + parts - 1
    if last > highest:
        controls = f"controls up to {last}" if parts > 1 else f"control {last}"
        table.complain("control", f"= {control} needs {controls}; with {bits} bits there are 0 to {highest}")
        return None
    for each in range(control, last + 1):
        for used in (each, each + FINE) if bits == 14 else (each,):
            table.claim("control", f"channel {channel}, control {used}")
    return Control(channel, control, bits)


def _steps(table: Table, way: str) -> bool:
    """Tell whether the value comes in steps, and complain if not: a note that glides would be struck all the time."""
    if "on" not in table and "values" not in table:
        table.complain(way, "is for values that come in steps; give on (and off), or a state with values")
        return False
    for key in ("attack", "release"):
        if key in table:
            table.complain(key, f"is for control; a {way} has no values in between")
    return True


def _bits(value: Any) -> int:
    if isinstance(value, bool) or value not in (7, 14):
        raise ValueError
    return int(value)


def _true(value: Any) -> bool:
    if value is not True:
        raise ValueError
    return True
