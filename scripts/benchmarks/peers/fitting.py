"""Linear maps from what a peer says to valence and arousal, fitted without the songs that they are measured on.

- Labels on a scale: ridge regression. Signs: logistic regression, whose chance p of a plus is put on the scale as
  2p - 1. Every data set has a map of its own, and valence and arousal each their own strength of regularisation,
  chosen by cross-validation over the training folds.
- Labels for a whole clip are predicted from what the peer says of all of it, so every frame of the track is the same.
- Time-continuous labels are predicted from the mean of the patches that have ended so far, which a live stream could
  have; before the first has ended, the track is the mean of the training labels.
- The folds are moodring's own: `training.clips.fold_of`, and the publishers' split for emopia.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model.features import FeatureParameters
from scripts.benchmarks.peers.hearing import Heard
from training.clips import DEVELOPMENT, EVALUATION, FOLDS, Clip, DynamicLabels, FloatArray, SignLabels, fold_of
from training.tables import DataError
from training.tracks import Track

FRAME_DURATION = FeatureParameters().frame_duration
"""Seconds."""

OWN_SPLIT = frozenset({"emopia"})
"""Data sets that are trained on their development part and measured on their evaluation part."""

_ALPHAS = np.logspace(-1, 5, 7)
_COSTS = np.logspace(-5, 1, 7)
_ROUNDING = 1e-4
"""Seconds; ends of patches went through float32."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Examples:
    """What is fitted.

    Attributes
    ----------
    inputs : ndarray of float64, shape (n, k)
    labels : ndarray of float64, shape (n, 2)
        Valence first.
    weights : ndarray of float64, shape (n,)
        Labelled frames that a row stands for, or 1.
    folds : ndarray of int, shape (n,)
        Within which nothing is chosen and measured at once.
    """

    inputs: Array
    labels: Array
    weights: Array
    folds: NDArray[np.intp]

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Put examples one after the other."""
        fields = [[getattr(part, name) for part in parts] for name in ("inputs", "labels", "weights", "folds")]
        return cls(*(np.concatenate(field) for field in fields))


@dataclass(frozen=True, eq=False)
class LinearMap:
    """From inputs to valence and arousal.

    Attributes
    ----------
    estimators : sequence
        One each, fitted.
    signs : bool
        Whether they tell signs.
    mean : ndarray of float64, shape (2,)
        Of the labels that they were fitted to.
    """

    estimators: Sequence[Any]
    signs: bool
    mean: Array

    def __call__(self, inputs: Array) -> Array:
        """Return valence and arousal in [-1, 1], shape (n, 2), for inputs of shape (n, k)."""
        if self.signs:
            logits = np.stack([e.decision_function(inputs) for e in self.estimators], axis=1)
            return np.asarray(np.tanh(logits / 2))
        return np.clip(np.stack([e.predict(inputs) for e in self.estimators], axis=1), -1, 1)


def splits(clips: Sequence[Clip]) -> list[tuple[list[int], list[int]]]:
    """Return which clips of one data set are trained on, and which measured, in every fold.

    Clips that no fold measures (emopia's development part) are only trained on.
    """
    if clips and clips[0].dataset in OWN_SPLIT:
        parts = [[i for i, clip in enumerate(clips) if clip.part == part] for part in (DEVELOPMENT, EVALUATION)]
        return [(parts[0], parts[1])]
    folds = [fold_of(clip.group) for clip in clips]
    return [
        (
            [i for i, fold in enumerate(folds) if fold != held_out],
            [i for i, fold in enumerate(folds) if fold == held_out],
        )
        for held_out in range(FOLDS)
    ]


def patches_ended(heard: Heard, frames: int) -> NDArray[np.intp]:
    """Return how many patches have ended at the end of each frame, shape (frames,)."""
    times = np.arange(1, frames + 1) * FRAME_DURATION
    return np.searchsorted(heard.ends, times + _ROUNDING, side="right")


def running_means(patches: FloatArray) -> Array:
    """Return the mean of every row and all rows before it, shape (n, k)."""
    counts = np.arange(1, len(patches) + 1)[:, np.newaxis]
    return np.asarray(np.cumsum(patches, axis=0, dtype=np.float64) / counts)


def examples_of(clip: Clip, heard: Heard, columns: Sequence[int]) -> Examples:
    """Return what a clip teaches; of time-continuous labels, a row per patch that is the newest at a labelled frame.

    Parameters
    ----------
    clip : Clip
    heard : Heard
    columns : sequence of int
        Which of the peer's numbers are the inputs.
    """
    fold = fold_of(clip.group)
    if not isinstance(clip.labels, DynamicLabels):
        labels = np.array([[clip.labels.valence, clip.labels.arousal]], dtype=np.float64)
        return Examples(heard.whole[np.newaxis, columns].astype(np.float64), labels, np.ones(1), np.array([fold]))
    frames = _frames(heard)
    ended = patches_ended(heard, frames)
    by_frame = clip.labels.per_frame(frames, FRAME_DURATION).astype(np.float64)
    usable = (ended > 0) & ~np.isnan(by_frame).any(axis=1)
    newest, row, counts = np.unique(ended[usable], return_inverse=True, return_counts=True)
    sums = np.zeros((len(newest), 2))
    np.add.at(sums, row, by_frame[usable])
    inputs = running_means(heard.patches[:, columns])[newest - 1]
    return Examples(inputs, sums / counts[:, np.newaxis], counts.astype(np.float64), np.full(len(newest), fold))


def fit(examples: Examples, signs: bool) -> LinearMap:
    """Fit a map.

    Parameters
    ----------
    examples : Examples
    signs : bool
        Whether the labels are signs.

    Returns
    -------
    LinearMap

    Raises
    ------
    DataError
        If there are too few examples to choose anything: of one fold or one sign only.
    """
    if len(np.unique(examples.folds)) < 2:
        raise DataError("too few clips to fit anything on; raise --limit")
    estimators = []
    for labels in examples.labels.T:
        if signs:
            estimators.append(_fit_logistic(examples, labels))
        else:
            estimators.append(_fit_ridge(examples, labels))
    return LinearMap(estimators, signs, np.average(examples.labels, axis=0, weights=examples.weights))


def tracks_of(clips: Sequence[Clip], heard: Sequence[Heard], columns: Sequence[int]) -> dict[str, Track]:
    """Predict the clips of a data set, each by a map that was fitted without its fold.

    Parameters
    ----------
    clips : sequence of Clip
        Of one data set and with one kind of labels.
    heard : sequence of Heard
        What a peer said of each.
    columns : sequence of int
        Which of the peer's numbers are the inputs.

    Returns
    -------
    dict
        Clip name to track, in the order of the clips.

    Raises
    ------
    DataError
        If there are too few clips.
    """
    signs = isinstance(clips[0].labels, SignLabels)
    tracks: dict[str, Track] = {}
    for training, held_out in splits(clips):
        if not (training and held_out):
            continue
        mapped = fit(Examples.joined([examples_of(clips[i], heard[i], columns) for i in training]), signs)
        tracks.update({clips[i].name: track(mapped, clips[i], heard[i], columns) for i in held_out})
    return {clip.name: tracks[clip.name] for clip in clips if clip.name in tracks}


def track(mapped: LinearMap, clip: Clip, heard: Heard, columns: Sequence[int]) -> Track:
    """Return the track of a clip that the map was not fitted to."""
    frames = _frames(heard)
    if not isinstance(clip.labels, DynamicLabels):
        values = np.repeat(mapped(heard.whole[np.newaxis, columns].astype(np.float64)), frames, axis=0)
        return Track(values.astype(np.float32))
    means = running_means(heard.patches[:, columns])
    by_count = np.concatenate([mapped.mean[np.newaxis], mapped(means) if len(means) else np.empty((0, 2))])
    return Track(by_count[patches_ended(heard, frames)].astype(np.float32))


def _frames(heard: Heard) -> int:
    return int((heard.duration + _ROUNDING) / FRAME_DURATION)


def _fit_ridge(examples: Examples, labels: Array) -> Any:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge()),
        {"ridge__alpha": _ALPHAS},
        scoring="neg_mean_squared_error",
        cv=PredefinedSplit(examples.folds),
    )
    return search.fit(examples.inputs, labels, ridge__sample_weight=examples.weights).best_estimator_


def _fit_logistic(examples: Examples, labels: Array) -> Any:
    for fold in np.unique(examples.folds):
        if len(np.unique(labels[examples.folds != fold])) < 2:
            raise DataError("too few clips: there is only one sign to fit; raise --limit")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        {"logisticregression__C": _COSTS},
        scoring=_log_likelihood,
        cv=PredefinedSplit(examples.folds),
    )
    with warnings.catch_warnings():
        # where signs can be told without an error, only weak regularisation, which is not chosen, does not converge
        warnings.simplefilter("ignore", ConvergenceWarning)
        return search.fit(examples.inputs, labels).best_estimator_


def _log_likelihood(estimator: Any, inputs: Array, labels: Array) -> float:
    return -float(log_loss(labels, estimator.predict_proba(inputs), labels=estimator.classes_))
