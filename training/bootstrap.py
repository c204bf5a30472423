"""How far figures would move with other songs: percentile bootstrap intervals, songs drawn with replacement.

Frames of a song are anything but independent, so whole songs are drawn (Efron & Tibshirani, "An Introduction to the
Bootstrap", 1993). `SongMoments` keeps what is needed of every song, so that a thousand draws take milliseconds and no
frame is touched again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.metrics import Array, ratio_or_zero, validate

Draws = NDArray[np.integer]
"""Indices of songs, shape (..., songs): every row of the last axis is one draw."""


def bootstrap_interval(
    statistic: Callable[[Draws], Array],
    songs: int,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Array:
    """Return the percentile bootstrap interval of a statistic over songs.

    Parameters
    ----------
    statistic : callable
        From draws, shape (..., songs), to figures, shape (..., k); for instance a method of `SongMoments`.
    songs : int
        How many there are, at least 2.
    confidence : float
        Between 0 and 1.
    resamples : int
        How often as many songs as there are, are drawn.
    seed : int
        The same draws for the same seed and the same number of songs.

    Returns
    -------
    ndarray of float64, shape (k, 2)
        Lower and upper end of each figure's interval.

    Raises
    ------
    ValueError
        If there are fewer than two songs: one alone says nothing about others.
    """
    if songs < 2:
        raise ValueError(f"an interval over songs needs at least two, not {songs}")

    def figures_first(draws: Draws, axis: int) -> Array:
        return np.moveaxis(statistic(draws), -1, 0)

    result = stats.bootstrap(
        (np.arange(songs),),
        figures_first,
        n_resamples=resamples,
        vectorized=True,
        axis=-1,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return np.stack([result.confidence_interval.low, result.confidence_interval.high], axis=-1)


@dataclass(frozen=True, eq=False)
class SongMoments:
    """Moments of every song's rows, from which the metrics over any draw of songs follow.

    The statistics are those of `training.metrics`, of the songs drawn; a song that is drawn twice counts as two.

    Attributes
    ----------
    counts : ndarray of float64, shape (songs, 1)
        Rows of each song.
    squared_errors : ndarray of float64, shape (songs, 2)
        Mean squared error of each song.
    reference_means, estimate_means : ndarray of float64, shape (songs, 2)
    reference_variances, estimate_variances, covariances : ndarray of float64, shape (songs, 2)
        Population moments within each song.
    """

    counts: Array
    squared_errors: Array
    reference_means: Array
    estimate_means: Array
    reference_variances: Array
    estimate_variances: Array
    covariances: Array

    @classmethod
    def of(cls, references: Sequence[NDArray[np.floating]], estimates: Sequence[NDArray[np.floating]]) -> SongMoments:
        """Take the moments of songs.

        Parameters
        ----------
        references, estimates : sequence of ndarray of float, each of shape (rows, 2)
            One array per song.

        Raises
        ------
        ValueError
            If a song's arrays do not fit together; see `training.metrics.validate`.
        """
        moments = []
        for reference, estimate in zip(references, estimates, strict=True):
            validate(reference, estimate)
            x, y = reference.astype(np.float64), estimate.astype(np.float64)
            x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
            covariance = np.mean((x - x_mean) * (y - y_mean), axis=0)
            moments.append([np.mean((x - y) ** 2, axis=0), x_mean, y_mean, x.var(axis=0), y.var(axis=0), covariance])
        counts = np.array([[len(reference)] for reference in references], dtype=np.float64)
        return cls(counts, *np.moveaxis(np.array(moments), 1, 0))

    def pooled_rmse(self, draws: Draws) -> Array:
        """Return `metrics.rmse` of each draw, shape (..., 2)."""
        return np.asarray(np.sqrt(self._over_rows(self.squared_errors, draws)))

    def song_averaged_rmse(self, draws: Draws) -> Array:
        """Return `metrics.song_averaged_rmse` of each draw, shape (..., 2)."""
        return np.asarray(np.sqrt(self.squared_errors)[draws].mean(axis=-2))

    def pearson_r(self, draws: Draws) -> Array:
        """Return `metrics.pearson_r` of each draw, shape (..., 2)."""
        _, variances, covariance = self._pooled(draws)
        return ratio_or_zero(covariance, np.sqrt(variances[0] * variances[1]))

    def ccc(self, draws: Draws) -> Array:
        """Return `metrics.ccc` of each draw, shape (..., 2)."""
        means, variances, covariance = self._pooled(draws)
        return ratio_or_zero(2 * covariance, variances[0] + variances[1] + (means[0] - means[1]) ** 2)

    def within_song_r(self, draws: Draws) -> Array:
        """Return `metrics.within_song_r` of each draw, shape (..., 2)."""
        variances = [self._over_rows(v, draws) for v in (self.reference_variances, self.estimate_variances)]
        return ratio_or_zero(self._over_rows(self.covariances, draws), np.sqrt(variances[0] * variances[1]))

    def _over_rows(self, means: Array, draws: Draws) -> Array:
        counts = self.counts[draws]
        return np.asarray((counts * means[draws]).sum(axis=-2) / counts.sum(axis=-2))

    def _pooled(self, draws: Draws) -> tuple[tuple[Array, Array], tuple[Array, Array], Array]:
        x_means, y_means = self.reference_means, self.estimate_means
        # taken from a mean near all draws' own, so that little cancels
        x_shift, y_shift = x_means - x_means.mean(axis=0), y_means - y_means.mean(axis=0)
        x_mean, y_mean = self._over_rows(x_shift, draws), self._over_rows(y_shift, draws)
        x_variance = self._over_rows(self.reference_variances + x_shift**2, draws) - x_mean**2
        y_variance = self._over_rows(self.estimate_variances + y_shift**2, draws) - y_mean**2
        covariance = self._over_rows(self.covariances + x_shift * y_shift, draws) - x_mean * y_mean
        means = x_mean + x_means.mean(axis=0), y_mean + y_means.mean(axis=0)
        # what rounding leaves of a constant's variance may lie below zero
        return means, (np.maximum(x_variance, 0.0), np.maximum(y_variance, 0.0)), covariance


@dataclass(frozen=True, eq=False)
class SignClips:
    """Clips that are labelled by signs, from which the metrics over any draw of songs follow.

    As with `SongMoments`, a song that is drawn twice counts as two, with all its clips. An estimate of 0 counts as
    negative, and zero is the threshold.

    Attributes
    ----------
    song : ndarray of int, shape (clips,)
        Which song (or artist) a clip belongs to, from 0.
    songs : int
        How many there are.
    signs, estimates : ndarray of float64, shape (clips, 2)
    """

    song: NDArray[np.integer]
    songs: int
    signs: Array
    estimates: Array

    def roc_auc(self, draws: Draws) -> Array:
        """Return `metrics.roc_auc` of each draw, shape (..., 2)."""
        weights = self._weights(draws)
        return np.stack([_weighted_auc(self.signs[:, i], self.estimates[:, i], weights) for i in range(2)], axis=-1)

    def sign_accuracy(self, draws: Draws) -> Array:
        """Return the share of clips whose sign is right, shape (..., 2)."""
        right = (self.signs > 0) == (self.estimates > 0)
        return _weighted_mean(right.astype(np.float64), self._weights(draws))

    def quadrant_accuracy(self, draws: Draws) -> Array:
        """Return `metrics.quadrant_accuracy` of each draw, shape (..., 1)."""
        right = ((self.signs > 0) == (self.estimates > 0)).all(axis=1, keepdims=True)
        return _weighted_mean(right.astype(np.float64), self._weights(draws))

    def quadrant_macro_f1(self, draws: Draws) -> Array:
        """Return `metrics.quadrant_macro_f1` of each draw, shape (..., 1)."""
        weights = self._weights(draws)
        quadrants = np.arange(4)
        truth, guess = ((values > 0) @ np.array([1, 2]) for values in (self.signs, self.estimates))
        is_true, is_guessed = (numbers[:, np.newaxis] == quadrants for numbers in (truth, guess))
        both = weights @ (is_true & is_guessed)
        either = weights @ is_true + weights @ is_guessed
        occurring = (either > 0).sum(axis=-1, keepdims=True)
        return np.asarray(ratio_or_zero(2 * both, either).sum(axis=-1, keepdims=True) / occurring)

    def _weights(self, draws: Draws) -> Array:
        """Return how often each draw has each clip, shape (..., clips)."""
        flat = draws.reshape(-1, draws.shape[-1])
        offsets = self.songs * np.arange(len(flat))[:, np.newaxis]
        counts = np.bincount((flat + offsets).ravel(), minlength=self.songs * len(flat))
        times = counts.reshape(*draws.shape[:-1], self.songs).astype(np.float64)
        return np.asarray(times[..., self.song])


def mean_over_rows(sums: Array, counts: NDArray[np.number]) -> Callable[[Draws], Array]:
    """Return the statistic that is the mean over all rows of the songs drawn.

    Parameters
    ----------
    sums : ndarray of float64, shape (songs, k)
        Of each song's rows.
    counts : ndarray, shape (songs,)
        Rows of each song.
    """

    def statistic(draws: Draws) -> Array:
        return np.asarray(sums[draws].sum(axis=-2) / counts[draws].sum(axis=-1)[..., np.newaxis])

    return statistic


def _weighted_mean(values: Array, weights: Array) -> Array:
    return np.asarray(weights @ values / weights.sum(axis=-1, keepdims=True))


def _weighted_auc(signs: Array, estimate: Array, weights: Array) -> Array:
    order = np.argsort(estimate, kind="stable")
    ranked, positive = estimate[order], signs[order] > 0
    weights = weights[..., order]
    negatives = np.where(positive, 0.0, weights)
    below = np.concatenate([np.zeros((*weights.shape[:-1], 1)), np.cumsum(negatives, axis=-1)], axis=-1)
    # what is tied with a clip counts half, so the mean of all below the tie and all up to its end
    lower = below[..., np.searchsorted(ranked, ranked, side="left")]
    upper = below[..., np.searchsorted(ranked, ranked, side="right")]
    positives = weights - negatives
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    wins = (positives * (lower + upper) / 2).sum(axis=-1)
    return np.asarray(np.where(pairs > 0, wins / np.where(pairs > 0, pairs, 1.0), 0.5))
