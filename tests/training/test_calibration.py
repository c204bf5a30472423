from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.figures.conftest import continuous, signs, static
from training.calibration import LEVELS, spread_scale
from training.clips import StaticLabels
from training.tables import DataError
from training.tracks import Track

RATIOS = st.floats(0.2, 5)


@settings(max_examples=15)
@given(RATIOS, RATIOS)
def test_the_scale_is_the_ratio_of_errors_to_what_is_said_of_them(valence: float, arousal: float) -> None:
    clips, tracks = static(count=300, std=0.2)
    labels = {clip.name: clip.labels for clip in clips["emotify"]}
    random = np.random.default_rng(5)
    said = {}
    for name, track in tracks["emotify"].items():
        label = labels[name]
        assert isinstance(label, StaticLabels)
        errors = random.standard_normal(2) * 0.02 * np.array([valence, arousal])
        values = np.tile(np.array([label.valence, label.arousal]) + errors, (len(track.values), 1))
        said[name] = Track(values.astype(np.float32), np.full(values.shape, 0.02, np.float32))
    np.testing.assert_allclose(spread_scale({"emotify": said}, clips), [valence, arousal], rtol=0.12)


def test_scaled_intervals_cover_what_they_should() -> None:
    clips, tracks = continuous(songs=30, noise=0.1, std=0.37)
    scale = spread_scale(tracks, clips)
    np.testing.assert_allclose(scale, 0.1 / 0.37, rtol=0.05)
    again = {
        "vgmidi": {
            name: Track(track.values, (track.stds * scale).astype(np.float32))  # type: ignore[operator]
            for name, track in tracks["vgmidi"].items()
        }
    }
    np.testing.assert_allclose(spread_scale(again, clips), 1, atol=1e-3)
    assert LEVELS == (0.68, 0.95)


def test_data_sets_count_alike() -> None:
    songs, of_songs = continuous(songs=30, noise=0.1, std=0.1)
    pieces, of_pieces = static(count=300, noise=0.2, std=0.05)
    both = spread_scale(of_songs | of_pieces, songs | pieces)
    expected = np.sqrt(spread_scale(of_songs, songs) * spread_scale(of_pieces, pieces))
    np.testing.assert_allclose(both, expected)
    assert (both > 1.5).all()


def test_signs_and_tracks_without_spreads_say_nothing() -> None:
    clips, tracks = signs()
    np.testing.assert_array_equal(spread_scale(tracks, clips), [1, 1])
    clips, tracks = static()
    np.testing.assert_array_equal(spread_scale(tracks, clips), [1, 1])
    np.testing.assert_array_equal(spread_scale({}, {}), [1, 1])


def test_estimates_without_any_error_keep_a_spread() -> None:
    clips, tracks = static(noise=0.0, std=0.1)
    scale = spread_scale(tracks, clips)
    assert (scale > 0).all()
    assert np.isfinite(scale).all()


def test_tracks_of_unknown_clips_are_one_line() -> None:
    _, tracks = static(std=0.1)
    with pytest.raises(DataError, match="no such data set"):
        spread_scale(tracks, {})
