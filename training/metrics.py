"""How well estimates agree with what listeners said.

Conventions
-----------
- ``reference`` and ``estimate`` are arrays of float of shape (n, 2) or (n,): one row per labelled frame or clip, one
  column per dimension (valence first). Every function reduces the first axis, so two columns give two figures.
- Figures are pooled over all rows, so that long songs count more, unless the name says otherwise: ``per_song``,
  ``song_averaged`` (every song counts the same, whatever its length) or ``within_song``.
- The variance of time-continuous labels lies mostly between songs. So no figure says much alone: the same figures
  are given for `mean_predictor` and, for time-continuous labels, `song_means`.
- Where a figure is undefined (a constant estimate has no correlation) it is 0; no figure here is ever NaN.

Metrics
-------
rmse
    Root of the mean squared error, pooled over all rows.
rmse_per_song, song_averaged_rmse
    The same of every song's rows alone, and the mean of these over the songs. Among songs of equal length the mean is
    never more than the pooled figure, and less as soon as some songs are worse estimated than others.
pearson_r
    Pearson's correlation.
ccc
    Lin's concordance correlation coefficient (1989), with population moments: correlation, less what is lost by
    another mean or spread.
within_song_r
    Pearson's correlation of what is left when every song's own means are taken away: does it follow the song?
roc_auc
    Area under the receiver operating characteristic of a sign: the chance that a positive clip's estimate exceeds a
    negative one's, ties counting half.
quadrant_accuracy, quadrant_macro_f1
    Of the four combinations of signs, with zero as the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def validate(reference: NDArray[np.floating], estimate: NDArray[np.floating]) -> None:
    """Refuse arrays that the metrics are not defined for.

    Raises
    ------
    ValueError
        If the shapes differ, or are not (n,) or (n, 2) with n > 0, or a number is not finite.
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"reference and estimate have shapes {reference.shape} and {estimate.shape}")
    if reference.ndim not in (1, 2) or len(reference) == 0 or (reference.ndim == 2 and reference.shape[1] != 2):
        raise ValueError(f"the shape must be (n,) or (n, 2) with n > 0, not {reference.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(estimate).all()):
        raise ValueError("reference and estimate must be finite")


def rmse(reference: NDArray[np.floating], estimate: NDArray[np.floating]) -> Array:
    """Return the root of the mean squared error pooled over all rows, shape () or (2,)."""
    validate(reference, estimate)
    difference = reference.astype(np.float64) - estimate
    return np.asarray(np.sqrt(np.mean(difference**2, axis=0)))


def rmse_per_song(reference: NDArray[np.floating], estimate: NDArray[np.floating], songs: NDArray[np.integer]) -> Array:
    """Return the root of the mean squared error of every song.

    Parameters
    ----------
    reference, estimate : ndarray of float, shape (n,) or (n, 2)
    songs : ndarray of int, shape (n,)
        Which song a row belongs to.

    Returns
    -------
    ndarray of float64, shape (songs,) or (songs, 2)
        In rising order of the songs' numbers.
    """
    validate(reference, estimate)
    difference = reference.astype(np.float64) - estimate
    return np.asarray(np.sqrt(_mean_per_song(difference**2, songs)[0]))


def song_averaged_rmse(
    reference: NDArray[np.floating], estimate: NDArray[np.floating], songs: NDArray[np.integer]
) -> Array:
    """Return the mean of `rmse_per_song` over the songs, shape () or (2,)."""
    return np.asarray(rmse_per_song(reference, estimate, songs).mean(axis=0))


def pearson_r(reference: NDArray[np.floating], estimate: NDArray[np.floating]) -> Array:
    """Return Pearson's correlation, shape () or (2,), in [-1, 1]; 0 where either side is constant."""
    validate(reference, estimate)
    _, _, variances, covariance = _moments(reference, estimate)
    return ratio_or_zero(covariance, np.sqrt(variances[0] * variances[1]))


def ccc(reference: NDArray[np.floating], estimate: NDArray[np.floating]) -> Array:
    """Return the concordance correlation coefficient, shape () or (2,), in [-1, 1]."""
    validate(reference, estimate)
    reference_mean, estimate_mean, variances, covariance = _moments(reference, estimate)
    return ratio_or_zero(2 * covariance, variances[0] + variances[1] + (reference_mean - estimate_mean) ** 2)


def within_song_r(reference: NDArray[np.floating], estimate: NDArray[np.floating], songs: NDArray[np.integer]) -> Array:
    """Return Pearson's correlation after every song's means are taken away.

    Parameters
    ----------
    reference, estimate : ndarray of float, shape (n,) or (n, 2)
    songs : ndarray of int, shape (n,)
        Which song a row belongs to.

    Returns
    -------
    ndarray of float64, shape () or (2,), in [-1, 1]
    """
    return pearson_r(reference - song_means(reference, songs), estimate - song_means(estimate, songs))


def mean_predictor(training_mean: NDArray[np.floating], rows: int) -> Array:
    """Return what a predictor says that always says the training labels' mean, shape (rows, 2)."""
    return np.tile(np.asarray(training_mean, dtype=np.float64), (rows, 1))


def song_means(values: NDArray[np.floating], songs: NDArray[np.integer]) -> Array:
    """Return every row's mean over its song: of the reference, what an oracle says that knows each song's mean.

    Parameters
    ----------
    values : ndarray of float, shape (n,) or (n, 2)
    songs : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of float64, of the shape of `values`
    """
    means, index = _mean_per_song(values, songs)
    return np.asarray(means[index])


def roc_auc(signs: NDArray[np.floating], estimate: NDArray[np.floating]) -> Array:
    """Return the area under the ROC curve of the sign, by the rank sum of Mann and Whitney.

    Parameters
    ----------
    signs : ndarray of float, shape (n,) or (n, 2)
        Above zero, or not.
    estimate : ndarray of float, of the same shape
        The larger, the more likely positive.

    Returns
    -------
    ndarray of float64, shape () or (2,), in [0, 1]; 0.5 where only one sign occurs
    """
    validate(signs, estimate)
    if signs.ndim == 2:
        return np.array([roc_auc(signs[:, i], estimate[:, i]) for i in range(2)])
    positive = signs > 0
    count, others = int(positive.sum()), int((~positive).sum())
    if count == 0 or others == 0:
        return np.array(0.5)
    _, index, ties = np.unique(estimate, return_inverse=True, return_counts=True)
    # ranks from 1, ties sharing their mean
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[index]
    return np.array((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def quadrant_accuracy(signs: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    """Return the share of rows, shape (n, 2), in which both signs are right; an estimate of 0 counts as negative."""
    validate(signs, estimate)
    return float(np.mean(_quadrants(signs) == _quadrants(estimate)))


def quadrant_macro_f1(signs: NDArray[np.floating], estimate: NDArray[np.floating]) -> float:
    """Return the mean of the F1 scores of the quadrants that occur in either, for rows of shape (n, 2)."""
    validate(signs, estimate)
    truth, guess = _quadrants(signs), _quadrants(estimate)
    scores = []
    for quadrant in np.union1d(truth, guess):
        both = np.sum((truth == quadrant) & (guess == quadrant))
        scores.append(2 * both / (np.sum(truth == quadrant) + np.sum(guess == quadrant)))
    return float(np.mean(scores))


def ratio_or_zero(numerator: Array, denominator: Array) -> Array:
    """Return the ratio, and 0 where the denominator is 0 but for rounding."""
    # a constant's variance is not exactly zero after rounding
    defined = denominator > 1e-15
    return np.asarray(np.where(defined, numerator / np.where(defined, denominator, 1.0), 0.0))


def _mean_per_song(values: NDArray[np.floating], songs: NDArray[np.integer]) -> tuple[Array, NDArray[np.intp]]:
    _, index = np.unique(songs, return_inverse=True)
    sums = np.zeros((int(index.max()) + 1, *values.shape[1:]))
    np.add.at(sums, index, values)
    counts = np.bincount(index).reshape(-1, *[1] * (values.ndim - 1))
    return sums / counts, index


def _quadrants(values: NDArray[np.floating]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = (values > 0).astype(np.int64) @ np.array([1, 2])
    return numbers


def _moments(
    reference: NDArray[np.floating], estimate: NDArray[np.floating]
) -> tuple[Array, Array, tuple[Array, Array], Array]:
    x, y = reference.astype(np.float64), estimate.astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    covariance = np.asarray(np.mean((x - x_mean) * (y - y_mean), axis=0))
    return x_mean, y_mean, (x.var(axis=0), y.var(axis=0)), covariance
