from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training import metrics

REFERENCE = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0]])
ESTIMATE = np.array([[1.0, 0.5], [3.0, 0.5], [2.0, 0.5], [4.0, 0.5]])


def test_rmse_by_hand() -> None:
    np.testing.assert_allclose(metrics.rmse(REFERENCE, ESTIMATE), [np.sqrt(0.5), 0.5])


def test_rmse_of_songs_by_hand() -> None:
    songs = np.array([7, 3, 3, 7])
    np.testing.assert_allclose(metrics.rmse_per_song(REFERENCE, ESTIMATE, songs), [[1, 0.5], [0, 0.5]])
    np.testing.assert_allclose(metrics.song_averaged_rmse(REFERENCE, ESTIMATE, songs), [0.5, 0.5])
    # one row of the first song, three of the second: pooled, the second counts three times
    songs = np.array([0, 1, 1, 1])
    np.testing.assert_allclose(metrics.song_averaged_rmse(REFERENCE, ESTIMATE, songs), [np.sqrt(2 / 3) / 2, 0.5])
    np.testing.assert_allclose(metrics.rmse_per_song(REFERENCE[:, 0], ESTIMATE[:, 0], songs), [0, np.sqrt(2 / 3)])


def test_pearson_by_hand_and_zero_for_a_constant() -> None:
    np.testing.assert_allclose(metrics.pearson_r(REFERENCE, ESTIMATE), [0.8, 0.0])


def test_ccc_by_hand() -> None:
    # means 2.5 and 2.5, variances 1.25 and 1.25, covariance 1
    np.testing.assert_allclose(metrics.ccc(REFERENCE, ESTIMATE), [0.8, 0.0])
    # shifted by one: 2 * 1.25 / (1.25 + 1.25 + 1)
    np.testing.assert_allclose(metrics.ccc(REFERENCE[:, 0], REFERENCE[:, 0] + 1), 2.5 / 3.5)


def test_pearson_agrees_with_numpy() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_allclose(metrics.pearson_r(x, y), np.corrcoef(x, y)[0, 1], rtol=1e-12)


def test_within_song_r_ignores_what_differs_between_songs() -> None:
    songs = np.array([0, 0, 0, 1, 1, 1])
    reference = np.array([0.0, 0.1, 0.2, 0.9, 0.8, 0.7])
    follows = reference + np.array([5, 5, 5, -5, -5, -5])
    assert metrics.within_song_r(reference, follows, songs) == pytest.approx(1.0)
    assert metrics.within_song_r(reference, metrics.song_means(reference, songs), songs) == 0


def test_song_means() -> None:
    means = metrics.song_means(REFERENCE, np.array([7, 7, 3, 3]))
    np.testing.assert_allclose(means, [[1.5, 0.5], [1.5, 0.5], [3.5, 0.5], [3.5, 0.5]])


def test_auc_by_hand_with_ties() -> None:
    signs = np.array([-1.0, -1.0, 1.0, 1.0])
    assert metrics.roc_auc(signs, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert metrics.roc_auc(signs, np.zeros(4)) == 0.5
    assert metrics.roc_auc(signs, signs) == 1.0
    assert metrics.roc_auc(np.ones(4), signs) == 0.5


def test_auc_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(1)
    signs = np.where(random.random((40, 2)) < 0.4, 1.0, -1.0)
    estimate = random.normal(size=(40, 2)).round(1)
    for column, auc in enumerate(metrics.roc_auc(signs, estimate)):
        positive = estimate[signs[:, column] > 0, column][:, None]
        negative = estimate[signs[:, column] < 0, column]
        assert auc == pytest.approx(np.mean((positive > negative) + 0.5 * (positive == negative)))


def test_quadrants_by_hand() -> None:
    signs = np.array([[1, 1], [1, 1], [-1, 1], [-1, -1]], dtype=float)
    estimate = np.array([[0.2, 0.1], [-0.2, 0.1], [-0.1, 0.3], [-0.4, -0.1]])
    assert metrics.quadrant_accuracy(signs, estimate) == 0.75
    assert metrics.quadrant_macro_f1(signs, estimate) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_mean_predictor_has_no_skill_but_the_mean() -> None:
    constant = metrics.mean_predictor(np.array([2.5, 0.5]), 4)
    np.testing.assert_allclose(metrics.rmse(REFERENCE, constant), REFERENCE.std(axis=0))
    np.testing.assert_array_equal(metrics.ccc(REFERENCE, constant), [0, 0])


@pytest.mark.parametrize(
    ("reference", "estimate"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2))),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (np.zeros((3, 3)), np.zeros((3, 3))),
        (np.array([0.0, np.nan]), np.zeros(2)),
    ],
)
def test_what_has_no_metric_is_refused(reference: np.ndarray, estimate: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"shape|finite"):
        metrics.ccc(reference, estimate)


VALUES = arrays(np.float64, (12, 2), elements=st.floats(-1, 1, width=32))


@given(VALUES, VALUES)
def test_ccc_never_exceeds_r_and_both_are_symmetric(x: np.ndarray, y: np.ndarray) -> None:
    assume(x.std(axis=0).min() > 1e-3 and y.std(axis=0).min() > 1e-3)
    ccc, r = metrics.ccc(x, y), metrics.pearson_r(x, y)
    assert np.all(np.abs(ccc) <= np.abs(r) + 1e-9)
    np.testing.assert_allclose(ccc, metrics.ccc(y, x), atol=1e-12)
    assert np.all(np.abs(r) <= 1 + 1e-9)


@given(VALUES, VALUES, st.permutations(range(12)))
def test_song_averaged_rmse_does_not_depend_on_the_order_of_rows(
    x: np.ndarray, y: np.ndarray, order: list[int]
) -> None:
    songs = np.repeat([4, 1, 2], [2, 7, 3])
    expected = metrics.song_averaged_rmse(x, y, songs)
    np.testing.assert_allclose(metrics.song_averaged_rmse(x[order], y[order], songs[order]), expected, atol=1e-12)


@given(VALUES, VALUES)
def test_songs_of_equal_length_never_average_to_more_than_pooled(x: np.ndarray, y: np.ndarray) -> None:
    songs = np.repeat(np.arange(4), 3)
    assert np.all(metrics.song_averaged_rmse(x, y, songs) <= metrics.rmse(x, y) + 1e-12)


@given(VALUES, VALUES)
def test_songs_that_are_equally_wrong_average_to_the_pooled_figure(x: np.ndarray, y: np.ndarray) -> None:
    repeated = np.tile(x, (3, 1)), np.tile(y, (3, 1))
    songs = np.repeat(np.arange(3), 12)
    np.testing.assert_allclose(metrics.song_averaged_rmse(*repeated, songs), metrics.rmse(*repeated), atol=1e-12)
