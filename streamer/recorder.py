"""Captures one device for as long as it takes, and opens it again whenever it is lost; runs in `streamer.portaudio`."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from streamer.portaudio import AUDIO, GONE, NOTE, Outlet, initialising, list_devices
from streamer.ring import RingBuffer
from streamer.sound_server import SoundServer
from streamer.timeline import Timeline

if TYPE_CHECKING:
    from model.features import FloatArray

CHUNK_DURATION = 0.1
"""Seconds of audio in a message at most: with what the operating system's pipe holds, the only audio that can be older
than what the ring holds."""
NOTE_INTERVAL = 0.25
"""Seconds between signs of life."""
SILENT_AFTER = 3.0
"""Seconds without audio after which an open device is opened again: some vanish without a word."""
RETRY_INTERVAL = 0.5
"""Seconds between attempts to open a device that was lost."""
WATCH_INTERVAL = 0.2
"""Seconds between looks at whether the sound server has moved us to another source, if it tells of no change."""
UNEVENNESS = 0.2
"""Seconds that audio may be late; more than sound servers' uneven delivery. A loss that is shorter goes unnoticed,
unless PortAudio itself reports it."""
SETTLING = 0.25
"""Seconds for which audio must have been late before as much counts as lost."""
PROGRESS = 0.05
"""Seconds by which lateness must fall within `SETTLING` where audio was kept for us, not lost."""


class DeviceError(Exception):
    """A device was lost, or cannot be opened; the text is what messages say after its name."""


class Capture:
    """Captures one device and sends what it hears, and opens it again whenever it is lost.

    Parameters
    ----------
    sounddevice : module
        The library, initialised.
    outlet : Outlet
        Where messages go.
    wanted : dict
        ``name``, ``host_api``, ``place``, ``namesakes``: which device; ``sample_rate``, ``channels``: how it is
        opened, each time alike; ``position``: samples per channel that the stream has had so far, lost ones included;
        ``origin``: the monotonic time of its position 0, or None before the first; ``source``: the source of the sound
        server that the device was before, or None.
    """

    def __init__(self, sounddevice: ModuleType, outlet: Outlet, wanted: dict[str, Any]) -> None:
        self._sounddevice = sounddevice
        self._outlet = outlet
        self._wanted = wanted
        self._rate: int = wanted["sample_rate"]
        self._chunk = max(1, round(CHUNK_DURATION * self._rate))
        self._ring = RingBuffer(round(wanted["ring_duration"] * self._rate), wanted["channels"])
        self._timeline = Timeline(UNEVENNESS, SETTLING, PROGRESS, wanted["origin"])
        self._server = SoundServer()
        self._watched = time.monotonic()
        self.source: str | None = None
        if wanted["source"]:
            self._stay_at(wanted["source"])
        self._stamp = (0, 0.0, 0.0)
        self._overflowed = False
        self._finished = threading.Event()
        self._observed = 0
        self._decided = True
        self._moved = False
        self._missing = 0
        self._unsent = 0

    def open(self) -> Any:
        """Open the device.

        Returns
        -------
        sounddevice.InputStream

        Raises
        ------
        DeviceError
            If it is not there, or cannot be opened.
        """
        identity = ("name", "host_api", "place", "namesakes")
        for device in list_devices(self._sounddevice):
            if all(device[field] == self._wanted[field] for field in identity):
                break
        else:
            raise DeviceError(GONE)
        self._finished.clear()
        self._server.close()
        stream = None
        try:
            stream = self._sounddevice.InputStream(
                device=device["index"],
                samplerate=self._rate,
                channels=self._wanted["channels"],
                dtype="float32",
                callback=self._hear,
                finished_callback=self._finished.set,
            )
            stream.start()
        except (self._sounddevice.PortAudioError, ValueError) as error:
            if stream is not None:
                stream.close()
            raise DeviceError(f"cannot be opened at {self._rate} Hz: {error.args[0]}") from error
        source = self._server.source()
        if self.source is None and source is not None:
            self._stay_at(source)
        if source != self.source:
            stream.close()
            raise DeviceError(GONE)
        self._watched = time.monotonic()
        return stream

    def run(self, stream: Any) -> NoReturn:
        """Send what the device hears, for ever.

        Parameters
        ----------
        stream : sounddevice.InputStream
            From `open`.
        """
        while True:
            self._send_until_lost()
            stream.close()
            stream = self.open_again()

    def open_again(self) -> Any:
        """Try to open the device until that succeeds.

        Returns
        -------
        sounddevice.InputStream
        """
        while True:
            try:
                with contextlib.suppress(self._sounddevice.PortAudioError):
                    self._sounddevice._terminate()
                # without this, devices that have come since would not be seen
                with initialising:
                    self._sounddevice._initialize()
                return self.open()
            except (DeviceError, self._sounddevice.PortAudioError) as error:
                self._outlet.send(NOTE, str(error.args[0]).encode())
                time.sleep(RETRY_INTERVAL)

    def _send_until_lost(self) -> None:
        silent = 0
        self._moved = False
        while not self._moved:
            finished = self._finished.is_set()
            _, lost = self._ring.read(NOTE_INTERVAL, most=0)
            self._unsent += lost
            if self._send_settled():
                silent = 0
            elif finished:
                break
            elif not self._decided:
                time.sleep(CHUNK_DURATION / 4)
            elif not self._was_moved():
                self._outlet.send(NOTE)
                # counted, not measured: if all of this was stopped for a while, nothing is wrong with the device
                silent += 1
                if silent * NOTE_INTERVAL >= SILENT_AFTER:
                    return
        # what is left is another device's, or may be
        samples, lost = self._ring.read(0)
        self._unsent += lost + len(samples)
        self._outlet.send(NOTE, GONE.encode())

    def _stay_at(self, source: str) -> None:
        self.source = source
        # where a device is what the server has as default, the server connects us to this instead
        os.environ["PULSE_SOURCE"] = source

    def _was_moved(self) -> bool:
        if self.source is None or not (self._server.changed() or time.monotonic() - self._watched > WATCH_INTERVAL):
            return False
        self._watched = time.monotonic()
        self._moved = self._server.source() not in (self.source, None)
        return self._moved

    def _send_settled(self) -> bool:
        """Send one chunk of what has come; False if nothing has, or it is not decided how much is missing before.

        Nor is anything sent unless the device was still the source after it was heard.
        """
        count, captured, arrived = self._stamp
        if count != self._observed:
            self._observed = count
            position = (self._wanted["position"] + count + self._missing) / self._rate
            missing = self._timeline.observe(position, arrived, self._overflowed)
            self._decided = missing is not None
            if missing is not None:
                self._overflowed = False
                self._missing += round(missing * self._rate)
                self._unsent += round(missing * self._rate)
        if not self._decided:
            return False
        if count == self._ring.consumed or self._was_moved():
            return False
        samples, lost = self._ring.read(0, min(self._chunk, count - self._ring.consumed))
        self._unsent += lost
        if not len(samples):
            return False
        captured -= (count - self._ring.consumed) / self._rate
        self._outlet.send(AUDIO, samples.tobytes(), self._unsent, captured, self._timeline.origin or 0.0)
        self._unsent = 0
        return True

    def _hear(self, samples: FloatArray, frames: int, times: Any, flags: Any) -> None:
        # before the samples, so that whoever sees them knows when they came
        self._stamp = (self._stamp[0] + frames, time.time(), time.monotonic())
        if flags.input_overflow:
            self._overflowed = True
        self._ring.write(samples)
