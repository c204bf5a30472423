"""DMX universes: the values of a mapping as the bytes of channels."""

from __future__ import annotations

from streamer.bridges.destinations import DMX_CHANNELS, Slots
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Value

FULL = 255.0
"""The highest value of a channel; 16 bits divide the same range more finely."""


class Universes:
    """The channels of all universes that a mapping uses, and which of them have changed.

    Attributes
    ----------
    frames : dict of int to bytes
        512 channels of each universe.
    """

    def __init__(self) -> None:
        self.frames: dict[int, bytes] = {}
        self._slots: dict[str, Slots] = {}

    def set_up(self, mapping: Mapping) -> set[int]:
        """Take the channels of a mapping.

        Parameters
        ----------
        mapping : Mapping
            For a protocol of DMX channels.

        Returns
        -------
        set of int
            Universes that are not used any more.
        """
        self._slots = {o.name: o.destination for o in mapping.outputs if isinstance(o.destination, Slots)}
        used = {slots.universe for slots in self._slots.values()}
        gone = self.frames.keys() - used
        self.frames = {universe: self.frames.get(universe, bytes(DMX_CHANNELS)) for universe in sorted(used)}
        return gone

    def update(self, values: dict[str, Value]) -> set[int]:
        """Write values into the channels.

        Parameters
        ----------
        values : dict of str to Value
            By the output's name; channels of outputs that are not there are 0.

        Returns
        -------
        set of int
            The universes of which a channel has changed.
        """
        frames = {universe: bytearray(DMX_CHANNELS) for universe in self.frames}
        for name, value in values.items():
            slots = self._slots[name]
            assert not isinstance(value, str)
            channels = b"".join(_bytes(part, slots.bits) for part in value)
            frames[slots.universe][slots.channel - 1 : slots.channel - 1 + len(channels)] = channels
        changed = {universe for universe, frame in frames.items() if frame != self.frames[universe]}
        self.frames = {universe: bytes(frame) for universe, frame in frames.items()}
        return changed


def _bytes(part: float, bits: int) -> bytes:
    highest = (1 << bits) - 1
    return min(highest, max(0, round(part / FULL * highest))).to_bytes(bits // 8, "big")
