import itertools

import numpy as np
import pytest
import soxr
import torch

from model.checkpoint import Checkpoint, load_checkpoint
from model.harmony import Harmony
from streamer.composer import PEAK, SECTIONS, FloatArray, compose
from streamer.score import SCORES

RATE = 44100
MOODS = {section.name: section for section in SECTIONS}


@pytest.fixture(scope="module")
def piece() -> FloatArray:
    return compose(RATE)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="module")
def features(piece: FloatArray, checkpoint: Checkpoint) -> FloatArray:
    """Features of the piece's 120 frames."""
    parameters = checkpoint.frontend.parameters
    mono = soxr.resample(piece.mean(axis=1), RATE, parameters.sample_rate)
    frames = mono[: 120 * parameters.frame_length].reshape(120, parameters.frame_length)
    return checkpoint.features(frames, [checkpoint.memory()] * len(frames))


def samples_of(piece: FloatArray, name: str) -> FloatArray:
    return piece[round(MOODS[name].start * RATE) : round(MOODS[name].end * RATE)]


def frames_of(name: str) -> slice:
    return slice(round(2 * MOODS[name].start), round(2 * MOODS[name].end))


def level(samples: FloatArray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples))))


def test_is_one_minute_of_clean_stereo(piece: FloatArray) -> None:
    assert piece.shape == (60 * RATE, 2)
    assert piece.dtype == np.float32
    assert np.abs(piece).max() == pytest.approx(PEAK)
    assert np.abs(piece.mean(axis=0)).max() < 1e-4


def test_is_the_same_every_time(piece: FloatArray) -> None:
    np.testing.assert_array_equal(compose(RATE), piece)


def test_begins_and_ends_in_silence(piece: FloatArray) -> None:
    assert np.abs(piece[0]).max() < 1e-3
    assert np.abs(piece[-1]).max() < 1e-3


def test_sample_rate_changes_the_number_of_samples_but_not_the_music(piece: FloatArray) -> None:
    lower = compose(22050)
    assert lower.shape == (60 * 22050, 2)
    for section in SECTIONS:
        half = lower[round(section.start * 22050) : round(section.end * 22050)]
        assert level(half) == pytest.approx(level(samples_of(piece, section.name)), abs=2.0)


def test_refuses_a_sample_rate_that_cannot_hold_the_notes() -> None:
    with pytest.raises(ValueError, match="at least 16000"):
        compose(8000)


def test_sections_fill_the_piece_and_the_four_corners() -> None:
    assert [section.start for section in SECTIONS] == [0, 15, 30, 45]
    assert [section.end for section in SECTIONS] == [15, 30, 45, 60]
    corners = [(section.valence, section.arousal) for section in SECTIONS]
    assert set(corners) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    for before, after in itertools.pairwise(corners):
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_melodies_are_as_long_as_their_bars() -> None:
    for score in SCORES:
        beats = sum(float(word.split(":")[1]) for word in score.melody.split())
        assert beats == len(score.bars.split("|")) * score.beats_per_bar, score.name


def test_excited_sections_are_faster_and_much_louder(piece: FloatArray) -> None:
    tempo = {score.name: len(score.bars.split("|")) * score.beats_per_bar * 4 for score in SCORES}
    for excited in ("happy", "angry"):
        for quiet in ("calm", "sad"):
            assert tempo[excited] >= 2 * tempo[quiet]
            assert level(samples_of(piece, excited)) > level(samples_of(piece, quiet)) + 8


def test_joins_do_not_click(piece: FloatArray) -> None:
    steps = np.abs(np.diff(piece, axis=0)).max(axis=1)
    for section in SECTIONS[1:]:
        join = round(section.start * RATE)
        neighbours = steps[join - RATE // 2 : join + RATE // 2]
        assert steps[join - 2 : join + 2].max() <= 0.5 * neighbours.max()


def test_sections_are_in_a_major_or_minor_key_as_their_valence_says(
    features: FloatArray, checkpoint: Checkpoint
) -> None:
    chroma = features[:, checkpoint.frontend.parameters.columns["logchroma"]]
    for section in SECTIONS:
        columns = Harmony()(torch.from_numpy(chroma[np.newaxis, frames_of(section.name)]))
        major_minus_minor = float(columns[0, -1, 2])
        assert np.sign(major_minus_minor) == section.valence, section.name


def test_the_bundled_model_hears_what_was_meant(features: FloatArray, checkpoint: Checkpoint) -> None:
    ends = [round(2 * section.end) for section in SECTIONS]
    # as a live stream would: with what came before in memory
    heard = np.concatenate(
        [checkpoint.estimate(features[max(0, end - checkpoint.history) : end][np.newaxis]) for end in ends]
    )
    valence = {section.name: float(value) for section, value in zip(SECTIONS, heard[:, 0], strict=True)}
    arousal = {section.name: float(value) for section, value in zip(SECTIONS, heard[:, 1], strict=True)}
    assert min(arousal["happy"], arousal["angry"]) > max(arousal["calm"], arousal["sad"]) + 0.2
    assert valence["happy"] > valence["angry"] + 0.1
    assert valence["calm"] > valence["sad"] + 0.05
