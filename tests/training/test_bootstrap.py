from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics
from training.bootstrap import SignClips, SongMoments, bootstrap_interval, mean_over_rows

Songs = list[np.ndarray]


def some_songs(seed: int, lengths: list[int]) -> tuple[Songs, Songs]:
    """Give labels, and estimates that follow them somewhat."""
    random = np.random.default_rng(seed)
    references = [random.uniform(-1, 1, 2) + random.normal(0, 0.1, (n, 2)) for n in lengths]
    return references, [0.5 * r + random.normal(0, 0.2, 2) + random.normal(0, 0.1, r.shape) for r in references]


LENGTHS = st.lists(st.integers(1, 30), min_size=2, max_size=8)
SEEDS = st.integers(0, 1000)


@given(SEEDS, LENGTHS, st.data())
def test_moments_give_the_metrics_of_the_songs_drawn(seed: int, lengths: list[int], data: st.DataObject) -> None:
    references, estimates = some_songs(seed, lengths)
    drawn = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=len(lengths), max_size=len(lengths)))
    reference = np.concatenate([references[i] for i in drawn])
    estimate = np.concatenate([estimates[i] for i in drawn])
    song = np.repeat(np.arange(len(drawn)), [lengths[i] for i in drawn])
    moments = SongMoments.of(references, estimates)
    draws = np.array([drawn])
    for ours, expected in (
        (moments.pooled_rmse, metrics.rmse(reference, estimate)),
        (moments.song_averaged_rmse, metrics.song_averaged_rmse(reference, estimate, song)),
        (moments.pearson_r, metrics.pearson_r(reference, estimate)),
        (moments.ccc, metrics.ccc(reference, estimate)),
        (moments.within_song_r, metrics.within_song_r(reference, estimate, song)),
    ):
        np.testing.assert_allclose(ours(draws), [expected], atol=1e-9)


@given(SEEDS, st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_clips_of_signs_give_the_metrics_of_the_songs_drawn(seed: int, clips: list[int], data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    song = np.repeat(np.arange(len(clips)), clips)
    signs = random.choice([-1.0, 1.0], (len(song), 2))
    # coarse, so that there are ties and zeros
    estimates = (0.3 * signs + random.normal(0, 0.5, signs.shape)).round(1)
    drawn = data.draw(st.lists(st.integers(0, len(clips) - 1), min_size=len(clips), max_size=len(clips)))
    rows = np.concatenate([np.flatnonzero(song == i) for i in drawn])
    reference, estimate = signs[rows], estimates[rows]
    moments = SignClips(song, len(clips), signs, estimates)
    for ours, expected in (
        (moments.roc_auc, metrics.roc_auc(reference, estimate)),
        (moments.sign_accuracy, np.mean((reference > 0) == (estimate > 0), axis=0)),
        (moments.quadrant_accuracy, [metrics.quadrant_accuracy(reference, estimate)]),
        (moments.quadrant_macro_f1, [metrics.quadrant_macro_f1(reference, estimate)]),
    ):
        np.testing.assert_allclose(ours(np.array(drawn)), expected, atol=1e-12)
        np.testing.assert_allclose(ours(np.array([drawn, drawn])), [expected] * 2, atol=1e-12)


def test_a_mean_over_rows_weighs_songs_by_their_rows() -> None:
    statistic = mean_over_rows(np.array([[1.0, 2.0], [9.0, 0.0]]), np.array([1, 3]))
    np.testing.assert_allclose(statistic(np.array([[0, 0], [0, 1], [1, 1]])), [[1, 2], [2.5, 0.5], [3, 0]])


@given(SEEDS)
def test_an_interval_of_an_average_contains_it_and_grows_with_confidence(seed: int) -> None:
    references, estimates = some_songs(seed, [20] * 30)
    moments = SongMoments.of(references, estimates)
    point = moments.song_averaged_rmse(np.arange(30))
    wide = bootstrap_interval(moments.song_averaged_rmse, 30, confidence=0.95, resamples=200)
    narrow = bootstrap_interval(moments.song_averaged_rmse, 30, confidence=0.5, resamples=200)
    assert np.all((wide[:, 0] <= point) & (point <= wide[:, 1]))
    assert np.all((wide[:, 0] <= narrow[:, 0]) & (narrow[:, 1] <= wide[:, 1]))


def test_the_interval_of_a_mean_is_what_theory_says() -> None:
    values = np.random.default_rng(0).normal(0, 1, (400, 2))
    low, high = bootstrap_interval(lambda draws: values[draws].mean(axis=-2), 400, resamples=4000).T
    expected = 1.96 * values.std(axis=0) / 20
    np.testing.assert_allclose(high - values.mean(axis=0), expected, rtol=0.1)
    np.testing.assert_allclose(values.mean(axis=0) - low, expected, rtol=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    moments = SongMoments.of(*some_songs(1, [5, 9, 12, 7]))
    first, again, other = (bootstrap_interval(moments.ccc, 4, resamples=100, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_songs_that_are_all_alike_leave_no_doubt() -> None:
    reference, estimate = some_songs(0, [10])
    moments = SongMoments.of(reference * 5, estimate * 5)
    low, high = bootstrap_interval(moments.pooled_rmse, 5, resamples=50).T
    np.testing.assert_allclose(low, high)


def test_one_song_has_no_interval() -> None:
    moments = SongMoments.of(*some_songs(0, [10]))
    with pytest.raises(ValueError, match="at least two"):
        bootstrap_interval(moments.ccc, 1)


def test_songs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        SongMoments.of([np.zeros((3, 2))], [np.zeros((4, 2))])
