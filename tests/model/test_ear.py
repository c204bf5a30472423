from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from model.ear import COLUMNS, FFT_WINDOW, FRAME_LENGTH, MEL_BANDS, Ear, EarFrontend
from model.ears import build_ear, ear_tensors, ear_to_json
from model.features import FeatureParameters, Frontend, mean_square
from model.network import EmotionNetwork, NetworkParameters
from tests.model.ears_for_tests import RememberingEar, plain_frontend, sounds, tiny_ear

EARS: dict[str, Ear] = {"distilled": tiny_ear(), "remembering": RememberingEar()}
MUSIC = {"a": sounds(14, 1), "b": sounds(14, 2)}


def alone(ear: Ear, frames: np.ndarray) -> np.ndarray:
    return ear.hear(frames, [ear.memory()] * len(frames))


WHOLE = {kind: {name: alone(ear, frames) for name, frames in MUSIC.items()} for kind, ear in EARS.items()}


@pytest.mark.parametrize("kind", EARS)
def test_what_an_ear_says_changes_with_the_music(kind: str) -> None:
    said = WHOLE[kind]["a"]
    assert said.shape == (14, EARS[kind].shape.outputs)
    assert said.dtype == np.float32
    assert np.isfinite(said).all()
    assert (said.std(axis=0) > 1e-3).all()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(EARS)), st.lists(st.booleans(), max_size=28), st.lists(st.integers(1, 9), min_size=1))
def test_streams_in_any_batches_equal_each_stream_as_a_whole(kind: str, order: list[bool], cuts: list[int]) -> None:
    ear = EARS[kind]
    turns = ["a" if first else "b" for first in order]
    turns += ["a"] * (14 - turns.count("a")) + ["b"] * (14 - turns.count("b"))
    memories = {"a": ear.memory(), "b": ear.memory()}
    said: dict[str, list[np.ndarray]] = {"a": [], "b": []}
    taken = {"a": 0, "b": 0}
    at = batch = 0
    while at < len(turns):
        part = turns[at : at + cuts[batch % len(cuts)]]
        frames = []
        names = []
        for name in part:
            if taken[name] < 14:
                frames.append(MUSIC[name][taken[name]])
                taken[name] += 1
                names.append(name)
        if frames:
            heard = ear.hear(np.stack(frames), [memories[name] for name in names])
            for name, row in zip(names, heard, strict=True):
                said[name].append(row)
        at += len(part)
        batch += 1
    for name in said:
        np.testing.assert_allclose(np.stack(said[name]), WHOLE[kind][name], atol=1e-4)


@pytest.mark.parametrize("kind", EARS)
def test_the_future_is_not_heard(kind: str) -> None:
    changed = MUSIC["a"].copy()
    changed[9:] = MUSIC["b"][9:]
    said = alone(EARS[kind], changed)
    np.testing.assert_allclose(said[:9], WHOLE[kind]["a"][:9], atol=1e-5)
    assert not np.allclose(said[9], WHOLE[kind]["a"][9], atol=1e-3)


@pytest.mark.parametrize("kind", EARS)
@pytest.mark.parametrize("cuts", [[14], [5, 6, 13, 14]])
def test_spectrograms_without_gain_are_heard_as_the_frames_are(kind: str, cuts: list[int]) -> None:
    ear = EARS[kind]
    both = np.stack([MUSIC["a"], MUSIC["b"]])
    gains = [ear.memory(), ear.memory()]
    pictures = np.stack(
        [
            [
                memory.remove_gain(energies, power)
                for energies, power in zip(ear.frontend(music), mean_square(music).tolist(), strict=True)
            ]
            for music, memory in zip(both, gains, strict=True)
        ]
    )
    live, kept = ([ear.memory(), ear.memory()] for _ in range(2))
    for start, stop in zip([0, *cuts], cuts, strict=False):
        frames = both[:, start:stop].reshape(-1, FRAME_LENGTH)
        heard = ear.hear(frames, [memory for memory in live for _ in range(start, stop)])
        said = ear.hear_spectrograms(pictures[:, start:stop], kept)
        assert said.shape == (2, stop - start, ear.shape.outputs)
        np.testing.assert_array_equal(said.reshape(heard.shape), heard)


@pytest.mark.parametrize("kind", EARS)
def test_before_the_first_frame_was_that_frame(kind: str) -> None:
    repeated = np.concatenate([np.repeat(MUSIC["a"][:1], 8, axis=0), MUSIC["a"][1:3]])
    said = alone(EARS[kind], repeated)
    # the same frame, but for the weight it has in the level
    np.testing.assert_allclose(said[:8], np.repeat(WHOLE[kind]["a"][:1], 8, axis=0), atol=1e-4)


@pytest.mark.parametrize("kind", EARS)
@pytest.mark.parametrize("decibels", [-20, 6])
def test_gain_does_not_matter(kind: str, decibels: int) -> None:
    said = alone(EARS[kind], MUSIC["a"] * np.float32(10 ** (decibels / 20)))
    np.testing.assert_allclose(said, WHOLE[kind]["a"], atol=1e-3)


