"""A gain changes the level of what is heard, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.features import Frontend
from tests.model.ears_for_tests import tiny_ear
from tests.training.conftest import tone
from training.altered_sound import AlteredFeatureCache
from training.extractors import FrontendExtractor
from training.feature_cache import FeatureCache
from training.gain_features import WithGain
from training.tables import DataError


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    samples = np.stack([tone(3, 220, True, 44100), tone(3, 330, False, 44100)], axis=1)
    soundfile.write(path, samples, 44100, subtype="FLOAT")
    return path


def with_gain(folder: Path, frontend: Frontend, gain: float) -> AlteredFeatureCache:
    return AlteredFeatureCache(folder, frontend, partial(WithGain, gain=gain), ear=tiny_ear())


def test_no_gain_changes_nothing(tmp_path: Path, song: Path, frontend: Frontend) -> None:
    plain = FeatureCache(tmp_path / "cache", frontend, ear=tiny_ear())
    altered = with_gain(tmp_path / "cache", frontend, 0.0)
    np.testing.assert_array_equal(altered.load(song), plain.load(song))
    assert altered.frontend is frontend
    assert altered.ear is not None
    assert altered.is_kept(song)


@pytest.mark.parametrize("gain", [-20.0, 20.0])
def test_levels_move_by_the_gain_even_above_full_scale(
    tmp_path: Path, song: Path, frontend: Frontend, gain: float
) -> None:
    columns = frontend.parameters.columns["logmel_mean"]
    before, after = (with_gain(tmp_path / "cache", frontend, g).load(song)[:, columns] for g in (0.0, gain))
    loud = before > before.max() - 30
    np.testing.assert_allclose((after - before)[loud], gain, atol=0.01)


def test_every_gain_is_kept_apart(tmp_path: Path, song: Path, frontend: Frontend) -> None:
    caches = [FeatureCache(tmp_path, frontend), *(with_gain(tmp_path, frontend, gain) for gain in (-20, -10.5, 0))]
    assert len({cache.path(song) for cache in caches}) == 4
    assert with_gain(tmp_path, frontend, -20).path(song) == caches[1].path(song)


def test_a_file_without_music_is_named(tmp_path: Path, frontend: Frontend) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(100), 44100)
    with pytest.raises(DataError, match=r'short\.wav" is shorter than a frame'):
        WithGain(FrontendExtractor(frontend), -20)(path, Path("none"))
