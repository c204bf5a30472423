"""How well a system estimates songs, with intervals over songs, and what knows nothing or everything beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.bootstrap import SongMoments, bootstrap_interval

Pair = tuple[float, float]
Labels = Sequence[NDArray[np.floating]]
"""One array per song, each of shape (frames, 2): valence, arousal."""


@dataclass(frozen=True)
class Figure:
    """One metric, of valence and of arousal.

    Attributes
    ----------
    valence, arousal : float
    intervals : tuple of two pairs of float, or None
        Lower and upper end of the 95 % bootstrap interval over songs, of valence and of arousal; None if it was not
        taken, or there is one song only.
    """

    valence: float
    arousal: float
    intervals: tuple[Pair, Pair] | None = None

    @property
    def average(self) -> float:
        """The mean of valence and arousal."""
        return (self.valence + self.arousal) / 2

    def to_json(self) -> dict[str, Any]:
        """Return the figure as a JSON object."""
        return {"valence": self.valence, "arousal": self.arousal, "intervals": self.intervals}

    @classmethod
    def from_json(cls, content: Any) -> Figure:
        """Read what `to_json` gives.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if not isinstance(content, dict) or not {"valence", "arousal"} <= content.keys():
            raise ValueError("a figure must have valence and arousal")
        intervals = content.get("intervals")
        if intervals is not None:
            if not isinstance(intervals, list) or [len(i) if isinstance(i, list) else 0 for i in intervals] != [2, 2]:
                raise ValueError("intervals must be two pairs of numbers")
            (a, b), (c, d) = ([_number(end) for end in interval] for interval in intervals)
            intervals = (a, b), (c, d)
        return cls(_number(content["valence"]), _number(content["arousal"]), intervals)


@dataclass(frozen=True)
class Scores:
    """How well songs are estimated; see `training.metrics`.

    Attributes
    ----------
    songs, frames : int
        How many were measured.
    song_averaged_rmse : Figure
        RMSE of every song, averaged over songs: short songs count as much as long ones.
    pooled_rmse : Figure
        RMSE over all frames: long songs count more.
    pearson_r, ccc, within_song_r : Figure
        Over all frames.
    """

    songs: int
    frames: int
    song_averaged_rmse: Figure
    pooled_rmse: Figure
    pearson_r: Figure
    ccc: Figure
    within_song_r: Figure

    def to_json(self) -> dict[str, Any]:
        """Return the scores as a JSON object."""
        figures = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.to_json() if isinstance(value, Figure) else value for name, value in figures.items()}

    @classmethod
    def from_json(cls, content: Any) -> Scores:
        """Read what `to_json` gives.

        Raises
        ------
        ValueError
            If it is something else.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or set(names) - content.keys():
            raise ValueError(f"scores must have {', '.join(names)}")
        counts = [content[name] for name in names[:2]]
        if any(not isinstance(count, int) or isinstance(count, bool) or count < 1 for count in counts):
            raise ValueError("songs and frames must be whole numbers above zero")
        return cls(*counts, *(Figure.from_json(content[name]) for name in names[2:]))


@dataclass(frozen=True)
class Yardsticks:
    """What no RMSE should be shown without.

    Attributes
    ----------
    mean_predictor : Scores
        Of always saying the development labels' mean.
    song_mean_oracle : Scores
        Of knowing each song's mean, and nothing of how it changes.
    """

    mean_predictor: Scores
    song_mean_oracle: Scores


def score(labels: Labels, estimates: Labels, intervals: bool = True, seed: int = 0) -> Scores:
    """Measure estimates of songs.

    Parameters
    ----------
    labels, estimates : sequence of ndarray of float, each of shape (frames, 2)
        One array per song, valence first.
    intervals : bool
        Whether to take the bootstrap intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If there are no songs, or a song's labels and estimates do not fit together.
    """
    if not len(labels):
        raise ValueError("there are no songs to measure")
    moments = SongMoments.of(labels, estimates)
    reference, estimate = np.concatenate(list(labels)), np.concatenate(list(estimates))
    song = np.repeat(np.arange(len(labels)), [len(rows) for rows in labels])
    figures = [
        (metrics.song_averaged_rmse(reference, estimate, song), moments.song_averaged_rmse),
        (metrics.rmse(reference, estimate), moments.pooled_rmse),
        (metrics.pearson_r(reference, estimate), moments.pearson_r),
        (metrics.ccc(reference, estimate), moments.ccc),
        (metrics.within_song_r(reference, estimate, song), moments.within_song_r),
    ]
    made = []
    for values, statistic in figures:
        ends = None
        if intervals and len(labels) > 1:
            (a, b), (c, d) = bootstrap_interval(statistic, len(labels), seed=seed).tolist()
            ends = (a, b), (c, d)
        made.append(Figure(float(values[0]), float(values[1]), ends))
    return Scores(len(labels), len(reference), *made)


def mean_label(labels: Labels) -> NDArray[np.float64]:
    """Return the mean over all frames of all songs, shape (2,)."""
    return np.asarray(np.concatenate(list(labels)).mean(axis=0, dtype=np.float64))


def yardsticks(development: Labels, evaluation: Labels, intervals: bool = True, seed: int = 0) -> Yardsticks:
    """Measure what knows nothing of the songs, and what knows their means.

    Parameters
    ----------
    development, evaluation : sequence of ndarray of float, each of shape (frames, 2)
        Labels of the songs whose mean is said, and of the songs that are estimated.
    intervals : bool
        Whether to take the bootstrap intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Yardsticks

    Raises
    ------
    ValueError
        If there are no songs.
    """
    if not len(development):
        raise ValueError("there are no songs to take the mean of")
    mean = mean_label(development)
    constant = [metrics.mean_predictor(mean, len(rows)) for rows in evaluation]
    means = [metrics.mean_predictor(mean_label([rows]), len(rows)) for rows in evaluation]
    return Yardsticks(
        score(evaluation, constant, intervals, seed),
        score(evaluation, means, intervals, seed),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]} is not a number")
    return float(value)
