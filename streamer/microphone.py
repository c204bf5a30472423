"""A sound card's input as a source, through a process of its own that is replaced when it hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from streamer.capture import ENDED, CaptureProcess, Message
from streamer.portaudio import AUDIO, FAILED, OPENED
from streamer.source import LONGEST_WAIT, Block, SourceError, validate_format

RING_DURATION = 10.0
"""Seconds of audio that wait at most, if this process is stopped or too slow; the oldest goes when it is full."""
OPENING_TIMEOUT = 20.0
"""Seconds that a sound system may take to list its devices, or to open one for the first time."""
HUNG_AFTER = 10.0
"""Seconds without a sign of life after which the capturing process is replaced; a new one gets `OPENING_TIMEOUT`. Long,
because a call that hangs goes on when the sound server does; this is for those that never will."""
RESTART_INTERVAL = 1.0
"""Seconds after which a capturing process that has ended is replaced."""


@dataclass(frozen=True)
class InputDevice:
    """A sound device that can be listened to.

    Attributes
    ----------
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
    index : int
        PortAudio's number; changes between starts.
    place : int
        How many devices of the same name and host API come before it.
    namesakes : int
        How many devices of that name and host API there are, itself included.
    """

    name: str
    host_api: str
    channels: int
    sample_rate: int
    default: bool
    index: int
    place: int = 0
    namesakes: int = 1


def input_devices(timeout: float = OPENING_TIMEOUT) -> list[InputDevice]:
    """List the devices that can be listened to now.

    Parameters
    ----------
    timeout : float
        Seconds that the sound system may take.

    Returns
    -------
    list of InputDevice

    Raises
    ------
    SourceError
        If PortAudio is not installed, or the sound system does not answer.
    """
    with CaptureProcess({}) as process:
        message = await_answer(process, "the list of input devices", timeout)
    return [InputDevice(**device) for device in json.loads(message.content)]


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
    return select_input_device(input_devices(), name)


def select_input_device(devices: Sequence[InputDevice], name: str | None = None) -> InputDevice:
    """Choose one of several devices.

    Parameters
    ----------
    devices : sequence of InputDevice
        From `input_devices`.
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

    When the device is lost it is waited for and opened again as it was, and what was missed counts as lost. No other
    device takes its place.

    Parameters
    ----------
    device : InputDevice or str, optional
        From `find_input_device`, or what that takes; the system's default input if not given.
    opening_timeout : float
        Seconds that it may take to be opened.

    Raises
    ------
    SourceError
        If there is no such device, or it cannot be opened.
    """

    live = True
    zeros_hint = "only exact zeros come from the device: is it muted, or is the permission to use it missing?"

    def __init__(self, device: InputDevice | str | None = None, opening_timeout: float = OPENING_TIMEOUT) -> None:
        device = device if isinstance(device, InputDevice) else find_input_device(device)
        self.device = device
        self.name = f'input device "{device.name}"'
        self.sample_rate = device.sample_rate
        self.channels = min(device.channels, 2)
        validate_format(self.name, self.sample_rate, self.channels)
        self._position = 0
        self._origin: float | None = None
        self._source: str | None = None
        self._trouble = ""
        self._closed = threading.Event()
        self._replacing = threading.Lock()
        self._process = self._start(again=False)
        try:
            self._source = await_answer(self._process, self.name, opening_timeout).content.decode() or None
        except BaseException:
            self._process.close()
            raise

    def __enter__(self) -> Microphone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def blocks(self) -> Iterator[Block]:
        """Yield what the device hears; while it is lost, empty blocks that say so."""
        waited = 0.0
        patience = HUNG_AFTER
        while not self._closed.is_set():
            message = self._process.receive(LONGEST_WAIT)
            if message is None:
                # counted, not measured: while this process itself was stopped, the other could not be heard
                waited += LONGEST_WAIT
                if waited >= patience:
                    self._trouble = f"{self.name} does not answer: the sound system hangs"
                    self._replace()
                    waited, patience = 0.0, OPENING_TIMEOUT
                yield self._nothing()
                continue
            waited, patience = 0.0, HUNG_AFTER
            if message.kind == AUDIO:
                self._trouble = ""
                yield self._block(message)
            elif message.kind == ENDED:
                self._trouble = f"{self.name} was lost: the process that listened to it has ended"
                yield self._nothing()
                self._closed.wait(RESTART_INTERVAL)
                self._replace()
                patience = OPENING_TIMEOUT
            elif message.kind != OPENED:
                text = message.content.decode()
                self._trouble = text and f"{self.name} {text}"
                yield self._nothing()

    def close(self) -> None:
        """Stop listening; `blocks` ends within `LONGEST_WAIT`."""
        self._closed.set()
        with self._replacing:
            self._process.close()

    def _start(self, again: bool) -> CaptureProcess:
        return CaptureProcess(
            {
                "name": self.device.name,
                "host_api": self.device.host_api,
                "place": self.device.place,
                "namesakes": self.device.namesakes,
                "sample_rate": self.sample_rate,
                "channels": self.channels,
                "ring_duration": RING_DURATION,
                "position": self._position,
                "origin": self._origin,
                "source": self._source,
                "again": again,
            }
        )

    def _replace(self) -> None:
        with self._replacing:
            if not self._closed.is_set():
                self._process.close()
                self._process = self._start(again=True)

    def _nothing(self) -> Block:
        return Block(np.zeros((0, self.channels), np.float32), trouble=self._trouble)

    def _block(self, message: Message) -> Block:
        samples = np.frombuffer(message.content, np.float32).reshape(-1, self.channels)
        self._position += message.lost + len(samples)
        self._origin = message.origin
        return Block(samples, message.lost, message.captured, message.origin)


def await_answer(process: CaptureProcess, wanted: str, timeout: float) -> Message:
    """Wait for a message that is neither a failure nor the end.

    Parameters
    ----------
    process : CaptureProcess
        Which has just been started.
    wanted : str
        What errors name.
    timeout : float
        Seconds.

    Returns
    -------
    Message

    Raises
    ------
    SourceError
        If there is none.
    """
    message = process.receive(timeout)
    if message is None:
        raise SourceError(f"{wanted} cannot be had: the sound system does not answer; restart the sound server")
    if message.kind == ENDED:
        raise SourceError(f"{wanted} cannot be had: the process that uses PortAudio has ended; is there enough memory?")
    if message.kind != FAILED:
        return message
    if message.content:
        raise SourceError(f"{wanted} {message.content.decode()}; is another program using it?")
    raise SourceError(
        "PortAudio is not installed, so no microphone can be opened; "
        "install it: apt-get install libportaudio2 (files and pipes work without it)"
    )
