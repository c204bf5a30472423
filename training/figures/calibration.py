"""How many labels lie within the published intervals.

A predictor that publishes a value and a standard deviation claims that the label lies within value ± z · std with a
certain chance, as if errors were Gaussian. Coverage is the share of labels that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from training.bootstrap import mean_over_rows
from training.figures.labelled import SIGNS, ClipsByDataSet, LabelledTracks, label_tracks
from training.figures.measuring import DIMENSIONS, RESAMPLES, with_intervals
from training.metrics import Array
from training.tracks import Tracks

LEVELS = (0.68, 0.95)
"""Of the intervals that are published."""

RELIABILITY_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.68, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of a reliability diagram."""


@dataclass(frozen=True)
class Coverage:
    """How many labels lie within an interval.

    Attributes
    ----------
    dataset, kind : str
        See `LabelledTracks`.
    clips : int
    level : float
        The share that ought to.
    dimension : str
    share : float
        The share that do; of time-continuous labels over all labelled frames, otherwise over clips.
    interval : tuple of float or None
        Ends of the share's 95 % interval over groups.
    """

    dataset: str
    kind: str
    clips: int
    level: float
    dimension: str
    share: float
    interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as a JSON object, rounded to four decimals."""
        interval = None if self.interval is None else [round(end, 4) for end in self.interval]
        return {"level": self.level, "dimension": self.dimension, "share": round(self.share, 4), "interval": interval}


def coverage(
    tracks: Tracks, clips: ClipsByDataSet, levels: Sequence[float] = LEVELS, resamples: int = RESAMPLES
) -> list[Coverage]:
    """Measure the coverage of data sets with labels on a scale.

    Parameters
    ----------
    tracks : Tracks
    clips : mapping
        Clips by data set.
    levels : sequence of float
        Nominal shares, between 0 and 1.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of Coverage
        By data set, level and dimension. Signs have none, nor have tracks without standard deviations.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `label_tracks`.
    """
    found = []
    for labelled in label_tracks(tracks, clips):
        if labelled.kind == SIGNS or not labelled.has_stds:
            continue
        counts = np.array([len(rows.labels) for rows in labelled.by_group()[0]])
        statistic = mean_over_rows(_inside(labelled, levels), counts)
        shares = with_intervals(statistic, len(labelled.groups), resamples)
        keys = [(level, dimension) for level in levels for dimension in DIMENSIONS]
        found += [
            Coverage(labelled.dataset, labelled.kind, len(labelled.clips), *key, *share)
            for key, share in zip(keys, shares, strict=True)
        ]
    return found


def _inside(labelled: LabelledTracks, levels: Sequence[float]) -> Array:
    """Count each group's labels within each interval, averaged over folds: shape (groups, levels · 2)."""
    widths = stats.norm.ppf((1 + np.asarray(levels)) / 2)[:, np.newaxis, np.newaxis]
    folds = []
    for fold in labelled.by_group():
        groups = []
        for rows in fold:
            assert rows.stds is not None
            inside = np.abs(rows.labels - rows.values) <= widths * rows.stds
            groups.append(inside.sum(axis=1).ravel())
        folds.append(groups)
    return np.asarray(np.mean(folds, axis=0))
