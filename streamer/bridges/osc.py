"""The OSC bridge: each output is an address, each value a message of its own in a datagram of its own."""

from __future__ import annotations

from pythonosc.osc_message_builder import OscMessageBuilder

from streamer.bridges.changes import Changes
from streamer.bridges.datagrams import Datagrams
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value


class OSCSender:
    """Sends OSC 1.0 messages by UDP: numbers as 32-bit floats, colours as several, texts as strings.

    Parameters
    ----------
    to : str
        HOST:PORT.

    Raises
    ------
    MoodringError
        If there is no such host.
    """

    def __init__(self, to: str) -> None:
        self._datagrams = Datagrams(to)
        self._changes = Changes()

    def set_up(self, mapping: Mapping) -> None:
        """Take the addresses of a mapping."""
        self._changes.set_up(mapping)

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send everything on a new estimate, and what has changed otherwise."""
        for name, value in self._changes.of(values, fresh):
            builder = OscMessageBuilder(name.name)
            if isinstance(value, str):
                builder.add_arg(value, "s")
            else:
                for part in value:
                    builder.add_arg(part, "f")
            self._datagrams.send(builder.build().dgram)

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.close()
