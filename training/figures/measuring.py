"""Figures of tracks with intervals: what the goals are about.

Time-continuous labels
    CCC, RMSE, Pearson's r and within-song r over all labelled frames.
Static labels
    Pearson's r, CCC and RMSE over clips, of the mean of a clip's track.
Signs
    Area under the ROC curve and accuracy of each sign, accuracy and macro F1 of the quadrants, of the mean of a clip's
    track, with zero as the threshold.

Intervals are percentile bootstrap intervals, for which groups of clips (songs, artists) are drawn with replacement.
Where several models were asked about the same clips, a figure is the mean of the models' figures, and so it is in
every draw: the interval is about other songs, and not about other models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.bootstrap import Draws, SignClips, SongMoments, bootstrap_interval
from training.figures.labelled import SIGNS, TIME_CONTINUOUS, ClipsByDataSet, LabelledTracks, Rows, label_tracks
from training.metrics import Array
from training.tracks import Tracks

CCC = "CCC"
RMSE = "RMSE"
R = "r"
WITHIN_SONG_R = "within-song r"
AUC = "AUC"
SIGN_ACCURACY = "sign accuracy"
QUADRANT_ACCURACY = "quadrant accuracy"
QUADRANT_MACRO_F1 = "quadrant macro F1"
OUTPUT_CHANGE = "output change"

LOWER_IS_BETTER = frozenset({RMSE, OUTPUT_CHANGE})

DIMENSIONS = ("valence", "arousal")
BOTH = ""
"""The dimension of a figure that is about both together."""

RESAMPLES = 1000

Statistic = Callable[[Draws], Array]
"""From draws of groups, shape (..., groups), to figures, shape (..., k)."""

Key = tuple[str, str]
"""Metric and dimension."""


@dataclass(frozen=True)
class Figure:
    """A measured number.

    Attributes
    ----------
    metric : str
    dimension : str
        ``valence``, ``arousal``, or `BOTH`.
    value : float
    interval : tuple of float or None
        Ends of the 95 % interval; None where there is but one group.
    constant : float or None
        The same of the best predictor that knows nothing of a song: the mean of all labels.
    song_means : float or None
        The same of an oracle that knows each clip's mean label, and nothing of how it changes.
    """

    metric: str
    dimension: str
    value: float
    interval: tuple[float, float] | None
    constant: float | None = None
    song_means: float | None = None

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.metric}, {self.dimension}" if self.dimension else self.metric

    @property
    def dimension_index(self) -> int:
        """0 for valence, 1 for arousal, -1 for both together."""
        return DIMENSIONS.index(self.dimension) if self.dimension else -1

    def to_json(self) -> dict[str, Any]:
        """Return the figure as a JSON object, rounded to four decimals."""
        content: dict[str, Any] = {"value": round(self.value, 4)}
        content["interval"] = None if self.interval is None else [round(end, 4) for end in self.interval]
        for name in ("constant", "song_means"):
            if (value := getattr(self, name)) is not None:
                content[name] = round(value, 4)
        return content


@dataclass(frozen=True)
class SetFigures:
    """The figures of one data set's clips with one kind of labels.

    Attributes
    ----------
    dataset, kind : str
        See `LabelledTracks`.
    clips, groups, rows, folds : int
        How many were measured; rows are labelled frames, or clips.
    figures : list of Figure
    """

    dataset: str
    kind: str
    clips: int
    groups: int
    rows: int
    folds: int
    figures: list[Figure]

    @classmethod
    def of(cls, labelled: LabelledTracks, figures: list[Figure]) -> SetFigures:
        """Note what figures were measured on."""
        counts = len(labelled.clips), len(labelled.groups), labelled.row_count, len(labelled.rows)
        return cls(labelled.dataset, labelled.kind, *counts, figures)

    @property
    def name(self) -> str:
        """What is measured on, in words."""
        counts = [f"{self.clips} {'clip' if self.clips == 1 else 'clips'}"]
        if self.kind == TIME_CONTINUOUS:
            counts.append(f"{self.rows} frames")
        if self.folds > 1:
            counts.append(f"mean of {self.folds} models")
        return f"{self.dataset} ({', '.join(counts)})"

    def find(self, metric: str, dimension: str = BOTH) -> Figure:
        """Return one figure.

        Raises
        ------
        KeyError
            If it was not measured.
        """
        for figure in self.figures:
            if (figure.metric, figure.dimension) == (metric, dimension):
                return figure
        raise KeyError(f"{metric} {dimension}")

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object: of each metric, those of valence and arousal, or one of both."""
        content: dict[str, Any] = {name: getattr(self, name) for name in ("clips", "groups", "rows", "folds")}
        metrics: dict[str, Any] = {}
        for figure in self.figures:
            if figure.dimension:
                metrics.setdefault(figure.metric, {})[figure.dimension] = figure.to_json()
            else:
                metrics[figure.metric] = figure.to_json()
        return {**content, "metrics": metrics}


