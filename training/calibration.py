"""How far standard deviations must be stretched, so that intervals cover the labels that they should."""

from __future__ import annotations

import numpy as np
from scipy import stats

from training.figures.labelled import SIGNS, ClipsByDataSet, label_tracks
from training.metrics import Array
from training.tracks import Tracks

LEVELS = (0.68, 0.95)


def spread_scale(tracks: Tracks, clips: ClipsByDataSet) -> Array:
    """Return the factors that valence's and arousal's standard deviations need.

    A factor of one means that the intervals cover what they should. It is the geometric mean over `LEVELS`, because
    errors are not quite normal and one factor must serve both, and over data sets, because one model must serve all.

    Parameters
    ----------
    tracks : Tracks
        Of clips that their predictor was not trained on, with standard deviations.
    clips : mapping
        Clips by data set; those with signs say nothing of distances, and are passed over.

    Returns
    -------
    ndarray of float64, shape (2,)
        Ones if there are no clips with labels on a scale.
    """
    logs = []
    widths = stats.norm.ppf((1 + np.asarray(LEVELS)) / 2)
    for labelled in label_tracks(tracks, clips):
        if labelled.kind == SIGNS or not labelled.has_stds:
            continue
        rows = [row for fold in labelled.by_group() for row in fold]
        ratios = np.concatenate([np.abs(row.labels - row.values) / row.stds for row in rows if row.stds is not None])
        reached = np.quantile(ratios, LEVELS, axis=0) / widths[:, np.newaxis]
        logs.append(np.log(np.maximum(reached, 1e-3)).mean(axis=0))
    factors: Array = np.exp(np.mean(logs, axis=0)) if logs else np.ones(2)
    return factors
