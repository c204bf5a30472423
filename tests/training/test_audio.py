from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from model.features import FeatureParameters, Frontend
from training import audio
from training.feature_cache import FeatureCache, default_folder
from training.tables import DataError

PARAMETERS = FeatureParameters()


def test_frames_are_cut_from_the_start_and_the_rest_is_dropped(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, (22050, 2)).astype(np.float32)[:20000]
    soundfile.write(tmp_path / "a.wav", samples, 22050, subtype="FLOAT")
    frames = audio.read_frames(tmp_path / "a.wav", PARAMETERS)
    np.testing.assert_array_equal(frames, samples.mean(axis=1, dtype=np.float32)[np.newaxis, :11025])


def test_resampling_equals_the_live_stream(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 3 * 44100).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 44100, subtype="FLOAT")
    frames = audio.read_frames(tmp_path / "a.wav", PARAMETERS)
    stream = soxr.ResampleStream(44100, 22050, 1, dtype="float32", quality="HQ")
    chunks = [
        stream.resample_chunk(samples[i : i + 1000], last=i + 1000 >= len(samples)) for i in range(0, 132300, 1000)
    ]
    live = np.concatenate(chunks)
    np.testing.assert_array_equal(frames.ravel(), live[: frames.size])


def test_bad_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match=r"cannot decode .*a\.wav"):
        audio.read_frames(tmp_path / "a.wav", PARAMETERS)
    soundfile.write(tmp_path / "b.wav", np.zeros(100), 22050)
    with pytest.raises(DataError, match="shorter than a frame"):
        audio.read_frames(tmp_path / "b.wav", PARAMETERS)
    soundfile.write(tmp_path / "c.wav", np.full(22050, np.nan), 22050, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        audio.read_frames(tmp_path / "c.wav", PARAMETERS)


def test_missing_renderers_name_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    midi = tmp_path / "a.mid"
    midi.write_bytes(b"MThd")
    with pytest.raises(DataError, match="package is fluid-soundfont-gm"):
        audio.read_frames(midi, PARAMETERS, tmp_path / "none.sf2")
    font = tmp_path / "some.sf2"
    font.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="package is fluidsynth"):
        audio.read_frames(midi, PARAMETERS, font)


MIDI_OF_ONE_NOTE = bytes.fromhex("4d546864000000060000000100604d54726b0000000d00903c648740803c4000ff2f00")


@pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not audio.SOUND_FONT.is_file(), reason="needs fluidsynth and its sound font"
)
def test_midi_is_rendered(tmp_path: Path) -> None:
    (tmp_path / "note.mid").write_bytes(MIDI_OF_ONE_NOTE)
    frames = audio.read_frames(tmp_path / "note.mid", PARAMETERS)
    assert 0.001 < np.abs(frames).max() < 1


def test_the_cache_computes_once_and_never_trusts_a_broken_file(
    tiny_data: Path, frontend: Frontend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_data / "audio" / "0.wav"
    cache = FeatureCache(tmp_path / "cache", frontend)
    first = cache.load(source)
    assert first.shape == (16, PARAMETERS.feature_count)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cache.path(source).name]

    cache.path(source).write_bytes(cache.path(source).read_bytes()[:1000])
    np.testing.assert_array_equal(cache.load(source), first)

    monkeypatch.setattr("training.extractors.read_frames", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(cache.load(source), first)


def test_the_cache_follows_content_and_parameters(tiny_data: Path, frontend: Frontend, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, frontend)
    source = tiny_data / "audio" / "0.wav"
    copy = tmp_path / "moved.wav"
    shutil.copy(source, copy)
    assert cache.path(copy) == cache.path(source)
    other = Frontend(
        FeatureParameters(dynamic_range=60), frontend.mel_filterbank, frontend.tensors()["chroma_filterbank"]
    )
    assert FeatureCache(tmp_path, other).path(source) != cache.path(source)


def test_the_cache_of_a_place_that_cannot_be_written_is_named(
    tiny_data: Path, frontend: Frontend, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write the feature cache"):
        FeatureCache(tmp_path / "file" / "below", frontend).load(tiny_data / "audio" / "0.wav")


def test_the_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOODRING_CACHE", "/a")
    assert default_folder() == Path("/a")
    monkeypatch.delenv("MOODRING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert default_folder() == Path("/b/moodring")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert default_folder() == Path("/c/.cache/moodring")
