"""A simulated room has the reverberation it claims, its noise the level that was asked for, its microphone a band."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from model.features import Frontend
from tests.training.conftest import tone
from training.air import MICROPHONE_BAND, ROOMS, SAMPLE_RATE, Room, find_room, heard_through_air, impulse_response
from training.air_features import AirPath, ThroughAir, seed_of
from training.altered_sound import AlteredFeatureCache
from training.clips import EVALUATION, Clip, StaticLabels
from training.extractors import FrontendExtractor
from training.feature_cache import ExtractorCache, FeatureCache
from training.tables import DataError

REASON = "rooms need pyroomacoustics (pip install moodring[train])"
pytest.importorskip("pyroomacoustics", reason=REASON)
scipy_signal = pytest.importorskip("scipy.signal", reason=REASON)

LIVING_ROOM = ROOMS["living room"]
every_room = pytest.mark.parametrize("room", ROOMS.values(), ids=list(ROOMS))


def through_air(folder: Path, frontend: Frontend, path: AirPath) -> AlteredFeatureCache:
    return AlteredFeatureCache(folder, frontend, partial(ThroughAir, path=path))


def decibels(ratio: float) -> float:
    return 10 * math.log10(ratio)


def power(samples: np.ndarray) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


def music(seconds: float = 3) -> np.ndarray:
    return np.concatenate([tone(seconds / 2, 220, True), tone(seconds / 2, 330, False)])


def white(seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)


def reverberation_time(response: np.ndarray, octave: float) -> float:
    """Schroeder's backward integration in one octave; the decay from -5 to -35 dB, extrapolated to 60 dB (T30)."""
    edges = (octave / math.sqrt(2), octave * math.sqrt(2))
    band = scipy_signal.butter(3, edges, "bandpass", fs=SAMPLE_RATE, output="sos")
    energy = np.cumsum(scipy_signal.sosfiltfilt(band, response)[::-1] ** 2)[::-1]
    decay = 10 * np.log10(energy / energy[0])
    fitted = np.flatnonzero((decay <= -5) & (decay >= -35))
    slope = np.polyfit(fitted / SAMPLE_RATE, decay[fitted], 1)[0]
    return -60 / slope


@every_room
def test_rooms_reverberate_as_long_as_they_say(room: Room) -> None:
    response = impulse_response(room)
    measured = np.mean([reverberation_time(response, octave) for octave in (500, 1000)])
    assert measured == pytest.approx(room.rt60, rel=0.2)


@every_room
def test_loudspeaker_and_microphone_stand_apart_in_the_room(room: Room) -> None:
    for point in (room.loudspeaker, room.microphone):
        assert all(0.3 < at < size - 0.3 for at, size in zip(point, room.size, strict=True))
    assert math.dist(room.loudspeaker, room.microphone) > 2


@every_room
def test_the_direct_sound_comes_at_once_and_most_of_the_energy_later(room: Room) -> None:
    response = impulse_response(room)
    direct = round(0.002 * SAMPLE_RATE)
    assert np.abs(response).argmax() < direct
    assert power(response[:direct]) * direct < power(response[direct:]) * (len(response) - direct)
    assert np.isfinite(response).all()


@every_room
@pytest.mark.parametrize("snr", [20, 10])
def test_noise_is_as_far_below_the_music_as_asked(room: Room, snr: float) -> None:
    clean = heard_through_air(music(), room, math.inf, 1)
    noise = heard_through_air(music(), room, snr, 1) - clean
    assert decibels(power(clean) / power(noise)) == pytest.approx(snr, abs=0.2)


