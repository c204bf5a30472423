"""Music as a microphone in a room hears it: a loudspeaker, the room, noise, the microphone and its gain.

The room is pyroomacoustics' image source model of a box with walls of one absorption and with the air's own; image
sources are moved by up to 8 cm, as bare images make a sweeping echo that no real room has. Loudspeaker and microphone
hear and radiate alike in all directions. What the sound needs to reach the microphone is taken off, so that labels stay
where they are.

References
----------
Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA 65, 1979. De Sena et al., "On
the modeling of rectangular geometries in room acoustic simulations", IEEE/ACM TASLP 23, 2015 (moved images). Scheibler,
Bezzam, Dokmanić, "Pyroomacoustics", ICASSP 2018 (MIT licence).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.features import FloatArray
from training.room_noise import background_noise
from training.tables import DataError

DoubleArray = NDArray[np.float64]
Point = tuple[float, float, float]

SAMPLE_RATE = 22050
"""Of what is heard, in samples per second."""

SPEED_OF_SOUND = 343.0
"""In metres per second."""

MICROPHONE_BAND = (100.0, 9500.0)
"""In Hz; a laptop's or telephone's microphone. 12 dB per octave below, nothing (-70 dB) from 9.8 kHz on."""

_MICROPHONE_BUMPS = ((5000.0, 3.0, 1.0),)
_MOVED = 0.08
_ROOMS_KEPT = 64
_LEAD = 16
"""Samples before the direct sound that belong to it."""


@dataclass(frozen=True)
class Room:
    """A room, a loudspeaker and where the microphone is.

    Attributes
    ----------
    name : str
    size : tuple of float
        Length, width, height in metres.
    absorption : float
        Share of the sound's energy that walls, floor and ceiling swallow, in (0, 1].
    rt60 : float
        Seconds in which sound dies away by 60 dB: T30, from the decay between -5 and -35 dB, at middle frequencies
        (mean of the octaves of 500 Hz and 1 kHz), as ISO 3382-1 has it.
    loudspeaker, microphone : tuple of float
        Where they are, in metres.
    lowest : float
        Hz below which the loudspeaker falls off, by 12 dB per octave.
    bumps : tuple
        The loudspeaker's peaks and dips: frequency in Hz, height in dB, quality.
    """

    name: str
    size: Point
    absorption: float
    rt60: float
    loudspeaker: Point
    microphone: Point
    lowest: float
    bumps: tuple[Point, ...]


ROOMS = {
    room.name: room
    for room in (
        Room(
            "living room",
            size=(5.2, 4.1, 2.6),
            absorption=0.25,
            rt60=0.45,
            loudspeaker=(0.6, 2.3, 1.1),
            microphone=(3.6, 1.5, 0.8),
            lowest=80.0,
            bumps=((120.0, 4.0, 1.2), (900.0, -2.0, 1.0), (3000.0, 4.0, 1.5), (7000.0, -3.0, 1.0)),
        ),
        Room(
            "club",
            size=(14.0, 9.5, 3.8),
            absorption=0.33,
            rt60=0.8,
            loudspeaker=(1.2, 4.1, 2.4),
            microphone=(8.3, 5.6, 1.6),
            lowest=40.0,
            bumps=((70.0, 6.0, 1.0), (400.0, -2.0, 1.0), (2500.0, 2.0, 1.0)),
        ),
        Room(
            "hall",
            size=(28.0, 17.0, 9.5),
            absorption=0.26,
            rt60=1.8,
            loudspeaker=(3.0, 8.0, 3.0),
            microphone=(15.5, 9.7, 1.4),
            lowest=50.0,
            bumps=((250.0, 2.0, 1.0), (1800.0, 2.0, 1.2), (6000.0, -2.0, 1.0)),
        ),
    )
}
"""Rooms by name."""


def find_room(name: str) -> Room:
    """Return a room by its name.

    Raises
    ------
    DataError
        If there is none.
    """
    if name not in ROOMS:
        raise DataError(f'there is no room "{name}"; there are: {", ".join(ROOMS)}')
    return ROOMS[name]


def heard_through_air(
    samples: FloatArray, room: Room, snr: float, seed: int, *, gain: float = 0.0, clipping: bool = False
) -> FloatArray:
    """Play music in a room and return what a microphone there hears.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
        Mono, `SAMPLE_RATE` samples per second.
    room : Room
    snr : float
        Power of the music over that of the noise in dB, both as the microphone hears them (with its band, without
        further weighting) and over the whole of `samples`; infinity for no noise.
    seed : int
        Of the noise, not negative.
    gain : float
        By how many dB the music that is heard is louder than `samples`, as RMS.
    clipping : bool
        Bend peaks at full scale, 1, as an overdriven input does.

    Returns
    -------
    ndarray of float32, shape (n,)
        Silence where `samples` are silent from beginning to end, since noise is relative to music.

    Raises
    ------
    DataError
        If pyroomacoustics is missing.
    """
    import scipy.signal

    music = scipy.signal.oaconvolve(samples.astype(np.float64), _response_with_transducers(room))[: len(samples)]
    played, arrived = _power(samples), _power(music)
    if played == 0 or arrived == 0:
        return np.zeros(len(samples), dtype=np.float32)
    heard = music * math.sqrt(played / arrived)
    if snr < math.inf:
        noise = scipy.signal.sosfilt(_microphone(), background_noise(len(samples), SAMPLE_RATE, seed))
        heard += noise * math.sqrt(played / _power(noise) / 10 ** (snr / 10))
    heard *= 10 ** (gain / 20)
    recorded: FloatArray = (np.tanh(heard) if clipping else heard).astype(np.float32)
    return recorded


@lru_cache(maxsize=_ROOMS_KEPT)
def impulse_response(room: Room) -> DoubleArray:
    """Simulate what a microphone hears of a click in a room, without loudspeaker's and microphone's own colours.

    Parameters
    ----------
    room : Room

    Returns
    -------
    ndarray of float64, shape (n,)
        At `SAMPLE_RATE`, from the direct sound on until it has died away by 60 dB and a bit more. Not to be changed.

    Raises
    ------
    DataError
        If pyroomacoustics is missing.
    """
    try:
        import pyroomacoustics
    except ImportError as error:
        raise DataError("hearing through the air needs pyroomacoustics: install moodring[train]") from error
    # both are pyroomacoustics' own and global; sums come out the same only if it adds up in the same order
    pyroomacoustics.constants.set("num_threads", 1)
    pyroomacoustics.random.seed(0)
    duration = 1.1 * room.rt60
    box = pyroomacoustics.ShoeBox(
        room.size,
        fs=SAMPLE_RATE,
        materials=pyroomacoustics.Material(room.absorption),
        max_order=math.ceil(SPEED_OF_SOUND * duration / min(room.size)),
        air_absorption=True,
        use_rand_ism=True,
        max_rand_disp=_MOVED,
    )
    box.add_source(room.loudspeaker)
    box.add_microphone(room.microphone)
    box.compute_rir()
    travelled = math.dist(room.loudspeaker, room.microphone) / SPEED_OF_SOUND
    filter_delay = pyroomacoustics.constants.get("frac_delay_length") // 2
    start = round(travelled * SAMPLE_RATE) + filter_delay - _LEAD
    response: DoubleArray = np.array(box.rir[0][0][start : start + round(duration * SAMPLE_RATE)], dtype=np.float64)
    response.flags.writeable = False
    return response


@lru_cache(maxsize=_ROOMS_KEPT)
def _response_with_transducers(room: Room) -> DoubleArray:
    import scipy.signal

    loudspeaker = np.vstack([_high_pass(room.lowest), *_equaliser(room.bumps)])
    response: DoubleArray = scipy.signal.sosfilt(np.vstack([loudspeaker, _microphone()]), impulse_response(room))
    return response


@lru_cache(maxsize=1)
def _microphone() -> DoubleArray:
    import scipy.signal

    low, high = MICROPHONE_BAND
    edge = scipy.signal.ellip(10, 0.3, 70, high, fs=SAMPLE_RATE, output="sos")
    return np.vstack([_high_pass(low), *_equaliser(_MICROPHONE_BUMPS), edge])


def _high_pass(frequency: float) -> DoubleArray:
    import scipy.signal

    sos: DoubleArray = scipy.signal.butter(2, frequency, "highpass", fs=SAMPLE_RATE, output="sos")
    return sos


def _equaliser(bumps: Sequence[Point]) -> list[DoubleArray]:
    """Return peaking filters as in R. Bristow-Johnson's audio equaliser cookbook, W3C note, 2021."""
    sections = []
    for frequency, height, quality in bumps:
        omega = 2 * math.pi * frequency / SAMPLE_RATE
        amplitude = 10 ** (height / 40)
        alpha = math.sin(omega) / (2 * quality)
        above = np.array([1 + alpha * amplitude, -2 * math.cos(omega), 1 - alpha * amplitude])
        below = np.array([1 + alpha / amplitude, -2 * math.cos(omega), 1 - alpha / amplitude])
        sections.append(np.concatenate([above, below])[None] / below[0])
    return sections


def _power(samples: NDArray[np.floating]) -> float:
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
