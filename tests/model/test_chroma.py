from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.chroma import NoteChroma
from model.features import power_spectrum, spectrum_taper
from model.note_spectrum import (
    LOWEST_NOTE,
    MOST_BANDS_PER_HARMONIC,
    NOTES,
    NoteSpectrum,
    around_notes,
    inputs_of,
)
from training.note_file import read_notes

RATE, LENGTH = 22050, 11025


def energies(samples: np.ndarray, rate: int = RATE) -> np.ndarray:
    frames = samples.reshape(-1, rate // 2).astype(np.float32)
    return power_spectrum(frames * spectrum_taper(rate // 2))


def played(notes: list[int], rate: int = RATE, partials: int = 10) -> np.ndarray:
    """Give half a second of decaying notes with as many partials as strings have."""
    time = np.arange(rate // 2) / rate
    wave = np.zeros(len(time))
    for note in notes:
        pitch = 440 * 2 ** ((note - 69) / 12)
        for n in range(1, partials + 1):
            if n * pitch < rate / 2:
                wave += np.sin(2 * np.pi * n * pitch * time + n) * np.exp(-(1 + n / 2) * time) / n
    return wave / 10


@pytest.fixture(scope="module")
def heard() -> NoteChroma:
    return NoteChroma(read_notes(), LENGTH, RATE)


@settings(max_examples=60, deadline=None)
@given(note=st.integers(45, 103), rate=st.sampled_from([16000, 22050, 44100]))
def test_a_pure_tone_is_loudest_in_its_own_band(note: int, rate: int) -> None:
    """Whatever the octave, and so the resolution at which it is looked for."""
    time = np.arange(rate // 2) / rate
    bands = NoteSpectrum(rate // 2, rate).bands(
        energies(np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time), rate)
    )
    assert bands[0].argmax() == 3 * (note - LOWEST_NOTE) + 1


@settings(max_examples=30, deadline=None)
@given(note=st.integers(36, 84), partials=st.integers(4, 12))
def test_one_note_is_heard_as_one_note(heard: NoteChroma, note: int, partials: int) -> None:
    """Not as the notes that its partials would be, such as the G above a C."""
    spectrum = energies(played([note], partials=partials))
    likely = heard.likelihoods(spectrum)[0]
    assert likely.argmax() == note - LOWEST_NOTE
    assert np.delete(likely, note - LOWEST_NOTE).max() < 0.8 * likely.max()
    assert heard(spectrum)[0].argmax() == note % 12


@pytest.mark.parametrize("root", range(48, 72, 5))
@pytest.mark.parametrize("third", [3, 4])
def test_major_and_minor_chords_differ_in_their_third(heard: NoteChroma, root: int, third: int) -> None:
    chroma = heard(energies(played([root, root + third, root + 7])))[0]
    assert set(np.argsort(chroma)[-3:]) == {root % 12, (root + third) % 12, (root + 7) % 12}
    assert chroma[(root + third) % 12] - chroma[(root + 7 - third) % 12] > 6


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-3, 10), seed=st.integers(0, 1000))
def test_gain_does_not_matter(heard: NoteChroma, gain: float, seed: int) -> None:
    notes = np.random.default_rng(seed).integers(30, 90, 3).tolist()
    spectrum = energies(played(notes))
    np.testing.assert_allclose(heard(spectrum * np.float32(gain**2)), heard(spectrum), atol=0.02)


def test_silence_and_noise_have_no_notes(heard: NoteChroma) -> None:
    noise = np.random.default_rng(0).standard_normal(LENGTH) / 10
    for sound in (np.zeros(LENGTH), noise):
        assert heard.likelihoods(energies(sound)).max() < 0.25
        assert np.ptp(heard(energies(sound))) < 12


@pytest.mark.parametrize("length", [1024, 2205, 11025, 11026, 48000])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_frames_of_any_size_have_notes(length: int, rate: int) -> None:
    noise = np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    spectrum = NoteSpectrum(length, rate).spectrum(power_spectrum(noise * spectrum_taper(length)))
    for bands in (1, 3, MOST_BANDS_PER_HARMONIC):
        seen = around_notes(spectrum, bands)
        assert seen.shape[1:] == (NOTES, inputs_of(bands))
        assert np.abs(seen).max() <= 2


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("first.weight", None, "missing"),
        ("first.weight", np.float32(1), "first"),
        ("first.weight", np.zeros((138, 32), np.float32), "first"),
        ("first.weight", np.zeros((2 + 9 * 14, 32), np.float32), "first"),
        ("first.weight", np.zeros((2 + 9 * 35, 32), np.float32), "first"),
        ("second.bias", np.zeros(3, np.float32), "second"),
        ("third.weight", np.zeros((16, 2), np.float32), "third"),
        ("first.weight", np.full((137, 32), 1e30, np.float32), "from -1000 to 1000"),
        ("second.weight", np.full((32, 16), np.nan, np.float32), "from -1000 to 1000"),
    ],
)
def test_other_weights_are_refused(name: str, values: np.ndarray | None, message: str) -> None:
    weights = {other: kept for other, kept in read_notes().items() if other != name}
    if values is not None:
        weights[name] = values
    with pytest.raises(ValueError, match=message):
        NoteChroma(weights, LENGTH, RATE)