@settings(max_examples=20)
@given(
    length=st.integers(SAMPLE_RATE // 2, SAMPLE_RATE),
    snr=st.floats(-10, 40),
    gain=st.floats(-40, 10),
    level=st.floats(1e-3, 1),
    seed=st.integers(0, 2**64 - 1),
)
def test_length_level_and_noise_are_right_for_any_music(
    length: int, snr: float, gain: float, level: float, seed: int
) -> None:
    samples = level * music()[:length]
    clean = heard_through_air(samples, LIVING_ROOM, math.inf, seed, gain=gain)
    heard = heard_through_air(samples, LIVING_ROOM, snr, seed, gain=gain)
    assert heard.shape == samples.shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert decibels(power(clean) / power(samples)) == pytest.approx(gain, abs=0.01)
    assert decibels(power(clean) / power(heard - clean)) == pytest.approx(snr, abs=0.2)


@pytest.mark.parametrize("length", [0, 1, 100])
def test_very_short_music_and_silence_are_heard_as_such(length: int) -> None:
    heard = heard_through_air(music()[:length], LIVING_ROOM, 20, 1)
    assert heard.shape == (length,)
    assert np.isfinite(heard).all()
    silent = heard_through_air(np.zeros(length, dtype=np.float32), LIVING_ROOM, 20, 1)
    assert not silent.any()


def test_what_is_heard_follows_from_the_seed() -> None:
    heard = heard_through_air(music(), LIVING_ROOM, 10, 5)
    np.testing.assert_array_equal(heard, heard_through_air(music(), LIVING_ROOM, 10, 5))
    assert not np.array_equal(heard, heard_through_air(music(), LIVING_ROOM, 10, 6))
    before = impulse_response(LIVING_ROOM)
    impulse_response.cache_clear()
    np.testing.assert_array_equal(before, impulse_response(LIVING_ROOM))


@every_room
def test_nothing_is_heard_outside_the_microphones_band(room: Room) -> None:
    heard = heard_through_air(white(10), room, 10, 1)
    frequencies, density = scipy_signal.welch(heard, SAMPLE_RATE, nperseg=4096, window=("kaiser", 14))
    low, high = MICROPHONE_BAND
    loudest = density.max()
    assert decibels(density[frequencies > high * 1.04].max() / loudest) < -55
    assert decibels(density[(frequencies > 0) & (frequencies < low / 4)].max() / loudest) < -15


def test_clipping_bends_peaks_and_leaves_soft_music_alone() -> None:
    loud = heard_through_air(music(), LIVING_ROOM, 20, 1, gain=20)
    bent = heard_through_air(music(), LIVING_ROOM, 20, 1, gain=20, clipping=True)
    assert np.abs(loud).max() > 1 >= np.abs(bent).max()
    soft = heard_through_air(music(), LIVING_ROOM, 20, 1, gain=-30)
    bent = heard_through_air(music(), LIVING_ROOM, 20, 1, gain=-30, clipping=True)
    np.testing.assert_allclose(bent, soft, atol=1e-5)


def test_rooms_are_found_by_name() -> None:
    assert find_room("hall") is ROOMS["hall"]
    with pytest.raises(DataError, match='no room "cave"; there are: living room, club, hall'):
        find_room("cave")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(DataError, match=r"install moodring\[train\]"):
        impulse_response(replace(LIVING_ROOM, name="elsewhere"))


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    found = []
    for name, samples in (("a", tone(3.3, 220, True)), ("b", tone(3.3, 330, False))):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
        found.append(Clip("some", name, name, path, EVALUATION, StaticLabels(0, 0)))
    return found


def test_features_are_those_of_what_is_heard(tmp_path: Path, clips: list[Clip], frontend: Frontend) -> None:
    path = AirPath(LIVING_ROOM, 10)
    cache = through_air(tmp_path / "cache", frontend, path)
    length = frontend.parameters.frame_length
    for clip, features in zip(clips, cache.load_all(clips), strict=True):
        samples, _ = soundfile.read(clip.source, dtype="float32")
        heard = path.hear(samples, clip.source)
        frames = heard[: len(heard) // length * length].reshape(-1, length)
        np.testing.assert_array_equal(features, frontend(frames))
    assert cache.frontend is frontend


def test_the_cache_keeps_every_way_of_hearing_apart(tmp_path: Path, clips: list[Clip], frontend: Frontend) -> None:
    ways = [AirPath(room, snr) for room in ROOMS.values() for snr in (20, 10, math.inf)]
    ways += [replace(ways[0], gains=(0, 0)), replace(ways[0], clipping=True)]
    caches = [FeatureCache(tmp_path, frontend), *(through_air(tmp_path, frontend, way) for way in ways)]
    paths = {cache.path(clip.source) for cache in caches for clip in clips}
    assert len(paths) == len(caches) * len(clips)


def test_processes_hear_the_same(tmp_path: Path, clips: list[Clip], frontend: Frontend) -> None:
    alone, together = (through_air(tmp_path / jobs, frontend, AirPath(LIVING_ROOM, 20)) for jobs in "12")
    for one, two in zip(alone.load_all(clips), together.load_all(clips, jobs=2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_gain_and_noise_belong_to_the_music_not_to_its_name_or_room(tmp_path: Path, clips: list[Clip]) -> None:
    copy = tmp_path / "elsewhere.wav"
    copy.write_bytes(clips[0].source.read_bytes())
    assert seed_of(copy) == seed_of(clips[0].source) != seed_of(clips[1].source)
    levels = {}
    for clip in clips:
        for name, room in ROOMS.items():
            heard = AirPath(room, math.inf).hear(music(), clip.source)
            levels[clip.name, name] = decibels(power(heard) / power(music()))
    for clip in clips:
        assert np.ptp([levels[clip.name, name] for name in ROOMS]) < 0.01
        assert -20 <= levels[clip.name, "hall"] <= 0
    assert abs(levels["a", "hall"] - levels["b", "hall"]) > 0.1


def test_errors_name_the_clip(tmp_path: Path, frontend: Frontend) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, tone(0.1, 220, True), SAMPLE_RATE)
    cache = ExtractorCache(tmp_path / "cache", ThroughAir(FrontendExtractor(frontend), AirPath(LIVING_ROOM, 20)))
    with pytest.raises(DataError, match=r'short\.wav" is shorter than a frame'):
        cache.load(short)
    with pytest.raises(DataError, match=r"nothing\.wav"):
        cache.load(tmp_path / "nothing.wav")
