"""How loud it is at an input device, and how that is shown."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from model.features import SILENCE_DBFS, FloatArray, loudness
from streamer.microphone import InputDevice, Microphone
from streamer.source import SourceError

LISTENING = 1.0
"""Seconds of audio that a level is of."""
SETTLING = 0.25
"""Seconds of audio before that, in which an input that has just been opened may click, and resamplers ring."""
OPENING_TIMEOUT = 8.0
"""Seconds that a device may take to be opened."""
FIRST_AUDIO_TIMEOUT = 3.0
"""Seconds beyond that in which an open device has to deliver that much."""
_METER_RANGE = (-72.0, 0.0)
"""dBFS from one end of the bar to the other; a little more than what is taken for music."""
_METER_LENGTH = 24


@dataclass(frozen=True)
class Level:
    """How loud about a second was.

    Attributes
    ----------
    peak, rms : float
        dBFS; -200 for exact zeros. Of channels, `peak` is the loudest one's.
    zeros : bool
        Whether every sample was exactly zero.
    """

    peak: float
    rms: float
    zeros: bool

    def meter(self) -> str:
        """Draw a bar: ``#`` up to the root-mean-square level, ``|`` at the peak."""
        low, high = _METER_RANGE

        def place(level: float) -> int:
            return round(_METER_LENGTH * (min(max(level, low), high) - low) / (high - low))

        bar = ("#" * place(self.rms)).ljust(_METER_LENGTH, "-")
        peak = place(self.peak)
        return f"[{bar[: peak - 1]}|{bar[peak:]}]" if peak else f"[{bar}]"


def level_of(samples: FloatArray) -> Level:
    """Measure samples.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, channels)
        Full scale at ±1; what is not finite counts as zero.

    Returns
    -------
    Level
    """
    finite = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(np.abs(finite).max(initial=0.0))
    peak = 20 * float(np.log10(largest)) if largest else SILENCE_DBFS
    rms = float(loudness(finite.reshape(1, -1))[0]) if finite.size else SILENCE_DBFS
    return Level(round(peak, 1), round(rms, 1), largest == 0.0)


def listen_to(device: InputDevice) -> Level:
    """Open a device for about a second.

    Parameters
    ----------
    device : InputDevice
        From `streamer.microphone.input_devices`.

    Returns
    -------
    Level

    Raises
    ------
    SourceError
        If it cannot be opened in time, or delivers no audio.
    """
    blocks: list[FloatArray] = []
    with Microphone(device, OPENING_TIMEOUT) as microphone:
        settled = round(SETTLING * microphone.sample_rate)
        wanted = settled + round(LISTENING * microphone.sample_rate)
        deadline = time.monotonic() + SETTLING + LISTENING + FIRST_AUDIO_TIMEOUT
        trouble = ""
        for block in microphone.blocks():
            blocks.append(block.samples)
            wanted -= len(block.samples)
            trouble = block.trouble or trouble
            if wanted <= 0 or time.monotonic() > deadline:
                break
    samples = np.concatenate(blocks)[settled:]
    if not len(samples):
        raise SourceError(trouble or f"{microphone.name} is open, but delivers no audio")
    return level_of(samples)
