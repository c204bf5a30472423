"""The live path: sources, framing, tracking, publishing, subscribing, and the command line.

The way of the data: ``Source`` (`audio_file`, `pipe`, `microphone`) → blocks → ``Framer`` (`framer`) → frames →
``Tracker`` (`tracker`) → estimates → ``Publisher`` (`publisher`) → ZeroMQ → ``Subscriber`` (`subscriber`).

`messages` and `subscriber` need only pyzmq and the standard library. This package imports ``model``, never
``training``.

What other programs use is here by name, and is on one page with examples: API.md. A name is imported when it is first
asked for, so that each needs no more than its own module does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.errors import MoodringError
    from model.loading import load_model
    from streamer.api import track
    from streamer.circumplex import mood_word
    from streamer.keys import ClientKeys, ServerKeys
    from streamer.messages import Estimate, Mood, Status
    from streamer.microphone import InputDevice, Microphone, input_devices
    from streamer.publisher import Publisher
    from streamer.stream_tracker import StreamTracker
    from streamer.subscriber import PublisherSilent, Subscriber

__all__ = [
    "ClientKeys",
    "Estimate",
    "InputDevice",
    "Microphone",
    "Mood",
    "MoodringError",
    "Publisher",
    "PublisherSilent",
    "ServerKeys",
    "Status",
    "StreamTracker",
    "Subscriber",
    "input_devices",
    "load_model",
    "mood_word",
    "track",
]

_HOMES = {
    "ClientKeys": "streamer.keys",
    "Estimate": "streamer.messages",
    "InputDevice": "streamer.microphone",
    "Microphone": "streamer.microphone",
    "Mood": "streamer.messages",
    "MoodringError": "model.errors",
    "Publisher": "streamer.publisher",
    "PublisherSilent": "streamer.subscriber",
    "ServerKeys": "streamer.keys",
    "Status": "streamer.messages",
    "StreamTracker": "streamer.stream_tracker",
    "Subscriber": "streamer.subscriber",
    "input_devices": "streamer.microphone",
    "load_model": "model.loading",
    "mood_word": "streamer.circumplex",
    "track": "streamer.api",
}
"""In which module each public name is."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # so that the next time does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
