"""Where values go: DMX channels, OSC addresses, MQTT topics, keys of JSON and LSL, MIDI; and how a mapping says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from streamer.bridges.midi_places import MIDIPlace, take_midi
from streamer.bridges.signals import Range
from streamer.service.tables import Table, boolean, text, whole_number

DMX_CHANNELS: Final = 512
"""Of a universe (ANSI E1.11)."""
_OSC_ADDRESS = re.compile(r"(/[^ #*,/?\[\]{}\x00-\x1f\x7f-\U0010ffff]+)+")
_LONGEST_TOPIC = 1000


@dataclass(frozen=True)
class Slots:
    """Channels of a DMX universe.

    Attributes
    ----------
    universe : int
        In the protocol's own counting: sACN from 1, Art-Net from 0.
    channel : int
        The first one, from 1 to 512.
    bits : {8, 16}
        16 are two channels for each part, the coarse one first.
    """

    universe: int
    channel: int
    bits: int
    glides = True

    def width(self, parts: int) -> int:
        """Return how many channels so many parts take."""
        return parts * self.bits // 8

    def describe(self, parts: int) -> str:
        """Say where it is."""
        last = self.channel + self.width(parts) - 1
        channels = f"channel {self.channel}" if last == self.channel else f"channels {self.channel}-{last}"
        return f"universe {self.universe}, {channels}" + (" (16 bit)" if self.bits == 16 else "")


@dataclass(frozen=True)
class Name:
    """An OSC address, an MQTT topic, a key of a JSON object, or the label of an LSL channel.

    Attributes
    ----------
    name : str
        Itself.
    retain : bool
        Whether an MQTT broker keeps the last value for those who come later.
    """

    name: str
    retain: bool = False
    glides = True

    def describe(self, parts: int) -> str:
        """Say where it is."""
        return self.name


Destination = Slots | Name | MIDIPlace
"""Where `glides` is true, values in between are sent as well."""


@dataclass(frozen=True)
class Kind:
    """What a bridge's protocol takes.

    Attributes
    ----------
    name : str
        The bridge's, as on the command line.
    package : str
        What has to be installed, and is installed by the extra of the bridge's name.
    to : str
        Where it sends if nothing is said; for LSL the stream's name, for MIDI that of the port that it offers.
    range : tuple of float or None
        What values run from and to if the mapping does not say so, and may not leave; None for the source's own range,
        which is no limit.
    rate : float
        Updates a second between estimates, if the mapping does not say so.
    takes_text : bool
        Whether texts can be sent.
    destination : callable
        Reads it from an output's table; None where it is not valid.
    """

    name: str
    package: str
    to: str
    range: Range | None
    rate: float
    takes_text: bool
    destination: Callable[[Table, str, int], Destination | None]


def _slots(lowest: int, highest: int) -> Callable[[Table, str, int], Destination | None]:
    def take(table: Table, name: str, parts: int) -> Slots | None:
        universe = table.take(
            "universe", whole_number(lowest, highest), f"a whole number from {lowest} to {highest}", lowest
        )
        bits = table.take("bits", _bits, "8 or 16", 8)
        valid = f"a whole number from 1 to {DMX_CHANNELS}, the first channel as the fixture's display shows it"
        table.require("channel", valid)
        channel = table.take("channel", whole_number(1, DMX_CHANNELS), valid, None)
        if channel is None:
            return None
        slots = Slots(universe, channel, bits)
        last = channel + slots.width(parts) - 1
        if last > DMX_CHANNELS:
            table.complain("channel", f"= {channel} needs channels up to {last}; a universe has {DMX_CHANNELS}")
            return None
        for each in range(channel, last + 1):
            table.claim("channel", f"universe {universe}, channel {each}")
        return slots

    return take


def _bits(value: Any) -> int:
    if isinstance(value, bool) or value not in (8, 16):
        raise ValueError
    return int(value)


def _address(table: Table, name: str, parts: int) -> Name | None:
    valid = 'an OSC address such as "/moodring/valence": parts after slashes, without spaces and without #*,?[]{}'
    table.require("address", valid)
    address = table.take("address", _osc_address, valid, None)
    if address is None:
        return None
    table.claim("address", address)
    return Name(address)


def _osc_address(value: Any) -> str:
    if not _OSC_ADDRESS.fullmatch(text(value)):
        raise ValueError
    return str(value)


def _topic(table: Table, name: str, parts: int) -> Name | None:
    valid = 'an MQTT topic such as "moodring/valence", without + and #'
    table.require("topic", valid)
    topic = table.take("topic", _mqtt_topic, valid, None)
    retain = table.take("retain", boolean, "true or false", True)
    if topic is None:
        return None
    table.claim("topic", topic)
    return Name(topic, retain)


def _mqtt_topic(value: Any) -> str:
    if any(character in text(value) for character in "+#") or value.startswith("$") or len(value) > _LONGEST_TOPIC:
        raise ValueError
    return str(value)


def _key(table: Table, name: str, parts: int) -> Name | None:
    key = table.take("key", text, "a text", name)
    table.claim("key", key)
    return Name(key)


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("osc", "python-osc", "127.0.0.1:9000", None, 0.0, True, _address),
        # ANSI E1.31, 6.2.7: universes 1 to 63999
        Kind("sacn", "sacn", "127.0.0.1:5568", (0.0, 255.0), 40.0, False, _slots(1, 63999)),
        # Art-Net 4: a 15-bit port address
        Kind("artnet", "stupidArtnet", "127.0.0.1:6454", (0.0, 255.0), 40.0, False, _slots(0, 32767)),
        Kind("mqtt", "paho-mqtt", "127.0.0.1:1883", None, 0.0, True, _topic),
        Kind("websocket", "websockets", "127.0.0.1:5590", None, 0.0, True, _key),
        Kind("midi", "mido and python-rtmidi", "moodring", (0.0, 127.0), 0.0, False, take_midi),
        Kind("lsl", "pylsl", "moodring", None, 0.0, False, _key),
    )
}
"""What the bridges take, by name."""
