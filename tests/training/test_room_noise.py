"""Background noise has the spectra and the movement that it is meant to have, and follows from its seed."""

from __future__ import annotations

import numpy as np
import pytest

from training.room_noise import babble, background_noise, pink

scipy_signal = pytest.importorskip("scipy.signal", reason="noise is shaped with scipy (pip install moodring[train])")

RATE = 22050


def band_level(samples: np.ndarray, center: float, octaves: float) -> float:
    """Level in dB of the band of so many octaves around a frequency."""
    frequencies, density = scipy_signal.welch(samples, RATE, nperseg=1 << 14)
    half = 2 ** (octaves / 2)
    inside = (frequencies >= center / half) & (frequencies < center * half)
    return float(10 * np.log10(density[inside].sum()))


def movement(samples: np.ndarray) -> float:
    """Standard deviation in dB of the level over tenths of a second."""
    tenths = samples[: len(samples) // 2205 * 2205].reshape(-1, 2205)
    return float(np.std(10 * np.log10(np.mean(tenths**2, axis=1) + 1e-12)))


@pytest.mark.parametrize("length", [0, 1, 2, 1000, 22051])
def test_noise_follows_from_its_seed(length: int) -> None:
    noise = background_noise(length, RATE, 3)
    assert noise.shape == (length,)
    assert np.isfinite(noise).all()
    np.testing.assert_array_equal(noise, background_noise(length, RATE, 3))
    if length >= 1000:
        assert np.mean(noise**2) == pytest.approx(1)
        assert abs(np.corrcoef(noise, background_noise(length, RATE, 4))[0, 1]) < 0.5


def test_pink_noise_has_the_same_power_in_every_octave() -> None:
    noise = pink(30 * RATE, RATE, np.random.default_rng(0))
    levels = [band_level(noise, center, 1) for center in (125, 250, 500, 1000, 2000, 4000)]
    assert np.ptp(levels) < 0.6


def test_babble_has_the_spectrum_of_speech() -> None:
    noise = babble(60 * RATE, RATE, np.random.default_rng(0))
    published = {125: 57.7, 250: 60.3, 500: 62.1, 1000: 53.7, 2000: 48.7, 4000: 45.6, 8000: 43.7}
    levels = np.array([band_level(noise, center, 1 / 3) for center in published])
    difference = levels - np.array(list(published.values()))
    assert np.ptp(difference) < 2.5


def test_babble_moves_at_the_rate_of_syllables() -> None:
    noise = babble(60 * RATE, RATE, np.random.default_rng(0))
    assert movement(noise) > 3 * movement(pink(60 * RATE, RATE, np.random.default_rng(0)))
    envelope = np.sqrt(np.mean(noise.reshape(-1, 441) ** 2, axis=1))
    frequencies, density = scipy_signal.welch(envelope - envelope.mean(), 50, nperseg=512)
    syllables = density[(frequencies > 2) & (frequencies < 8)].mean()
    assert syllables > 3 * density[(frequencies > 14) & (frequencies < 24)].mean()
