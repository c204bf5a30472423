"""The Lab Streaming Layer bridge: one outlet with a channel for each number."""

from __future__ import annotations

import math

from pylsl import IRREGULAR_RATE, StreamInfo, StreamOutlet

from streamer.bridges.changes import Changes
from streamer.bridges.destinations import Name
from streamer.bridges.mapping import Mapping
from streamer.bridges.signals import Tint, Value

CONTENT_TYPE = "Emotion"


class LSLSender:
    """Offers an LSL stream of 32-bit floats at an irregular rate; the library stamps samples with its own clock.

    The outlet is made anew when a mapping has other channels: inlets that are to survive that recover by its source id.

    Parameters
    ----------
    name : str
        The LSL stream's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changes = Changes()
        self._labels: list[str] = []
        self._places: dict[Name, slice] = {}
        self._sample: list[float] = []
        self._outlet: StreamOutlet | None = None

    def set_up(self, mapping: Mapping) -> None:
        """Take the channels of a mapping."""
        self._changes.set_up(mapping)
        self._places = {}
        labels: list[str] = []
        for output in mapping.outputs:
            where = output.destination
            assert isinstance(where, Name)
            shape = output.shape
            parts = [f"{where.name}.{part}" for part in shape.layout] if isinstance(shape, Tint) else [where.name]
            self._places[where] = slice(len(labels), len(labels) + len(parts))
            labels += parts
        if labels != self._labels:
            self._labels = labels
            self._sample = [math.nan] * len(labels)
            self._outlet = self._open(labels)

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Push a sample on a new estimate, and when a number has changed."""
        changes = list(self._changes.of(values, fresh))
        for where, value in changes:
            assert not isinstance(value, str)
            self._sample[self._places[where]] = value
        if changes and self._outlet is not None:
            self._outlet.push_sample(self._sample)

    def close(self) -> None:
        """Withdraw the stream."""
        self._outlet = None

    def _open(self, labels: list[str]) -> StreamOutlet:
        info = StreamInfo(self._name, CONTENT_TYPE, len(labels), IRREGULAR_RATE, "float32", f"moodring {self._name}")
        channels = info.desc().append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("type", CONTENT_TYPE)
        return StreamOutlet(info)