def measure(tracks: Tracks, clips: ClipsByDataSet, resamples: int = RESAMPLES) -> list[SetFigures]:
    """Measure tracks against labels.

    Parameters
    ----------
    tracks : Tracks
    clips : mapping
        Clips by data set; those without a track are not measured.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of SetFigures
        One per data set and kind of labels.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `label_tracks`.
    """
    return [measure_labelled(labelled, resamples) for labelled in label_tracks(tracks, clips)]


def measure_labelled(labelled: LabelledTracks, resamples: int = RESAMPLES) -> SetFigures:
    """Measure what `label_tracks` gave."""
    keys, statistic = statistic_of(labelled)
    everything = np.arange(len(labelled.groups))
    estimates = with_intervals(statistic, len(everything), resamples)
    mean = Rows.joined(labelled.rows[0]).labels.mean(axis=0)
    _, constant = statistic_of(labelled.with_values(lambda _: mean))
    constants = constant(everything)
    oracle = np.full(len(keys), np.nan)
    if labelled.kind == TIME_CONTINUOUS:
        _, song_means = statistic_of(labelled.with_values(lambda rows: rows.labels.mean(axis=0)))
        oracle = song_means(everything)
    figures = [
        Figure(*key, value, interval, float(constants[i]), None if np.isnan(oracle[i]) else float(oracle[i]))
        for i, (key, (value, interval)) in enumerate(zip(keys, estimates, strict=True))
    ]
    return SetFigures.of(labelled, figures)


def statistic_of(labelled: LabelledTracks) -> tuple[list[Key], Statistic]:
    """Return what is measured of one kind of labels, and the statistic that gives it for draws of groups."""
    if labelled.kind == SIGNS:
        clips = [_sign_clips(labelled, fold) for fold in labelled.rows]
        keys = [*pairs(AUC, SIGN_ACCURACY), (QUADRANT_ACCURACY, BOTH), (QUADRANT_MACRO_F1, BOTH)]
        return keys, _mean_of(
            [_stacked(c.roc_auc, c.sign_accuracy, c.quadrant_accuracy, c.quadrant_macro_f1) for c in clips]
        )
    moments = [
        SongMoments.of([rows.labels for rows in fold], [rows.values for rows in fold]) for fold in labelled.by_group()
    ]
    if labelled.kind == TIME_CONTINUOUS:
        keys = pairs(CCC, RMSE, R, WITHIN_SONG_R)
        return keys, _mean_of([_stacked(m.ccc, m.pooled_rmse, m.pearson_r, m.within_song_r) for m in moments])
    return pairs(R, CCC, RMSE), _mean_of([_stacked(m.pearson_r, m.ccc, m.pooled_rmse) for m in moments])


def with_intervals(
    statistic: Statistic, groups: int, resamples: int = RESAMPLES
) -> list[tuple[float, tuple[float, float] | None]]:
    """Return the figures of a statistic over all groups, each with its interval if there are two groups or more."""
    values = statistic(np.arange(groups)).tolist()
    if groups < 2:
        return [(value, None) for value in values]
    ends = bootstrap_interval(statistic, groups, resamples=resamples).tolist()
    return [(value, (low, high)) for value, (low, high) in zip(values, ends, strict=True)]


def pairs(*metrics: str) -> list[Key]:
    """Return the keys of metrics that have a figure of each dimension."""
    return [(metric, dimension) for metric in metrics for dimension in DIMENSIONS]


def _sign_clips(labelled: LabelledTracks, fold: list[Rows]) -> SignClips:
    rows = Rows.joined(fold)
    return SignClips(labelled.group_of, len(labelled.groups), rows.labels, rows.values)


def _stacked(*statistics: Statistic) -> Statistic:
    return lambda draws: np.concatenate([statistic(draws) for statistic in statistics], axis=-1)


def _mean_of(statistics: list[Statistic]) -> Statistic:
    return lambda draws: np.asarray(np.mean([statistic(draws) for statistic in statistics], axis=0))
