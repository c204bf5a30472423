"""Messages of a hostile publisher."""

from __future__ import annotations

import json
import math
import random

from rich.console import Console

from scripts.benchmarks.fuzzing.mutations import change_value, damage
from streamer.messages import Estimate, MessageError, Mood, Status, decode, encode, to_json
from streamer.view import LiveView, plain_line

BETWEEN = b"\xff\xfe\xff"
"""Stands between the frames of a case; UTF-8 has no such bytes."""
_DRAWN = 50
"""Of so many accepted messages, one is followed by drawing the live view."""


class WireTarget:
    """`streamer.messages.decode`, and what `moodring watch` makes of the messages that it accepts."""

    name = "wire"

    def __init__(self) -> None:
        mood = Mood(0.1, -0.2)
        messages = [
            Estimate("mic1", 7, 1.7e9, 4.0, 0.25, -0.5, 0.1, 0.2, mood, "tracking", -20.0, 0.0, "default-3"),
            Estimate("a", 0, 1.7e9, 0.5, None, None, None, None, Mood(None, None), "silence", -200.0, 0.0, "m"),
            Status("mic1", 3, 1.7e9, "running", 0.0, ""),
            Status("b.c-d", 0, 1.7e9, "failed", 1.5, "the device has gone", 12),
        ]
        self._messages = [encode(message) for message in messages]
        self._valid = [BETWEEN.join(frames) for frames in self._messages]
        self._view = LiveView("tcp://127.0.0.1:5588")
        self._console = Console(width=100, height=30, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
        self._accepted = 0

    def make(self, chance: random.Random) -> bytes:
        """Return frames with `BETWEEN` between them."""
        topic, body = chance.choice(self._messages)
        if chance.random() < 0.5:
            fields = change_value(chance, json.loads(body))
            if isinstance(fields, dict) and isinstance(fields.get("stream"), str) and chance.random() < 0.7:
                topic = topic.split(b"/")[0] + b"/" + fields["stream"].encode(errors="replace") + b"/"
            encoded = json.dumps(fields, ensure_ascii=chance.random() < 0.8).encode(errors="surrogatepass")
            if chance.random() < 0.8:
                return topic + BETWEEN + encoded
            return damage(chance, topic + BETWEEN + encoded, self._valid)
        if chance.random() < 0.05:
            size = chance.choice((10, 1000, 65_000, 70_000))
            return topic + BETWEEN + chance.choice((b"[", b'{"a":', b"9", b" ", b'"', b"\x00", b"-")) * size
        return damage(chance, topic + BETWEEN + body, self._valid)

    def check(self, content: bytes) -> bool:
        """Decode a message; if it is accepted, look at its ranges, send it on and show it."""
        try:
            message = decode(content.split(BETWEEN))
        except MessageError:
            return False
        assert decode(encode(message)) is not None
        to_json(message)
        self._view.show(message)
        if isinstance(message, Estimate):
            for value in (message.valence, message.arousal, message.mood.valence, message.mood.arousal):
                assert value is None or -1 <= value <= 1
            for number in (message.time, message.position, message.loudness, message.lag):
                assert math.isfinite(number)
            plain_line(message)
        self._accepted += 1
        if self._accepted % _DRAWN == 0:
            self._console.print(self._view)
        return True
