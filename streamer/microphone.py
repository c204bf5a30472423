"""A sound card's input as a source (PortAudio through sounddevice)."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from model.features import FloatArray
from streamer.ring import RingBuffer
from streamer.source import LONGEST_WAIT, Block, SourceError, validate_format

RING_DURATION = 10.0
"""Seconds of audio that wait at most between the sound card and the framer."""
UNEVENNESS = 0.5
"""Seconds that blocks may come late before audio counts as lost; far more than sound servers' uneven delivery.
Where PortAudio itself reports an overflow, whatever is late counts as lost."""

CLOSING_TIMEOUT = 1.0
"""Seconds after which a device that does not close is abandoned."""


@dataclass(frozen=True)
class InputDevice:
    """A sound device that can be listened to.

    Attributes
    ----------
    index : int
        PortAudio's number; changes between starts.
    name : str
        What it is chosen by.
    host_api : str
        Through what PortAudio reaches it.
    channels : int
        Inputs.
    sample_rate : int
        Its own rate.
    default : bool
        Whether it is the system's default input.
    """

    index: int
    name: str
    host_api: str
    channels: int
    sample_rate: int
    default: bool


def input_devices() -> list[InputDevice]:
    """List the devices that can be listened to, as PortAudio found them when it was loaded.

    Returns
    -------
    list of InputDevice

    Raises
    ------
    SourceError
        If PortAudio is not installed.
    """
    sounddevice = _import_sounddevice()
    apis = [api["name"] for api in sounddevice.query_hostapis()]
    default = sounddevice.default.device[0]
    return [
        InputDevice(
            index=index,
            name=device["name"],
            host_api=apis[device["hostapi"]],
            channels=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
            default=index == default,
        )
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]


def find_input_device(name: str | None = None) -> InputDevice:
    """Choose a device.

    Parameters
    ----------
    name : str, optional
        Its name or a part of it that no other has, in any case; the system's default input if not given.

    Returns
    -------
    InputDevice

    Raises
    ------
    SourceError
        If there is no device at all, none of that name, or more than one.
    """
    devices = input_devices()
    if not devices:
        raise SourceError(
            "there is no input device; plug in a microphone or start the sound server, "
            'or track a file: "moodring stream FILE"'
        )
    if name is None:
        for device in devices:
            if device.default:
                return device
        raise SourceError('there is no default input device; choose one of "moodring devices" with --device')
    wanted = name.casefold()
    exact = [device for device in devices if device.name.casefold() == wanted]
    matching = exact or [device for device in devices if wanted in device.name.casefold()]
    if not matching:
        raise SourceError(f'no input device named "{name}"; see "moodring devices"')
    if len(matching) > 1:
        names = ", ".join(f'"{device.name}" ({device.host_api})' for device in matching)
        raise SourceError(f'"{name}" could be {names}; give more of the name')
    return matching[0]


class Microphone:
    """Listens to an input device at the device's own rate.

    Parameters
    ----------
    device : InputDevice
        From `find_input_device`.

    Attributes
    ----------
    overflows : int
        How often PortAudio said that it had thrown audio away itself.

    Raises
    ------
    SourceError
        If the device cannot be opened.
    """

    live = True
    zeros_hint = "only exact zeros come from the device: is it muted, or is the permission to use it missing?"

    def __init__(self, device: InputDevice) -> None:
        sounddevice = _import_sounddevice()
        self.device = device
        self.name = f'input device "{device.name}"'
        self.sample_rate = device.sample_rate
        self.channels = min(device.channels, 2)
        validate_format(self.name, self.sample_rate, self.channels)
        self.overflows = 0
        self._ring = RingBuffer(round(RING_DURATION * self.sample_rate), self.channels)
        self._captured = 0.0
        self._closed = threading.Event()
        self._finished = threading.Event()
        try:
            self._stream = sounddevice.InputStream(
                device=device.index,
                samplerate=self.sample_rate,
                channels=self.channels,
                dtype="float32",
                callback=self._callback,
                finished_callback=self._on_finished,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise SourceError(
                f"cannot open {self.name} at {self.sample_rate} Hz: {error.args[0]}; is another program using it?"
            ) from error

    def blocks(self) -> Iterator[Block]:
        """Yield what the device hears.

        Raises
        ------
        SourceError
            If the device goes away.
        """
        captured_before = 0.0
        overflows_before = 0
        while not self._closed.is_set():
            samples, lost = self._ring.read(LONGEST_WAIT)
            captured = self._captured
            if len(samples):
                if captured_before:
                    # a suspended device stops and goes on without a word, and so does its sample counter
                    missing = captured - captured_before - (lost + len(samples)) / self.sample_rate
                    tolerance = UNEVENNESS if self.overflows == overflows_before else 0.0
                    lost += round(missing * self.sample_rate) if missing > tolerance else 0
                captured_before, overflows_before = captured, self.overflows
                yield Block(samples, lost, captured)
                continue
            yield Block(samples)
            if self._finished.is_set() and not self._closed.is_set():
                raise SourceError(f'{self.name} went away; plug it in again and see "moodring devices"')

    def close(self) -> None:
        """Stop listening; `blocks` ends within `LONGEST_WAIT`."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._ring.wake()
        # a sound server that hangs would hold up this thread, and PortAudio's own clean-up at exit
        closing = threading.Thread(target=self._stream.close, name="close microphone", daemon=True)
        closing.start()
        closing.join(CLOSING_TIMEOUT)
        if closing.is_alive():
            atexit.unregister(_import_sounddevice()._exit_handler)

    def _callback(self, samples: FloatArray, frames: int, times: Any, flags: Any) -> None:
        self._ring.write(samples)
        self._captured = time.time()
        if flags.input_overflow:
            self.overflows += 1

    def _on_finished(self) -> None:
        self._finished.set()
        self._ring.wake()


def _import_sounddevice() -> ModuleType:
    try:
        import sounddevice
    except OSError as error:
        raise SourceError(
            "PortAudio is not installed, so no microphone can be opened; "
            "install it: apt-get install libportaudio2 (files and pipes work without it)"
        ) from error
    module: ModuleType = sounddevice
    return module
