"""The sACN bridge: DMX universes as ANSI E1.31 packets, to one receiver or by multicast."""

from __future__ import annotations

import uuid

from sacn.messages.data_packet import DataPacket, calculate_multicast_addr

from streamer.bridges.datagrams import Datagrams
from streamer.bridges.dmx import Universes
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value

MULTICAST = "multicast"
PORT = 5568
"""ACN SDT multicast port (ANSI E1.31, 9.3)."""
LAST_PACKETS = 3
"""Packets that say that a universe has ended (ANSI E1.31, 6.2.6)."""
_SOURCE_NAME = "moodring"


class SACNSender:
    """Sends E1.31 data packets by UDP; the library makes them.

    Parameters
    ----------
    to : str
        HOST:PORT, or ``multicast`` for each universe's own group.
    priority : int
        From 0 to 200: the receiver takes the highest (ANSI E1.31, 6.2.3).

    Raises
    ------
    MoodringError
        If there is no such host.
    """

    def __init__(self, to: str, priority: int) -> None:
        self._priority = priority
        self._universes = Universes()
        self._packets: dict[int, DataPacket] = {}
        self._ways: dict[int, Datagrams] = {}
        self._identifier = tuple(uuid.uuid4().bytes)
        self._receiver = None if to == MULTICAST else Datagrams(to)

    def set_up(self, mapping: Mapping) -> None:
        """Take the universes of a mapping, and end those that are not in it any more."""
        for universe in self._universes.set_up(mapping):
            self._end(universe)
        for universe in sorted(self._universes.frames.keys() - self._packets.keys()):
            group = f"{calculate_multicast_addr(universe)}:{PORT}"
            self._ways[universe] = self._receiver or Datagrams(group)
            self._packets[universe] = DataPacket(self._identifier, _SOURCE_NAME, universe, priority=self._priority)

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send the universes that have changed on a new estimate, and all of them otherwise."""
        changed = self._universes.update(values)
        for universe in changed if fresh else self._universes.frames:
            self._packets[universe].dmxData = tuple(self._universes.frames[universe])
            self._send(universe)

    def close(self) -> None:
        """Say that all universes have ended, so that receivers need not wait for 2.5 s to notice."""
        for universe in list(self._packets):
            self._end(universe)
        if self._receiver is not None:
            self._receiver.close()

    def _send(self, universe: int) -> None:
        packet = self._packets[universe]
        self._ways[universe].send(bytes(packet.getBytes()))
        packet.sequence_increase()

    def _end(self, universe: int) -> None:
        self._packets[universe].option_StreamTerminated = True
        for _ in range(LAST_PACKETS):
            self._send(universe)
        way = self._ways.pop(universe)
        if way is not self._receiver:
            way.close()
        del self._packets[universe]
