"""Tracks beside the labels of their clips, row by row.

A row is what one label is compared with: of time-continuous labels, a labelled frame; of a label for the whole clip,
the mean of the clip's track, whose standard deviation is taken to be the root mean square of the frames' (their errors
are far from independent, so it is not divided by anything).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.features import FeatureParameters
from training.clips import Clip, DynamicLabels, SignLabels, StaticLabels
from training.evaluation import trailing_mean
from training.metrics import Array
from training.tables import DataError
from training.tracks import Track, Tracks

FRAME_DURATION = FeatureParameters().frame_duration
"""Seconds."""

SLOW_SECONDS = 60.0
"""What the published mood is the mean of."""

TIME_CONTINUOUS = "time-continuous"
STATIC = "static"
SIGNS = "signs"

ClipsByDataSet = Mapping[str, Sequence[Clip]]

_KINDS = {TIME_CONTINUOUS: DynamicLabels, STATIC: StaticLabels, SIGNS: SignLabels}


@dataclass(frozen=True, eq=False)
class Rows:
    """Labels and what was said there.

    Attributes
    ----------
    labels, values : ndarray of float64, shape (n, 2)
    stds : ndarray of float64, shape (n, 2), or None
    """

    labels: Array
    values: Array
    stds: Array | None

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Put rows one after the other; there are no stds unless all have them."""
        stds = [part.stds for part in parts if part.stds is not None]
        return cls(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate(stds) if len(stds) == len(parts) else None,
        )


@dataclass(frozen=True, eq=False)
class LabelledTracks:
    """What was said of the clips of one data set that have one kind of labels.

    Attributes
    ----------
    dataset : str
    kind : str
        `TIME_CONTINUOUS`, `STATIC` or `SIGNS`.
    clips : list of Clip
        In the data set's order.
    groups : list of str
        What is drawn in a bootstrap: the clips' groups, each once.
    group_of : ndarray of int, shape (clips,)
        Index of each clip's group.
    tracks : list of lists of Track
        By fold and clip. There is one fold unless several models were asked about the same clips.
    rows : list of lists of Rows
        By fold and clip.
    """

    dataset: str
    kind: str
    clips: list[Clip]
    groups: list[str]
    group_of: NDArray[np.intp]
    tracks: list[list[Track]]
    rows: list[list[Rows]]

    @property
    def row_count(self) -> int:
        """Labels that one fold is measured on."""
        return sum(len(rows.labels) for rows in self.rows[0])

    @property
    def has_stds(self) -> bool:
        """Whether every track has standard deviations."""
        return all(rows.stds is not None for fold in self.rows for rows in fold)

    def by_group(self) -> list[list[Rows]]:
        """Return the rows by fold and group."""
        members: list[list[int]] = [[] for _ in self.groups]
        for clip, group in enumerate(self.group_of):
            members[group].append(clip)
        return [[Rows.joined([fold[clip] for clip in clips]) for clips in members] for fold in self.rows]

    def only(self, places: Sequence[int]) -> LabelledTracks:
        """Return the same with only some of the clips."""
        tracks = [[fold[place] for place in places] for fold in self.tracks]
        return _label(self.dataset, self.kind, [self.clips[place] for place in places], tracks)

    def cut(self, frames: Sequence[int]) -> LabelledTracks:
        """Return the same with only so many first frames of each clip."""
        tracks = [[_first(track, n) for track, n in zip(fold, frames, strict=True)] for fold in self.tracks]
        return _label(self.dataset, self.kind, self.clips, tracks)

    def with_values(self, give: Callable[[Rows], Array]) -> LabelledTracks:
        """Return the same labels with other values: what `give` makes of each clip's rows, shape (n, 2)."""
        rows = [[Rows(r.labels, np.broadcast_to(give(r), r.labels.shape), None) for r in fold] for fold in self.rows]
        return replace(self, rows=rows)


