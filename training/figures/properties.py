"""Where the error is: by what can be told of the music from its features, and by the position in the song.

Clips of a data set are put in thirds by how loud, active, dynamic and bright they are, and in two by their mode;
frames of time-continuous labels by where in the song they stand. Silent frames tell nothing of the music and are left
out of the description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.features import FeatureParameters, FloatArray
from model.harmony import Harmony
from training.clips import DynamicLabels
from training.figures.genres import MEAN_ABSOLUTE_ERROR, clip_scores, mean_figures
from training.figures.labelled import (
    FRAME_DURATION,
    SIGNS,
    TIME_CONTINUOUS,
    ClipsByDataSet,
    LabelledTracks,
    label_tracks,
)
from training.figures.measuring import RESAMPLES, SIGN_ACCURACY, Figure
from training.metrics import Array
from training.tracks import Tracks

LOUDNESS = "loudness (dB)"
ACTIVITY = "activity (dB)"
DYNAMICS = "dynamics (dB)"
BRIGHTNESS = "brightness (mel band)"
MODE = "mode"
SECONDS = "time since the beginning"
PART = "part of the song"

THIRDS = (LOUDNESS, ACTIVITY, DYNAMICS, BRIGHTNESS)
"""Properties by which clips are put in thirds."""

SILENT = 60.0
"""Frames that are so many dB below a clip's loudest one are silent."""

EARLY = (10.0, 30.0)
"""Seconds at which the first and the second stretch of a song end."""

