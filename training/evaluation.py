"""What `moodring evaluate` measures: estimates as a live stream would get them, beside what knows nothing.

Time-continuous labels
    All labelled frames, warm-up included, pooled: RMSE, Pearson's r, CCC and within-song r. Beside it the mean over the
    last minute (what the published ``mood`` is about), the mean predictor, and the oracle that knows each song's mean.
Static labels
    The mean of a clip's estimates against its label: RMSE, r and CCC over clips, beside the mean predictor.
Signs
    The mean of a clip's estimates: area under the ROC curve per sign, and accuracy and macro F1 of the quadrants with
    zero as the threshold, beside the mean predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.clips import Clip, DynamicLabels, FloatArray, SignLabels, StaticLabels
from training.tracking import Estimate, track

OURS = "moodring"
SLOW = "moodring, mean of 60 s"
MEAN = "mean predictor"
ORACLE = "song means (oracle)"

_SLOW_SECONDS = 60.0

Figures = dict[str, list[float]]
"""By metric: [valence, arousal], or a single figure for both together."""


@dataclass(frozen=True)
class ClipEstimate:
    """A clip's mean estimate beside its label, each valence and arousal.

    Attributes
    ----------
    name : str
        The clip.
    label, estimate : tuple of float
        The mean over the clip where they change.
    error : float
        Distance between the two; of a label by signs, distance to its quadrant.
    """

    name: str
    label: tuple[float, float]
    estimate: tuple[float, float]
    error: float


@dataclass(frozen=True)
class Result:
    """How well one data set's clips are estimated.

    Attributes
    ----------
    dataset : str
        Its name.
    kind : str
        ``time-continuous``, ``static`` or ``signs``.
    clips, frames : int
        How many were measured: of time-continuous labels, the labelled frames.
    predictors : dict
        Figures by the predictor's name; `OURS` comes first.
    clip_estimates : list of ClipEstimate
        What `OURS` says of every clip, the worst first.
    """

    dataset: str
    kind: str
    clips: int
    frames: int
    predictors: dict[str, Figures]
    clip_estimates: list[ClipEstimate]

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object; figures rounded to four decimals."""
        rounded = {
            predictor: {metric: [round(value, 4) for value in values] for metric, values in figures.items()}
            for predictor, figures in self.predictors.items()
        }
        return {"clips": self.clips, "frames": self.frames, "predictors": rounded}


def label_mean(clips: Sequence[Clip]) -> NDArray[np.float64] | None:
    """Return the mean label over frames (time-continuous) or clips, shape (2,); None if there are no clips."""
    rows = [_label_rows(clip) for clip in clips]
    return np.concatenate(rows).mean(axis=0, dtype=np.float64) if rows else None


def evaluate(
    clips: Sequence[Clip],
    features: Sequence[FloatArray],
    estimate: Estimate,
    window: int,
    frame_duration: float,
    training_mean: NDArray[np.float64],
    lag: int = 0,
    others: Mapping[str, Estimate] | None = None,
) -> list[Result]:
    """Measure estimates of one data set's clips; one result for each kind of label that it has.

    Parameters
    ----------
    clips : sequence of Clip
        All of one data set.
    features : sequence of ndarray of float32, shape (frames, feature_count)
        One array per clip.
    estimate : callable
        See `training.tracking.Estimate`.
    window : int
        Frames that the network hears at once.
    frame_duration : float
        Seconds.
    training_mean : ndarray, shape (2,)
        What the mean predictor says.
    lag : int
        Frames that estimates come late.
    others : mapping, optional
        More predictors to measure in the same way, by name.

    Returns
    -------
    list of Result
    """
    predictors = {OURS: estimate, **(others or {})}
    estimates = {name: track(predictor, features, window, lag) for name, predictor in predictors.items()}
    results = []
    for kind, of_kind in (("time-continuous", DynamicLabels), ("static", StaticLabels), ("signs", SignLabels)):
        chosen = [i for i, clip in enumerate(clips) if isinstance(clip.labels, of_kind)]
        if not chosen:
            continue
        some = [clips[i] for i in chosen]
        chosen_estimates = {name: [values[i] for i in chosen] for name, values in estimates.items()}
        if kind == "time-continuous":
            figures = _time_continuous(some, chosen_estimates, frame_duration, training_mean)
        else:
            figures = _per_clip(some, chosen_estimates, training_mean, signs=kind == "signs")
        if kind == "time-continuous":
            frames = sum(
                _labelled(clip, len(values), frame_duration)
                for clip, values in zip(some, chosen_estimates[OURS], strict=True)
            )
        else:
            frames = sum(len(values) for values in chosen_estimates[OURS])
        worst_first = _clip_estimates(some, chosen_estimates[OURS], signs=kind == "signs")
        results.append(Result(clips[0].dataset, kind, len(chosen), frames, figures, worst_first))
    return results


