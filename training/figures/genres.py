"""Error by genre: which music is heard wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import mean_over_rows
from training.datasets import DataSet
from training.figures.labelled import SIGNS, ClipsByDataSet, LabelledTracks, label_tracks
from training.figures.measuring import RESAMPLES, SIGN_ACCURACY, Figure, SetFigures, pairs, with_intervals
from training.metrics import Array
from training.tables import read_table
from training.tracks import Tracks

MEAN_ABSOLUTE_ERROR = "mean absolute error"

GenresByDataSet = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Data set to clip to its genres."""

_TABLES = {"emotify": ("votes.csv", "genre"), "4q": ("labels.csv", "genres")}


@dataclass(frozen=True)
class GenreFigures:
    """How well one genre's clips of a data set are estimated.

    Attributes
    ----------
    genre : str
    measured : SetFigures
        With valence and arousal of one metric: the accuracy of the signs, or the mean absolute error.
    """

    genre: str
    measured: SetFigures

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {"genre": self.genre, **self.measured.to_json()}


def read_genres(dataset: DataSet) -> dict[str, tuple[str, ...]]:
    """Read what genres a data set says that its clips have.

    Parameters
    ----------
    dataset : DataSet

    Returns
    -------
    dict
        Genres by clip, without clips that have none; empty if the data set names no genres.

    Raises
    ------
    DataError
        If the table that holds them is malformed.
    """
    if dataset.name not in _TABLES:
        return {}
    table, column = _TABLES[dataset.name]
    path = dataset.folder / table
    if not path.is_file():
        return {}
    return _read(path, column)


def _read(path: Path, column: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for row in read_table(path, ["clip"]):
        names = (name.strip() for name in row.cells.get(column, "").split(","))
        if genres := tuple(dict.fromkeys(name for name in names if name)):
            found[row.text("clip")] = genres
    return found


def measure_genres(
    tracks: Tracks, clips: ClipsByDataSet, genres: GenresByDataSet, resamples: int = RESAMPLES
) -> list[GenreFigures]:
    """Measure every genre's clips; a clip of several genres counts in each.

    Parameters
    ----------
    tracks : Tracks
    clips : mapping
        Clips by data set.
    genres : mapping
        See `read_genres`; data sets that are not in it are not measured.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of GenreFigures
        By data set, the most frequent genre first.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `label_tracks`.
    """
    measured = []
    for labelled in label_tracks(tracks, clips):
        of_clips = genres.get(labelled.dataset, {})
        members: dict[str, list[int]] = {}
        for place, clip in enumerate(labelled.clips):
            for genre in of_clips.get(clip.name, ()):
                members.setdefault(genre, []).append(place)
        for genre, places in sorted(members.items(), key=lambda item: (-len(item[1]), item[0])):
            measured.append(GenreFigures(genre, _measure(labelled.only(places), resamples)))
    return measured


def _measure(labelled: LabelledTracks, resamples: int) -> SetFigures:
    metric = SIGN_ACCURACY if labelled.kind == SIGNS else MEAN_ABSOLUTE_ERROR
    return SetFigures.of(labelled, mean_figures(metric, clip_scores(labelled), labelled.group_of, resamples))


def mean_figures(metric: str, scores: Array, songs: NDArray[np.intp], resamples: int = RESAMPLES) -> list[Figure]:
    """Average scores, with intervals over songs.

    Parameters
    ----------
    metric : str
        What they are.
    scores : ndarray of float64, shape (n, 2)
        Valence and arousal; at least one row.
    songs : ndarray of int, shape (n,)
        Number of each row's song.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    list of Figure
        Of valence and arousal.
    """
    numbers, places = np.unique(songs, return_inverse=True)
    sums = np.zeros((len(numbers), 2))
    np.add.at(sums, places, scores)
    values = with_intervals(mean_over_rows(sums, np.bincount(places)), len(numbers), resamples)
    return [Figure(*key, *value) for key, value in zip(pairs(metric), values, strict=True)]


def clip_scores(labelled: LabelledTracks) -> Array:
    """Return each clip's absolute error, or whether its signs are right, as the mean over rows and folds.

    Returns
    -------
    ndarray of float64, shape (clips, 2)
    """
    folds = []
    for fold in labelled.rows:
        if labelled.kind == SIGNS:
            folds.append([((rows.labels > 0) == (rows.values > 0)).mean(axis=0) for rows in fold])
        else:
            folds.append([np.abs(rows.labels - rows.values).mean(axis=0) for rows in fold])
    return np.asarray(np.mean(folds, axis=0))
