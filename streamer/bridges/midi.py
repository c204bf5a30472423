"""The MIDI bridge: each output is a controller, a note or a program."""

from __future__ import annotations

from mido import Message

from streamer.bridges.mapping import Mapping
from streamer.bridges.midi_places import FINE, HIGHEST, Control, MIDIPlace, Note, Program
from streamer.bridges.midi_port import OutputPort
from streamer.bridges.signals import Value

_SEVEN = 0x7F


class MIDISender:
    """Sends MIDI 1.0 channel messages.

    Controllers are sent on every estimate, so that who has connected late knows them, and between estimates when they
    have changed; notes and programs only when they have changed, as they do something each time. A note that sounds is
    ended before it is struck with another velocity, and when the bridge ends.

    Parameters
    ----------
    port : OutputPort
        Where they go; it is closed with the sender.
    """

    def __init__(self, port: OutputPort) -> None:
        self._port = port
        self._places: dict[str, MIDIPlace] = {}
        self._sent: dict[MIDIPlace, tuple[int, ...]] = {}

    def set_up(self, mapping: Mapping) -> None:
        """Take the controllers, notes and programs of a mapping, and end the notes that are not in it any more."""
        places = {o.name: o.destination for o in mapping.outputs}
        self._places = {n: p for n, p in places.items() if isinstance(p, (Control, Note, Program))}
        gone = self._sent.keys() - set(self._places.values())
        self._port.send([*(m.bytes() for place in gone for m in self._end(place))])
        for place in gone:
            del self._sent[place]

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send what is to be sent."""
        if not fresh and self._port.look():
            self._sent = {}  # a device that was away knows nothing
        messages: list[list[int]] = []
        for name, value in values.items():
            assert not isinstance(value, str)
            place = self._places[name]
            steps = 1 << place.bits if isinstance(place, Control) else HIGHEST + 1
            numbers = tuple(min(steps - 1, max(0, round(part / HIGHEST * (steps - 1)))) for part in value)
            before = self._sent.get(place)
            if numbers != before or (fresh and isinstance(place, Control)):
                self._sent[place] = numbers
                messages += [message.bytes() for message in _messages(place, numbers, before)]
        self._port.send(messages)

    def close(self) -> None:
        """End the notes that sound, and close the port."""
        self._port.send([*(m.bytes() for place in self._sent for m in self._end(place))])
        self._port.close()

    def _end(self, place: MIDIPlace) -> list[Message]:
        return _messages(place, (0,), self._sent[place]) if isinstance(place, Note) else []


def _messages(place: MIDIPlace, numbers: tuple[int, ...], before: tuple[int, ...] | None) -> list[Message]:
    channel = place.channel - 1
    if isinstance(place, Program):
        return [Message("program_change", channel=channel, program=numbers[0])]
    if isinstance(place, Note):
        strike = [Message("note_on", channel=channel, note=place.note, velocity=numbers[0])] if numbers[0] else []
        sounds = before is not None and before[0] > 0
        return [Message("note_off", channel=channel, note=place.note)] * sounds + strike
    messages: list[Message] = []
    for control, number in enumerate(numbers, place.control):
        # the high part first: receivers set the low one to 0 when it comes (MIDI 1.0, table III, note 1)
        parts = {control: number} if place.bits == 7 else {control: number >> 7, control + FINE: number & _SEVEN}
        messages += [
            Message("control_change", channel=channel, control=each, value=part) for each, part in parts.items()
        ]
    return messages
