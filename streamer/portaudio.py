"""The program that has PortAudio to itself: it lists the input devices, or captures one of them.

PortAudio sees the devices that were there when it was initialised, to initialise it again breaks every open stream of
its process, and its calls hang when a sound server does. So each microphone has a process of its own, which can do all
that without harm to others, and can be killed. `streamer.capture` starts it, and ends it by closing its standard input.

On its standard output are messages: a `HEADER`, and as many bytes as that says.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import threading
from types import ModuleType
from typing import Any, NoReturn

from streamer.sound_server import sources

HEADER = struct.Struct("<BIQdd")
"""Kind of message, bytes that follow, and of `AUDIO`: samples per channel that were lost before it, UTC of its end,
monotonic time of the stream's position 0."""
AUDIO = 1
"""Samples, float32, channels interleaved."""
NOTE = 2
"""Text: what is the matter with the device; empty if nothing is. Comes several times a second while no audio does,
unless PortAudio hangs."""
OPENED = 3
"""Text: the device has been opened; the source of the sound server that it is, empty if it is none."""
FAILED = 4
"""Text: the device cannot be opened, and the program ends; empty if PortAudio is not installed."""
DEVICES = 5
"""JSON: the input devices."""
OVERVIEW = 6
"""JSON: ``portaudio``, its version; ``devices``, the input devices; ``sources``, what `streamer.sound_server.sources`
gives."""
ENDING_TIMEOUT = 5.0
"""Seconds that initialising PortAudio may take when the program is to end. To break it off may leave a lock of JACK's
library taken (Debian's ALSA plug-ins try JACK), and all programs of this user that use PortAudio would wait for it."""
GONE = "went away"
"""What a `NOTE` says of a device that is not there."""

initialising = threading.Lock()
"""Held while PortAudio is being initialised."""


class Outlet:
    """Writes messages; for one thread."""

    def __init__(self) -> None:
        # what a library of the sound system prints must not come between the messages
        self._descriptor = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def send(self, kind: int, content: bytes = b"", lost: int = 0, captured: float = 0.0, origin: float = 0.0) -> None:
        """Write a message; waits while the reader does not read.

        Parameters
        ----------
        kind : int
            `AUDIO` or another of them.
        content : bytes
            What follows the header.
        lost, captured, origin
            See `HEADER`.
        """
        waiting = memoryview(HEADER.pack(kind, len(content), lost, captured, origin) + content)
        while waiting:
            waiting = waiting[os.write(self._descriptor, waiting) :]


def list_devices(sounddevice: ModuleType) -> list[dict[str, Any]]:
    """List the input devices as PortAudio found them when it was initialised.

    Parameters
    ----------
    sounddevice : module
        The library.

    Returns
    -------
    list of dict
        The fields of `streamer.microphone.InputDevice`.
    """
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    default = sounddevice.default.device[0]
    devices: list[dict[str, Any]] = []
    for index, device in enumerate(sounddevice.query_devices()):
        if device["max_input_channels"] > 0:
            name, host_api = device["name"], apis[device["hostapi"]]
            namesakes = [one for one in devices if (one["name"], one["host_api"]) == (name, host_api)]
            devices.append(
                {
                    "name": name,
                    "host_api": host_api,
                    "channels": device["max_input_channels"],
                    "sample_rate": round(device["default_samplerate"]),
                    "default": index == default,
                    "index": index,
                    "place": len(namesakes),
                }
            )
            for one in (*namesakes, devices[-1]):
                one["namesakes"] = len(namesakes) + 1
    return devices


def main(request: dict[str, Any]) -> NoReturn:
    """Do what was asked for, until standard input ends.

    Parameters
    ----------
    request : dict
        Empty to list the devices; ``{"overview": true}`` for an `OVERVIEW`; what `streamer.recorder.Capture` takes to
        capture one, and ``again``: whether it was open before, so that it is waited for.
    """
    # Ctrl-C and the like are for the process that started this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    outlet = Outlet()
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    try:
        _serve(request, outlet)
    except BrokenPipeError:
        pass
    except Exception as error:
        outlet.send(FAILED, f"cannot be used: {type(error).__name__}: {error}".encode())
    # not exit(): cleaning PortAudio up may hang
    os._exit(0)


def _serve(request: dict[str, Any], outlet: Outlet) -> None:
    try:
        with initialising:
            import sounddevice
    except OSError:
        outlet.send(FAILED)
        return
    if not request:
        outlet.send(DEVICES, json.dumps(list_devices(sounddevice)).encode())
        return
    if "overview" in request:
        overview = {
            "portaudio": sounddevice.get_portaudio_version()[1],
            "devices": list_devices(sounddevice),
            "sources": sources(),
        }
        outlet.send(OVERVIEW, json.dumps(overview).encode())
        return
    from streamer.recorder import Capture, DeviceError

    capture = Capture(sounddevice, outlet, request)
    try:
        stream = capture.open()
    except DeviceError as error:
        if not request["again"]:
            outlet.send(FAILED, str(error).encode())
            return
        outlet.send(NOTE, str(error).encode())
        stream = capture.open_again()
    outlet.send(OPENED, (capture.source or "").encode())
    capture.run(stream)


def _end_with_standard_input() -> NoReturn:
    os.read(0, 1)
    initialising.acquire(timeout=ENDING_TIMEOUT)
    os._exit(0)
