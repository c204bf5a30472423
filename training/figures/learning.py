"""Figures against the number of songs that a network is trained on: what more labelled music would bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from training.figures.layouts import figures_json
from training.figures.measuring import SetFigures
from training.paper.layout import DASH, Layout, Section, number

_NOTES = [
    "Songs: those of the data set that are trained on (4q: artists), and those of all data sets together.",
    "The smaller shares are parts of the larger ones; all are measured on the same held-out clips.",
]


@dataclass(frozen=True)
class CurvePoint:
    """What a network reaches that is trained on a share of the songs.

    Attributes
    ----------
    share : Fraction
        Above 0 and at most 1.
    songs : mapping
        Songs, or artists, that it is trained on, by data set.
    figures : list of SetFigures
        Of held-out clips.
    """

    share: Fraction
    songs: Mapping[str, int]
    figures: list[SetFigures]

    @property
    def all_songs(self) -> int:
        """Songs of all data sets together."""
        return sum(self.songs.values())

    def to_json(self) -> dict[str, Any]:
        """Return the point as a JSON object."""
        return {"share": float(self.share), "songs": dict(self.songs), "figures": figures_json(self.figures)}


SetCurve = list[tuple[CurvePoint, SetFigures]]
"""The figures of one data set's clips at every point."""


def curves_by_set(points: Sequence[CurvePoint]) -> Iterator[SetCurve]:
    """Give the curve of each data set and kind of labels."""
    for key in dict.fromkeys((one.dataset, one.kind) for point in points for one in point.figures):
        yield [(point, one) for point in points for one in point.figures if (one.dataset, one.kind) == key]


def learning_layouts(points: Sequence[CurvePoint]) -> list[Layout]:
    """Lay out figures against songs: a table per data set, a row per share."""
    layouts = []
    for curve in curves_by_set(points):
        rows = []
        for point, one in curve:
            own = point.songs.get(one.dataset)
            songs = [DASH if own is None else str(own), str(point.all_songs)]
            rows.append([str(point.share), *songs, *(number(figure.value) for figure in one.figures)])
        _, one = curve[0]
        columns = ["share", "songs", "of all sets", *(figure.name for figure in one.figures)]
        layouts.append(Layout(f"{one.dataset}: figures against songs", columns, [Section(one.name, rows)], _NOTES))
    return layouts
