"""The Art-Net bridge: DMX universes as ArtDmx packets, to one receiver or a broadcast address."""

from __future__ import annotations

from stupidArtnet import StupidArtnet

from streamer.bridges.datagrams import Datagrams
from streamer.bridges.destinations import DMX_CHANNELS
from streamer.bridges.dmx import Universes
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value


class ArtNetSender:
    """Sends ArtDmx packets (Art-Net 4) by UDP; the library makes their heads.

    It is not asked to send them: it prints errors, and its sequence stays 0, which means that there is none.

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
        self._universes = Universes()
        self._heads: dict[int, bytes] = {}

    def set_up(self, mapping: Mapping) -> None:
        """Take the universes of a mapping."""
        self._universes.set_up(mapping)
        self._heads = {}
        for universe in self._universes.frames:
            packets = StupidArtnet(universe=universe, packet_size=DMX_CHANNELS)
            packets.close()  # its socket; the bridge has its own
            self._heads[universe] = bytes(packets.packet_header)

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send the universes that have changed on a new estimate, and all of them otherwise."""
        changed = self._universes.update(values)
        for universe in sorted(changed) if fresh else self._universes.frames:
            self._datagrams.send(self._heads[universe] + self._universes.frames[universe])

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.close()