def _time_continuous(
    clips: Sequence[Clip],
    estimates: Mapping[str, Sequence[FloatArray]],
    frame_duration: float,
    training_mean: NDArray[np.float64],
) -> dict[str, Figures]:
    slow = [trailing_mean(values, round(_SLOW_SECONDS / frame_duration)) for values in estimates[OURS]]
    labels = []
    for clip, values in zip(clips, estimates[OURS], strict=True):
        assert isinstance(clip.labels, DynamicLabels)
        labels.append(clip.labels.per_frame(len(values), frame_duration))
    every_label = np.concatenate(labels)
    labelled = ~np.isnan(every_label).any(axis=1)
    reference = every_label[labelled]
    song = np.repeat(np.arange(len(labels)), [len(rows) for rows in labels])[labelled]

    def figures(estimate: NDArray[np.floating]) -> Figures:
        return {
            "RMSE": metrics.rmse(reference, estimate).tolist(),
            "r": metrics.pearson_r(reference, estimate).tolist(),
            "CCC": metrics.ccc(reference, estimate).tolist(),
            "within-song r": metrics.within_song_r(reference, estimate, song).tolist(),
        }

    return {
        OURS: figures(np.concatenate(estimates[OURS])[labelled]),
        SLOW: figures(np.concatenate(slow)[labelled]),
        **{name: figures(np.concatenate(e)[labelled]) for name, e in estimates.items() if name != OURS},
        MEAN: figures(metrics.mean_predictor(training_mean, len(reference))),
        ORACLE: figures(metrics.song_means(reference, song)),
    }


def _labelled(clip: Clip, frames: int, frame_duration: float) -> int:
    assert isinstance(clip.labels, DynamicLabels)
    return int((~np.isnan(clip.labels.per_frame(frames, frame_duration)).any(axis=1)).sum())


def _per_clip(
    clips: Sequence[Clip],
    estimates: Mapping[str, Sequence[FloatArray]],
    training_mean: NDArray[np.float64],
    signs: bool,
) -> dict[str, Figures]:
    reference = np.concatenate([_label_rows(clip) for clip in clips]).astype(np.float64)

    def figures(estimate: NDArray[np.floating]) -> Figures:
        if signs:
            return {
                "AUC": metrics.roc_auc(reference, estimate).tolist(),
                "quadrant accuracy": [metrics.quadrant_accuracy(reference, estimate)],
                "quadrant macro F1": [metrics.quadrant_macro_f1(reference, estimate)],
            }
        return {
            "RMSE": metrics.rmse(reference, estimate).tolist(),
            "r": metrics.pearson_r(reference, estimate).tolist(),
            "CCC": metrics.ccc(reference, estimate).tolist(),
        }

    return {
        **{name: figures(np.array([values.mean(axis=0) for values in e])) for name, e in estimates.items()},
        MEAN: figures(metrics.mean_predictor(training_mean, len(reference))),
    }


def trailing_mean(values: FloatArray, frames: int) -> FloatArray:
    """Return the mean of every row and the up to `frames` - 1 rows before it.

    Parameters
    ----------
    values : ndarray, shape (n, 2)
    frames : int

    Returns
    -------
    ndarray of float32, shape (n, 2)
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - frames, 0)
    means: FloatArray = ((sums[ends] - sums[starts]) / (ends - starts)[:, np.newaxis]).astype(np.float32)
    return means


def _clip_estimates(clips: Sequence[Clip], estimates: Sequence[FloatArray], signs: bool) -> list[ClipEstimate]:
    rows = []
    for clip, values in zip(clips, estimates, strict=True):
        label = _label_rows(clip).mean(axis=0, dtype=np.float64)
        estimate = values.mean(axis=0, dtype=np.float64)
        short = np.maximum(-label * estimate, 0) if signs else label - estimate
        pairs = (float(label[0]), float(label[1])), (float(estimate[0]), float(estimate[1]))
        rows.append(ClipEstimate(clip.name, *pairs, float(np.hypot(*short))))
    return sorted(rows, key=lambda row: -row.error)


def _label_rows(clip: Clip) -> FloatArray:
    if isinstance(clip.labels, DynamicLabels):
        return clip.labels.values
    return np.array([[clip.labels.valence, clip.labels.arousal]], dtype=np.float32)