def label_tracks(tracks: Tracks, clips: ClipsByDataSet) -> list[LabelledTracks]:
    """Bring tracks and labels together.

    Parameters
    ----------
    tracks : Tracks
        Zero lag, or aligned with the labels as `training.tracking.track` does. Clips of the data sets that have no
        track are left out.
    clips : mapping
        Clips by data set.

    Returns
    -------
    list of LabelledTracks
        In the order of `clips`; more than one of a data set whose clips differ in the kind of their labels.

    Raises
    ------
    DataError
        If a track belongs to no clip, if a clip's track ends before its first label, or if the folds of a data set
        are not of the same clips.
    """
    for dataset in tracks:
        if dataset not in clips:
            raise DataError(f"there are tracks of {dataset}, but no such data set; it is needed for its labels")
    labelled = []
    for dataset in clips:
        folds = _by_fold(dataset, tracks.get(dataset, {}), {clip.name for clip in clips[dataset]})
        for kind, labels in _KINDS.items():
            chosen = [c for c in clips[dataset] if isinstance(c.labels, labels) and c.name in folds[0]]
            if chosen:
                some = [[fold[clip.name] for clip in chosen] for fold in folds]
                labelled.append(_label(dataset, kind, chosen, some))
    return labelled


def _by_fold(dataset: str, tracks: Mapping[str, Track], names: set[str]) -> list[dict[str, Track]]:
    folds: dict[str, dict[str, Track]] = {}
    for key, track in tracks.items():
        # a file's own name may have an @
        name, fold = (key, "") if key in names else (key.rpartition("@")[0], key.rpartition("@")[2])
        if name not in names:
            raise DataError(f"there is a track of {dataset}'s {key}, but no such clip in the data set")
        folds.setdefault(fold, {})[name] = track
    first, *others = (folds[fold] for fold in sorted(folds)) if folds else [{}]
    for other in others:
        if odd := sorted(first.keys() ^ other.keys()):
            raise DataError(f"not every fold has a track of {dataset}'s {odd[0]}; measure all folds on the same clips")
    return [first, *others]


def _label(dataset: str, kind: str, clips: list[Clip], tracks: list[list[Track]]) -> LabelledTracks:
    groups = list(dict.fromkeys(clip.group for clip in clips))
    numbers = {group: number for number, group in enumerate(groups)}
    group_of = np.array([numbers[clip.group] for clip in clips])
    rows = [[_rows(clip, track) for clip, track in zip(clips, fold, strict=True)] for fold in tracks]
    return LabelledTracks(dataset, kind, clips, groups, group_of, tracks, rows)


def _rows(clip: Clip, track: Track) -> Rows:
    values = track.values.astype(np.float64)
    stds = None if track.stds is None else track.stds.astype(np.float64)
    if isinstance(clip.labels, DynamicLabels):
        labels = clip.labels.per_frame(len(values), FRAME_DURATION).astype(np.float64)
        labelled = ~np.isnan(labels).any(axis=1)
        if not labelled.any():
            raise DataError(f"the track of {clip.dataset}'s {clip.name} ends before the clip's first label")
        return Rows(labels[labelled], values[labelled], None if stds is None else stds[labelled])
    label = np.array([[clip.labels.valence, clip.labels.arousal]], dtype=np.float64)
    spread = None if stds is None else np.sqrt(np.mean(stds**2, axis=0, keepdims=True))
    return Rows(label, values.mean(axis=0, keepdims=True), spread)


def _first(track: Track, frames: int) -> Track:
    return Track(track.values[:frames], None if track.stds is None else track.stds[:frames])


def slow_tracks(tracks: Tracks, seconds: float = SLOW_SECONDS) -> Tracks:
    """Return the trailing mean of every track: the published mood. It has no standard deviations."""
    frames = round(seconds / FRAME_DURATION)
    return {
        dataset: {name: Track(trailing_mean(track.values, frames)) for name, track in of_clips.items()}
        for dataset, of_clips in tracks.items()
    }