@pytest.mark.parametrize("kind", EARS)
def test_the_level_within_the_last_ten_seconds_does_matter(kind: str) -> None:
    swelling = MUSIC["a"] * np.linspace(0.05, 1, 14, dtype=np.float32)[:, None]
    assert not np.allclose(alone(EARS[kind], swelling), WHOLE[kind]["a"], atol=1e-2)


@pytest.mark.parametrize("kind", EARS)
def test_silence_and_full_scale_are_finite(kind: str) -> None:
    extreme = np.zeros((4, FRAME_LENGTH), dtype=np.float32)
    extreme[1] = 1
    extreme[2, ::2] = -1
    assert np.isfinite(alone(EARS[kind], extreme)).all()


def test_no_column_reaches_into_another_frame() -> None:
    frontend = plain_frontend()
    together = frontend(MUSIC["a"][:3])
    assert together.shape == (3, COLUMNS, MEL_BANDS)
    for frame, one in zip(MUSIC["a"][:3], together, strict=True):
        np.testing.assert_array_equal(frontend(frame[None])[0], one)


def test_the_level_is_that_of_twenty_frames() -> None:
    memory = EARS["distilled"].memory()
    energies = plain_frontend()(MUSIC["a"][:1])[0]
    for _ in range(30):
        memory.remove_gain(energies, 1.0)
    for _ in range(20):
        forgotten = memory.remove_gain(energies, 0.01)
    fresh = EARS["distilled"].memory().remove_gain(energies, 0.01)
    np.testing.assert_allclose(forgotten, fresh, rtol=1e-5)


def test_a_filterbank_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="filterbank has shape"):
        EarFrontend(np.zeros((MEL_BANDS, FFT_WINDOW), np.float32))


def test_ears_that_differ_have_digests_that_differ() -> None:
    assert tiny_ear(0).digest() == tiny_ear(0).digest()
    assert tiny_ear(0).digest() != tiny_ear(1).digest()


def test_an_ear_survives_its_description() -> None:
    ear = tiny_ear()
    again = build_ear(ear_to_json(ear), ear_tensors(ear))
    np.testing.assert_array_equal(alone(again, MUSIC["a"]), WHOLE["distilled"]["a"])
    assert again.digest() == ear.digest()


def small_frontend(parameters: FeatureParameters) -> Frontend:
    random = np.random.default_rng(0)
    mel = random.random((parameters.mel_bands, parameters.fft_window // 2 + 1), dtype=np.float32)
    return Frontend(parameters, mel, random.random((12, parameters.frame_length // 2 + 1), dtype=np.float32))


def hearing_checkpoint(columns: int | None = None, parameters: FeatureParameters | None = None) -> Checkpoint:
    ear = tiny_ear()
    features = parameters or FeatureParameters()
    network = NetworkParameters(
        window=4,
        memory=8,
        ear_columns=ear.shape.outputs if columns is None else columns,
        summary_units=2,
        spread_units=2,
    )
    torch.manual_seed(0)
    return Checkpoint("hearing", small_frontend(features), EmotionNetwork(features, network).eval(), ear=ear)


def test_a_checkpoint_with_an_ear_survives_its_file(tmp_path: Path) -> None:
    checkpoint = hearing_checkpoint()
    torch.nn.init.normal_(checkpoint.network.summary.linear.weight)  # type: ignore[union-attr]
    checkpoint.save(tmp_path / "a.safetensors")
    copy = load_checkpoint(tmp_path / "a.safetensors")
    assert copy.ear is not None
    assert (copy.window, copy.history) == (4, 8)
    rows, rows_of_copy = (c.features(MUSIC["a"][:8], [c.memory()] * 8) for c in (checkpoint, copy))
    assert rows.shape == (8, 143)
    np.testing.assert_array_equal(rows, rows_of_copy)
    for lag in (0, 2, 6):
        for one, other in zip(
            checkpoint.estimate_with_std(rows[None], lag), copy.estimate_with_std(rows[None], lag), strict=True
        ):
            assert one is not None
            assert other is not None
            np.testing.assert_array_equal(one, other)
    assert checkpoint.frames_of_lag(3.5) == 7


def test_a_checkpoint_whose_ear_says_another_number_of_things_is_refused(tmp_path: Path) -> None:
    hearing_checkpoint(columns=5).save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="another number of columns than its ear gives"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_a_checkpoint_without_its_ear_is_refused(tmp_path: Path) -> None:
    deaf = hearing_checkpoint()
    deaf.ear = None
    deaf.save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="another number of columns than its ear gives"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_a_checkpoint_whose_frames_its_ear_cannot_hear_is_refused(tmp_path: Path) -> None:
    hearing_checkpoint(parameters=FeatureParameters(frame_duration=0.25)).save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="its ear needs frames of 11025 samples"):
        load_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"kind": "dog's"}, "unknown kind"),
        ({"kind": "musicnn", "networks": []}, "networks must be some of"),
        ({"kind": "musicnn", "networks": ["VGGish"]}, "networks must be some of"),
        ({"kind": "distilled", "network": {"filters": [2, 3], "outputs": 10**9}}, "outputs must be"),
        ({"kind": "distilled", "network": {"filters": [2, 3], "spectrum_filters": 5, "outputs": 3}}, "another shape"),
    ],
)
def test_impossible_ears_are_refused(description: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_ear(description, ear_tensors(tiny_ear()))
