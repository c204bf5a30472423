"""Figures against lag: how much better the estimate of a moment is that lies some seconds back.

A track with a lag is aligned with the labels, as `training.tracking.track` does: the value of a frame is the one that
was given `lag` later. Either an estimate for that moment was computed with what came after it, or the estimate of the
later moment is simply taken, which tells how late estimates are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.figures.labelled import FRAME_DURATION, ClipsByDataSet
from training.figures.measuring import RESAMPLES, SetFigures, measure
from training.tables import DataError
from training.tracks import Track, Tracks

LAGS = tuple(float(lag) for lag in range(11))
"""Seconds."""

FiguresByLag = dict[float, list[SetFigures]]


def shifted(tracks: Tracks, lag: float) -> Tracks:
    """Return tracks whose values are those that were given later.

    Parameters
    ----------
    tracks : Tracks
    lag : float
        Seconds, a multiple of the frame's duration, at least 0. The last frames of a clip, which are followed by less,
        get the clip's last value.

    Returns
    -------
    Tracks

    Raises
    ------
    DataError
        If the lag is negative or between frames.
    """
    frames = round(lag / FRAME_DURATION)
    if frames < 0 or abs(frames * FRAME_DURATION - lag) > 1e-6:
        raise DataError(f"a lag of {lag:g} s is not possible; choose a multiple of {FRAME_DURATION:g} s from 0 on")

    def shift(track: Track) -> Track:
        later = np.minimum(np.arange(len(track.values)) + frames, len(track.values) - 1)
        return Track(track.values[later], None if track.stds is None else track.stds[later])

    return {dataset: {name: shift(track) for name, track in some.items()} for dataset, some in tracks.items()}


def shifted_by_lag(tracks: Tracks, lags: Sequence[float] = LAGS) -> dict[float, Tracks]:
    """Return the tracks shifted by each lag, in seconds; see `shifted`."""
    return {lag: shifted(tracks, lag) for lag in lags}


def measure_lags(by_lag: Mapping[float, Tracks], clips: ClipsByDataSet, resamples: int = RESAMPLES) -> FiguresByLag:
    """Measure tracks of several lags.

    Parameters
    ----------
    by_lag : mapping
        Lag in seconds to tracks that are aligned with the labels.
    clips : mapping
        Clips by data set.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    dict
        Lag to figures, the shortest lag first.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `training.figures.labelled.label_tracks`.
    """
    return {lag: measure(by_lag[lag], clips, resamples) for lag in sorted(by_lag)}