Descriptions = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Data set to clip to property to value."""


@dataclass(frozen=True)
class PropertyFigures:
    """How well the clips, or frames, are estimated that are alike in something.

    Attributes
    ----------
    dataset, kind : str
        See `LabelledTracks`.
    property : str
        What they are alike in.
    group : str
        How it is with them: ``below -31.2``.
    unit : str
        ``clips`` or ``frames``.
    count : int
        How many there are.
    figures : list of Figure
        Valence and arousal of one metric: the accuracy of the signs, or the mean absolute error.
    """

    dataset: str
    kind: str
    property: str
    group: str
    unit: str
    count: int
    figures: list[Figure]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        metrics = {figure.dimension: figure.to_json() for figure in self.figures}
        content = {"property": self.property, "group": self.group, self.unit: self.count}
        return {**content, self.figures[0].metric: metrics}


def describe(rows: FloatArray, parameters: FeatureParameters) -> dict[str, float]:
    """Describe a clip.

    Parameters
    ----------
    rows : ndarray of float32, shape (frames, columns)
        The frontend's features; columns behind them, such as an ear's, do not matter.
    parameters : FeatureParameters
        Their layout.

    Returns
    -------
    dict
        `LOUDNESS`: the mean log-mel energy; `ACTIVITY`: its mean standard deviation within frames; `DYNAMICS`: the
        standard deviation of the frames' level over time, all in dB; `BRIGHTNESS`: the mean mel band, from 0, weighted
        by magnitude; `MODE`: fit of the best major key less that of the best minor key, see `model.harmony`.
    """
    logmel = rows[:, parameters.columns["logmel_mean"]].astype(np.float64)
    level = logmel.mean(axis=1)
    sounds = level > level.max() - SILENT
    magnitudes = np.power(10.0, (logmel[sounds] - logmel.max()) / 20).sum(axis=0)
    chroma = torch.from_numpy(rows[sounds][:, parameters.columns["logchroma"]])
    with torch.inference_mode():
        # of the first chroma, if there are several
        major_less_minor = float(Harmony()(chroma[None])[0, -1, 2])
    return {
        LOUDNESS: float(level[sounds].mean()),
        ACTIVITY: float(rows[sounds][:, parameters.columns["logmel_std"]].mean(dtype=np.float64)),
        DYNAMICS: float(level[sounds].std()),
        BRIGHTNESS: float(magnitudes @ np.arange(len(magnitudes)) / magnitudes.sum()),
        MODE: major_less_minor,
    }


def describe_clips(
    clips: ClipsByDataSet, rows: Mapping[str, Sequence[FloatArray]], parameters: FeatureParameters
) -> Descriptions:
    """Describe the clips of the data sets that there are rows of; see `describe`."""
    return {
        name: {clip.name: describe(one, parameters) for clip, one in zip(clips[name], of_set, strict=True)}
        for name, of_set in rows.items()
    }


def measure_properties(
    tracks: Tracks, clips: ClipsByDataSet, described: Descriptions, resamples: int = RESAMPLES
) -> list[PropertyFigures]:
    """Measure clips by what they are like, and frames by where they stand.

    Parameters
    ----------
    tracks : Tracks
    clips : mapping
        Clips by data set.
    described : mapping
        What `describe` gave of every clip that has a track; data sets that are not in it are not measured.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of PropertyFigures
        By data set, kind of labels and property. Properties in which all clips are alike are left out.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `label_tracks`.
    """
    measured: list[PropertyFigures] = []
    for labelled in label_tracks(tracks, clips):
        of_clips = described.get(labelled.dataset)
        if not of_clips:
            continue
        scores = clip_scores(labelled)
        for name in (*THIRDS, MODE):
            values = np.array([of_clips[clip.name][name] for clip in labelled.clips])
            numbers, names = _two_modes(values) if name == MODE else _thirds(values)
            measured += _measure(labelled, name, "clips", scores, labelled.group_of, numbers, names, resamples)
        if labelled.kind == TIME_CONTINUOUS:
            errors, songs, positions = _frames(labelled)
            for name, numbers, names in positions:
                measured += _measure(labelled, name, "frames", errors, songs, numbers, names, resamples)
    return measured


def _measure(
    labelled: LabelledTracks,
    name: str,
    unit: str,
    scores: Array,
    songs: NDArray[np.intp],
    numbers: NDArray[np.intp],
    names: Sequence[str],
    resamples: int,
) -> Iterator[PropertyFigures]:
    """Give the figures of the rows that have each number, if there are two numbers or more."""
    metric = SIGN_ACCURACY if labelled.kind == SIGNS else MEAN_ABSOLUTE_ERROR
    found = np.unique(numbers)
    for number in found if len(found) > 1 else []:
        chosen = numbers == number
        figures = mean_figures(metric, scores[chosen], songs[chosen], resamples)
        count = int(chosen.sum())
        yield PropertyFigures(labelled.dataset, labelled.kind, name, names[number], unit, count, figures)


def _thirds(values: Array) -> tuple[NDArray[np.intp], list[str]]:
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    names = [f"below {low:.1f}", f"{low:.1f} to {high:.1f}", f"above {high:.1f}"]
    # a value that is a bound belongs to the third that is more in the middle
    return (values >= low).astype(np.intp) + (values > high), names


def _two_modes(values: Array) -> tuple[NDArray[np.intp], list[str]]:
    return (values <= 0).astype(np.intp), ["major", "minor"]


def _frames(
    labelled: LabelledTracks,
) -> tuple[Array, NDArray[np.intp], list[tuple[str, NDArray[np.intp], list[str]]]]:
    """Return each labelled frame's error, averaged over folds, its song, and where it stands."""
    errors = np.mean(
        [np.concatenate([np.abs(rows.labels - rows.values) for rows in fold]) for fold in labelled.rows], axis=0
    )
    ends, shares, songs = [], [], []
    for clip, track, song in zip(labelled.clips, labelled.tracks[0], labelled.group_of, strict=True):
        assert isinstance(clip.labels, DynamicLabels)
        frames = len(track.values)
        unlabelled = np.isnan(clip.labels.per_frame(frames, FRAME_DURATION)).any(axis=1)
        places = np.flatnonzero(~unlabelled) + 1
        ends.append(places * FRAME_DURATION)
        shares.append(places / frames)
        songs.append(np.full(len(places), song))
    first, second = EARLY
    stretches = [f"first {first:g} s", f"{first:g} to {second:g} s", f"after {second:g} s"]
    return (
        np.asarray(errors),
        np.concatenate(songs),
        [
            (SECONDS, np.searchsorted(EARLY, np.concatenate(ends) - 1e-6), stretches),
            (PART, np.searchsorted([1 / 3, 2 / 3], np.concatenate(shares) - 1e-6), ["first", "middle", "last third"]),
        ],
    )
