from __future__ import annotations

from importlib.util import find_spec

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import load_checkpoint
from model.features import SILENCE_DBFS, FeatureParameters, Frontend, RecentColumns, build_frontend, loudness
from training.note_file import read_notes


@pytest.fixture(scope="module")
def frames(piece: np.ndarray) -> np.ndarray:
    mono = librosa.resample(piece.mean(axis=1), orig_sr=44100, target_sr=22050)
    return mono[: len(mono) // 11025 * 11025].reshape(-1, 11025).astype(np.float32)


@pytest.fixture(scope="module")
def frontend() -> Frontend:
    return build_frontend()


@pytest.fixture(scope="module", params=["energy", "notes", "both"])
def either(frontend: Frontend, request: pytest.FixtureRequest) -> Frontend:
    """One of the kinds of chroma."""
    if request.param == "energy":
        return frontend
    return build_frontend(FeatureParameters(chroma=request.param), read_notes())


@pytest.fixture(scope="module")
def rows(frontend: Frontend, frames: np.ndarray) -> np.ndarray:
    return frontend(frames)


def test_logmel_is_librosas(frontend: Frontend, frames: np.ndarray, rows: np.ndarray) -> None:
    p = frontend.parameters
    for frame, row in zip(frames[::7], rows[::7], strict=True):
        mel = librosa.feature.melspectrogram(
            y=frame,
            sr=p.sample_rate,
            n_fft=p.fft_window,
            hop_length=p.fft_hop,
            center=False,
            n_mels=p.mel_bands,
            fmin=p.mel_low,
            fmax=p.mel_high,
        )
        decibels = librosa.power_to_db(mel, amin=p.energy_floor, top_db=p.dynamic_range)
        np.testing.assert_allclose(row[p.columns["logmel_mean"]], decibels.mean(axis=1), atol=1e-3)
        np.testing.assert_allclose(row[p.columns["logmel_std"]], decibels.std(axis=1), atol=1e-3)


def test_chroma_is_librosas(frontend: Frontend, frames: np.ndarray, rows: np.ndarray) -> None:
    p = frontend.parameters
    for frame, row in zip(frames[::7], rows[::7], strict=True):
        chroma = librosa.feature.chroma_stft(
            y=frame,
            sr=p.sample_rate,
            n_fft=p.frame_length,
            hop_length=p.frame_length,
            center=False,
            tuning=0.0,
            norm=None,
        )
        decibels = librosa.power_to_db(chroma[:, 0], amin=p.energy_floor, top_db=None)
        np.testing.assert_allclose(row[p.columns["logchroma"]], decibels, atol=1e-3)


def test_a_chord_is_heard_as_its_pitch_classes(either: Frontend) -> None:
    time = np.arange(11025) / 22050
    c_major = sum(np.sin(2 * np.pi * f * time) for f in (261.63, 329.63, 392.0)).astype(np.float32) / 4
    both = either(c_major[None])[0, either.parameters.columns["logchroma"]]
    for chroma in both.reshape(len(either.parameters.chromas), 12):
        assert set(np.argsort(chroma)[-3:]) == {0, 4, 7}


@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 100), count=st.integers(1, 20))
def test_a_row_does_not_depend_on_the_other_frames(
    either: Frontend, frames: np.ndarray, start: int, count: int
) -> None:
    np.testing.assert_array_equal(either(frames[start : start + count]), either(frames)[start : start + count])


@pytest.mark.parametrize("step", [2205, 735, 3675])
def test_frames_that_overlap_share_columns(frontend: Frontend, frames: np.ndarray, step: int) -> None:
    """Every frame of ten a second, every third of thirty, none of six; and nothing is shared over a loss."""
    mono = frames.ravel()
    starts = [step * i for i in range(12)] + [step * i + 50_000 for i in range(12)]
    overlapping = np.stack([mono[start : start + 11025] for start in starts], dtype=np.float32)
    recent = RecentColumns(15)
    shared = frontend(overlapping, [(recent, start + 11025) for start in starts])
    np.testing.assert_allclose(shared, frontend(overlapping), atol=1e-4)
    known = recent.before(starts[-1] + 11025 + step, frontend.parameters.fft_hop, 23)
    assert (0 if known is None else len(known)) == {2205: 18, 735: 18, 3675: 0}[step]
    assert recent.before(starts[-1] + 11025 + 11025, frontend.parameters.fft_hop, 23) is None


@pytest.mark.skipif(find_spec("musicnn") is None, reason="the large model's ear (pip install --no-deps musicnn==0.1.0)")
def test_the_bundled_frontend_is_the_one_that_training_makes() -> None:
    bundled, made = load_checkpoint("large").frontend, build_frontend(notes=read_notes())
    assert bundled.parameters == made.parameters
    for name, values in made.tensors().items():
        np.testing.assert_allclose(bundled.tensors()[name], values, atol=1e-7)


def test_loudness() -> None:
    full_scale_square = np.where(np.arange(11025) % 2, 1.0, -1.0).astype(np.float32)
    levels = loudness(np.stack([full_scale_square, full_scale_square * 0.1, np.zeros(11025, np.float32)]))
    np.testing.assert_allclose(levels, [0.0, -20.0, SILENCE_DBFS], atol=1e-4)


def test_zeros_have_finite_features(either: Frontend) -> None:
    assert np.isfinite(either(np.zeros((1, 11025), np.float32))).all()


def test_wrong_shapes_are_refused(frontend: Frontend) -> None:
    with pytest.raises(ValueError, match="11025"):
        frontend(np.zeros((1, 100), np.float32))
    with pytest.raises(ValueError, match="mel filterbank"):
        Frontend(FeatureParameters(mel_bands=40), frontend.mel_filterbank, frontend.tensors()["chroma_filterbank"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 10},
        {"fft_window": 100000},
        {"fft_hop": 0},
        {"mel_bands": 0},
        {"mel_high": 20000.0},
        {"energy_floor": 0.0},
        {"dynamic_range": -1.0},
        {"frame_duration": 100.0},
        {"chroma": "colour"},
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        FeatureParameters(**wrong)  # type: ignore[arg-type]
