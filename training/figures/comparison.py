"""Two predictors on the same clips, and on which figures one of them is ahead.

The bootstrap is paired: both are measured on the same draws of songs, so that what makes songs easy or hard for
everyone cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.bootstrap import mean_over_rows
from training.figures.labelled import ClipsByDataSet, LabelledTracks, label_tracks
from training.figures.measuring import (
    LOWER_IS_BETTER,
    OUTPUT_CHANGE,
    RESAMPLES,
    Figure,
    SetFigures,
    Statistic,
    pairs,
    statistic_of,
    with_intervals,
)
from training.tables import DataError
from training.tracks import Tracks

AHEAD, BEHIND, NEITHER = "ahead", "behind", "neither"


@dataclass(frozen=True)
class Difference:
    """One figure of two predictors.

    Attributes
    ----------
    ours, theirs : Figure
        Each with its own interval.
    difference : float
        Ours less theirs.
    interval : tuple of float or None
        Ends of the difference's 95 % interval; None where there is but one group.
    """

    ours: Figure
    theirs: Figure
    difference: float
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """`AHEAD` or `BEHIND` if the interval excludes zero, otherwise `NEITHER`."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return NEITHER
        return AHEAD if (self.difference > 0) != (self.ours.metric in LOWER_IS_BETTER) else BEHIND

    def to_json(self) -> dict[str, Any]:
        """Return the difference as a JSON object, rounded to four decimals."""
        return {
            "ours": self.ours.to_json(),
            "theirs": self.theirs.to_json(),
            "difference": round(self.difference, 4),
            "interval": None if self.interval is None else [round(end, 4) for end in self.interval],
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class SetComparison:
    """Two predictors on one data set's clips with one kind of labels.

    Attributes
    ----------
    ours : SetFigures
        What was measured, and on what.
    differences : list of Difference
    """

    ours: SetFigures
    differences: list[Difference]


def compare(ours: Tracks, theirs: Tracks, clips: ClipsByDataSet, resamples: int = RESAMPLES) -> list[SetComparison]:
    """Compare two predictors on the data sets that both have tracks of.

    Where their tracks of a clip differ in length, both are cut to the shorter one.

    Parameters
    ----------
    ours, theirs : Tracks
        One of them may have several folds of a clip and the other only one.
    clips : mapping
        Clips by data set.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of SetComparison

    Raises
    ------
    DataError
        If they have no data set in common, or not the same clips of one; or if tracks and clips do not fit together.
    """
    compared = []
    for first, second in _matched(ours, theirs, clips):
        keys, statistic = statistic_of(first)
        _, other = statistic_of(second)
        count = len(first.groups)
        own, others = with_intervals(statistic, count, resamples), with_intervals(other, count, resamples)
        between = with_intervals(_difference(statistic, other), count, resamples)
        differences = [
            Difference(Figure(*key, *own[i]), Figure(*key, *others[i]), *between[i]) for i, key in enumerate(keys)
        ]
        compared.append(SetComparison(SetFigures.of(first, [d.ours for d in differences]), differences))
    return compared


def output_change(ours: Tracks, theirs: Tracks, clips: ClipsByDataSet, resamples: int = RESAMPLES) -> list[SetFigures]:
    """Measure how much outputs differ, for instance of the same audio with another gain.

    Parameters
    ----------
    ours, theirs : Tracks
        With equally many folds.
    clips : mapping
        Clips by data set.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of SetFigures
        With valence and arousal of the metric `OUTPUT_CHANGE`: the mean over all frames of the absolute difference.

    Raises
    ------
    DataError
        As `compare` does, and if they differ in the number of folds.
    """
    results = []
    for first, second in _matched(ours, theirs, clips):
        if len(first.tracks) != len(second.tracks):
            raise DataError(f"the two predictors' tracks of {first.dataset} differ in the number of folds")
        sums, counts = np.zeros((len(first.groups), 2)), np.zeros(len(first.groups))
        for own, others in zip(first.tracks, second.tracks, strict=True):
            for group, track, other in zip(first.group_of, own, others, strict=True):
                sums[group] += np.abs(track.values.astype(np.float64) - other.values).sum(axis=0)
                counts[group] += len(track.values)
        changes = with_intervals(mean_over_rows(sums, counts), len(first.groups), resamples)
        keys = pairs(OUTPUT_CHANGE)
        results.append(SetFigures.of(first, [Figure(*key, *change) for key, change in zip(keys, changes, strict=True)]))
    return results


def _difference(statistic: Statistic, other: Statistic) -> Statistic:
    return lambda draws: statistic(draws) - other(draws)


def _matched(ours: Tracks, theirs: Tracks, clips: ClipsByDataSet) -> Iterator[tuple[LabelledTracks, LabelledTracks]]:
    common = [dataset for dataset in ours if dataset in theirs]
    if not common:
        raise DataError("the two predictors have tracks of no data set in common")
    mine, yours = (label_tracks({name: some[name] for name in common}, clips) for some in (ours, theirs))
    for dataset in common:
        names = [
            {clip.name for labelled in some if labelled.dataset == dataset for clip in labelled.clips}
            for some in (mine, yours)
        ]
        if odd := sorted(names[0] ^ names[1]):
            raise DataError(
                f"only one of the two predictors has a track of {dataset}'s {odd[0]}; give both the same clips"
            )
    for first, second in zip(mine, yours, strict=True):
        lengths = [[[len(track.values) for track in fold] for fold in some.tracks] for some in (first, second)]
        shortest = np.min([*lengths[0], *lengths[1]], axis=0).tolist()
        yield first.cut(shortest), second.cut(shortest)
