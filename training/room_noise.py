"""The background noise of a room with people in it, made from a seed: no recording.

Half of its power is pink noise (traffic, ventilation), half is babble: noise with the long-term spectrum of speech that
rises and falls with the syllables and pauses of a few people who talk at once.

References
----------
Byrne et al., "An international comparison of long-term average speech spectra", JASA 96, 1994 (its combined
third-octave levels); Houtgast and Steeneken, "A review of the MTF concept in room acoustics", JASA 77, 1985 (speech's
envelope moves most at about 4 Hz).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TALKERS = 5
"""How many people talk at once."""

_SPEECH_LEVELS = {
    63: 38.6, 80: 43.5, 100: 54.4, 125: 57.7, 160: 56.8, 200: 60.2, 250: 60.3, 315: 59.0,
    400: 62.1, 500: 62.1, 630: 60.5, 800: 56.8, 1000: 53.7, 1250: 53.0, 1600: 52.0, 2000: 48.7,
    2500: 48.1, 3150: 46.8, 4000: 45.6, 5000: 44.5, 6300: 44.3, 8000: 43.7, 10000: 43.4, 12500: 41.3,
}  # fmt: skip
"""Decibels of third-octave bands around so many Hz."""
_ENVELOPE_RATE = 100
_SYLLABLES = (2.0, 8.0)
_SYLLABLE_DEPTH = 0.8
"""Standard deviation of the envelope's natural logarithm."""
_TURNS = 0.25
"""Up to what frequency in Hz somebody begins and stops talking."""
_PAUSE_BELOW = -0.4
"""Silent while a process of mean 0 and deviation 1 is below it: a third of the time."""
_SETTLING = 20.0
_LOWEST = 20.0


def background_noise(length: int, sample_rate: int, seed: int) -> FloatArray:
    """Make noise of power 1.

    Parameters
    ----------
    length : int
        Samples.
    sample_rate : int
        Samples per second.
    seed : int
        Not negative; the same one gives the same noise.

    Returns
    -------
    ndarray of float64, shape (length,)
    """
    if length == 0:
        return np.zeros(0)
    rng = np.random.default_rng(seed)
    return _unit(_unit(pink(length, sample_rate, rng)) + _unit(babble(length, sample_rate, rng)))


def pink(length: int, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Make noise that has the same power in every octave above 20 Hz, and none below.

    Parameters
    ----------
    length : int
        Samples.
    sample_rate : int
        Samples per second.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (length,)
        Of no particular power.
    """
    return _shape(rng.standard_normal(length), sample_rate, lambda frequency: frequency**-0.5)


def babble(length: int, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Make noise that has the spectrum of speech and moves like the talk of `TALKERS` people.

    Parameters
    ----------
    length : int
        Samples.
    sample_rate : int
        Samples per second.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (length,)
        Of no particular power.
    """
    points = -(-length * _ENVELOPE_RATE // sample_rate) + 2
    power = np.zeros(points)
    for _ in range(TALKERS):
        level = 10 ** (rng.uniform(-6, 0) / 10)
        syllables = _slow_process(points, _SYLLABLES, rng)
        talks = _slow_process(points, (0.0, _TURNS), rng) > _PAUSE_BELOW
        power += level * talks * np.exp(2 * _SYLLABLE_DEPTH * syllables)
    # independent noises of one spectrum add up to one noise whose power is the sum of theirs
    times = np.arange(length) * (_ENVELOPE_RATE / sample_rate)
    envelope = np.interp(times, np.arange(points), np.sqrt(power))
    return _shape(envelope * rng.standard_normal(length), sample_rate, _speech_gain)


def _speech_gain(frequency: FloatArray) -> FloatArray:
    # a third of an octave gets wider the higher it is
    level = np.interp(np.log(frequency), np.log(list(_SPEECH_LEVELS)), list(_SPEECH_LEVELS.values()))
    gain: FloatArray = 10 ** (level / 20) * frequency**-0.5
    return gain


def _shape(white: FloatArray, sample_rate: int, gain: Callable[[FloatArray], FloatArray]) -> FloatArray:
    import scipy.fft

    padded = scipy.fft.next_fast_len(len(white), real=True)
    spectrum = scipy.fft.rfft(white, padded)
    frequency = scipy.fft.rfftfreq(padded, 1 / sample_rate)
    spectrum *= gain(np.maximum(frequency, _LOWEST))
    spectrum[frequency < _LOWEST] = 0
    shaped: FloatArray = scipy.fft.irfft(spectrum, padded)[: len(white)]
    return shaped


def _slow_process(points: int, band: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    """Return a Gaussian process at the envelope's rate, of mean 0 and deviation 1 in the long run."""
    import scipy.signal

    low, high = band
    edges, kind = ((low, high), "bandpass") if low else (high, "lowpass")
    sos = scipy.signal.butter(2, edges, kind, fs=_ENVELOPE_RATE, output="sos")
    settling = round(_SETTLING * _ENVELOPE_RATE)
    moving = scipy.signal.sosfilt(sos, rng.standard_normal(points + settling))[settling:]
    response = scipy.signal.sosfreqz(sos, 4096)[1]
    scaled: FloatArray = moving / np.sqrt(np.mean(np.abs(response) ** 2))
    return scaled


def _unit(noise: FloatArray) -> FloatArray:
    power = float(np.mean(noise**2))
    # a noise of a few samples can be all in the part that is cut away
    return noise / np.sqrt(power) if power > 0 else noise
