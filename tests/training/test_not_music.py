from __future__ import annotations

import numpy as np
import pytest

from model.features import FeatureParameters, Frontend
from tests.model.ears_for_tests import RememberingEar, tiny_ear
from training.not_music import CLIP_SECONDS, not_music, not_music_features

PARAMETERS = FeatureParameters()
KINDS = ("coloured noise", "hum", "talk", "speaker", "bursts", "machine")


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return not_music(PARAMETERS, clips_per_kind=1)


def test_every_kind_gives_frames_of_half_a_minute(clips: list[np.ndarray]) -> None:
    assert len(clips) == len(KINDS)
    for clip in clips:
        assert clip.shape == (round(CLIP_SECONDS / PARAMETERS.frame_duration), PARAMETERS.frame_length)
        assert clip.dtype == np.float32
        assert np.isfinite(clip).all()
        assert np.abs(clip).max() <= 1


def test_levels_are_those_of_microphones(clips: list[np.ndarray]) -> None:
    levels = [10 * np.log10(np.mean(np.square(clip, dtype=np.float64))) for clip in clips]
    # what is clipped becomes softer, by no more than a little
    assert all(-45 < level < -11.9 for level in levels), dict(zip(KINDS, levels, strict=True))
    assert np.std(levels) > 1


def test_the_same_seed_gives_the_same_sounds(clips: list[np.ndarray]) -> None:
    for one, other in zip(clips, not_music(PARAMETERS, clips_per_kind=1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(clips[0], not_music(PARAMETERS, seed=1, clips_per_kind=1)[0])


def test_kinds_differ(clips: list[np.ndarray], frontend: Frontend) -> None:
    described = []
    for clip in clips:
        rows = frontend(clip)
        logmel = rows[:, PARAMETERS.columns["logmel_mean"]]
        shape = (logmel - logmel.mean(axis=1, keepdims=True)).mean(axis=0)
        moves = rows[:, PARAMETERS.columns["logmel_std"]].mean(axis=0)
        described.append(np.concatenate([shape, moves]))
    for i, one in enumerate(described):
        for other in described[:i]:
            assert np.abs(one - other).mean() > 1.0


def test_what_an_ear_says_stands_behind_the_features(clips: list[np.ndarray], frontend: Frontend) -> None:
    plain = not_music_features(frontend, None, clips_per_kind=1)
    for ear in (tiny_ear(), RememberingEar()):
        both = not_music_features(frontend, ear, clips_per_kind=1)
        for clip, features, rows in zip(clips, plain, both, strict=True):
            np.testing.assert_array_equal(rows[:, : PARAMETERS.feature_count], features)
            expected = ear.hear(clip, [ear.memory()] * len(clip))
            np.testing.assert_allclose(rows[:, PARAMETERS.feature_count :], expected, atol=1e-5)
