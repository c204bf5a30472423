from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.summary import LARGEST_STD, SMALLEST_STD
from tests.training.figures.conftest import continuous, signs, static
from training.calibration import EXPONENTS, LEVELS, SpreadCalibration, calibrate_spread
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
    found = calibrate_spread({"emotify": said}, clips)
    np.testing.assert_allclose(found.scale, [valence, arousal], rtol=0.12)
    assert found.exponent == (1, 1)  # nothing differs, so nothing says how much it should


@settings(max_examples=15)
@given(st.floats(0.3, 1), st.floats(0.3, 1))
def test_an_exponent_that_was_applied_is_found(valence: float, arousal: float) -> None:
    exponents = np.array([valence, arousal])
    clips, tracks = continuous(songs=60, noise=0.0, std=0.1)
    random = np.random.default_rng(4)
    said = {}
    for name, track in tracks["vgmidi"].items():
        stds = np.exp(random.uniform(-4, -2, (len(track.values), 2)))
        values = track.values + random.standard_normal(track.values.shape) * stds**exponents * 0.3
        said[name] = Track(values.astype(np.float32), stds.astype(np.float32))
    found = calibrate_spread({"vgmidi": said}, clips)
    np.testing.assert_allclose(found.exponent, exponents, atol=0.05)
    np.testing.assert_allclose(found.scale, 0.3, rtol=0.15)


def test_changed_intervals_cover_what_they_should() -> None:
    clips, tracks = continuous(songs=30, noise=0.1, std=0.37)
    found = calibrate_spread(tracks, clips)
    np.testing.assert_allclose(found.scale, 0.1 / 0.37, rtol=0.05)
    again = {
        name: Track(track.values, found.apply(track.stds))  # type: ignore[arg-type]
        for name, track in tracks["vgmidi"].items()
    }
    np.testing.assert_allclose(calibrate_spread({"vgmidi": again}, clips).scale, 1, atol=1e-3)
    assert LEVELS == (0.68, 0.95)


def test_data_sets_count_alike() -> None:
    songs, of_songs = continuous(songs=30, noise=0.1, std=0.1)
    pieces, of_pieces = static(count=300, noise=0.2, std=0.1)
    both = calibrate_spread(of_songs | of_pieces, songs | pieces)
    alone = [calibrate_spread(*one).scale for one in ((of_songs, songs), (of_pieces, pieces))]
    np.testing.assert_allclose(both.scale, np.sqrt(np.prod(alone, axis=0)))
    assert min(both.scale) > 1.2


def test_spreads_that_differ_where_errors_do_not_are_brought_together() -> None:
    songs, of_songs = continuous(songs=30, noise=0.15, std=0.1)
    pieces, of_pieces = static(count=300, noise=0.15, std=0.2)
    both = calibrate_spread(of_songs | of_pieces, songs | pieces)
    np.testing.assert_allclose(both.exponent, EXPONENTS[0], atol=0.01)


def test_changed_spreads_stay_within_what_a_network_gives() -> None:
    stds = np.array([[0.02, 0.9], [1.0, 0.1]], dtype=np.float32)
    changed = SpreadCalibration((0.5, 2.0), (1.0, 0.5)).apply(stds)
    np.testing.assert_allclose(changed, [[SMALLEST_STD, LARGEST_STD], [0.5, 2 * 0.1**0.5]], rtol=1e-6)
    assert changed.dtype == np.float32


def test_signs_and_tracks_without_spreads_say_nothing() -> None:
    for clips, tracks in (signs(), static(), ({}, {})):
        assert calibrate_spread(tracks, clips) == SpreadCalibration()


def test_estimates_without_any_error_keep_a_spread() -> None:
    clips, tracks = static(noise=0.0, std=0.1)
    found = calibrate_spread(tracks, clips)
    assert np.isfinite([found.scale, found.exponent]).all()
    assert min(found.scale) > 0


def test_tracks_of_unknown_clips_are_one_line() -> None:
    _, tracks = static(std=0.1)
    with pytest.raises(DataError, match="no such data set"):
        calibrate_spread(tracks, {})
