"""Everything that is measured of one predictor, in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.figures import layouts
from training.figures.calibration import Coverage, coverage
from training.figures.gain import GainFigures
from training.figures.genres import GenreFigures, GenresByDataSet, measure_genres
from training.figures.labelled import SLOW_SECONDS, TIME_CONTINUOUS, ClipsByDataSet, slow_tracks
from training.figures.lags import LAGS, FiguresByLag, measure_lags, shifted_by_lag
from training.figures.measuring import RESAMPLES, SetFigures, measure
from training.figures.properties import Descriptions, PropertyFigures, measure_properties
from training.files import write_whole
from training.paper.layout import Layout
from training.tracks import Tracks

SHIFTED = "estimates at zero lag, taken so much later"
REAL_LAG = "estimates with that lag"


@dataclass(frozen=True)
class CrossFigures:
    """Everything that is measured of one predictor.

    Attributes
    ----------
    fast, slow : list of SetFigures
        Of the tracks themselves, and of their mean over the last minute where labels are time-continuous.
    lags : dict
        `SHIFTED`, and `REAL_LAG` if there are such tracks: figures by lag.
    coverage : list of Coverage
    genres : list of GenreFigures
    properties : list of PropertyFigures
    gain : GainFigures or None
        What a gain changes, if that was measured; `fast` has its figures, too.
    """

    fast: list[SetFigures]
    slow: list[SetFigures]
    lags: dict[str, FiguresByLag]
    coverage: list[Coverage]
    genres: list[GenreFigures]
    properties: list[PropertyFigures] = field(default_factory=list)
    gain: GainFigures | None = None

    def layouts(self, allowance: float = 0.0) -> list[Layout]:
        """Return all tables, those of the goals first; for `allowance` see `goals_layout`."""
        remarks = [] if self.gain is None else [self.gain.note]
        made = [layouts.goals_layout(self.fast, allowance, remarks=remarks)]
        if self.slow:
            made.append(
                layouts.goals_layout(
                    self.slow, allowance, f"The slow mood: mean of {SLOW_SECONDS:g} s", name_missing=False
                )
            )
        if self.coverage:
            made.append(layouts.coverage_layout(self.coverage))
        if self.lags:
            made += layouts.lag_layouts(self.lags)
        if self.genres:
            made.append(layouts.genre_layout(self.genres))
        if self.properties:
            made.append(layouts.property_layout(self.properties))
        return made

    def to_markdown(self, allowance: float = 0.0) -> str:
        """Return all tables as Markdown."""
        return layouts.markdown(self.layouts(allowance))

    def to_json(self, allowance: float = 0.0) -> dict[str, Any]:
        """Return everything as a JSON object."""
        covered: dict[str, Any] = {}
        for one in self.coverage:
            covered.setdefault(one.dataset, {}).setdefault(one.kind, []).append(one.to_json())
        by_genre: dict[str, Any] = {}
        for genre in self.genres:
            by_genre.setdefault(genre.measured.dataset, []).append(genre.to_json())
        by_property: dict[str, Any] = {}
        for alike in self.properties:
            by_property.setdefault(alike.dataset, {}).setdefault(alike.kind, []).append(alike.to_json())
        return {
            "allowance": allowance,
            "gain": None if self.gain is None else self.gain.gain,
            "figures": layouts.figures_json(self.fast, allowance),
            "slow": layouts.figures_json(self.slow, allowance),
            "lags": {
                curve: {f"{lag:g}": layouts.figures_json(results, allowance) for lag, results in by_lag.items()}
                for curve, by_lag in self.lags.items()
            },
            "coverage": covered,
            "genres": by_genre,
            "properties": by_property,
        }


def cross_figures(
    tracks: Tracks,
    clips: ClipsByDataSet,
    genres: GenresByDataSet | None = None,
    by_lag: Mapping[float, Tracks] | None = None,
    lags: Sequence[float] = LAGS,
    resamples: int = RESAMPLES,
    gain: GainFigures | None = None,
    described: Descriptions | None = None,
) -> CrossFigures:
    """Measure everything of one predictor.

    Parameters
    ----------
    tracks : Tracks
        At zero lag.
    clips : mapping
        Clips by data set.
    genres : mapping, optional
        Genres of clips by data set; see `training.figures.genres.read_genres`.
    by_lag : mapping, optional
        Lag in seconds to tracks that were computed with it, aligned with the labels.
    lags : sequence of float
        Seconds by which the tracks are shifted; none for no figures of shifted tracks.
    resamples : int
        Draws for the intervals.
    gain : GainFigures, optional
        What a gain changes.
    described : mapping, optional
        What clips are like; see `training.figures.properties.describe`.

    Returns
    -------
    CrossFigures

    Raises
    ------
    DataError
        If tracks and clips do not fit together, or a lag is none.
    """
    fast = measure(tracks, clips, resamples)
    continuous = {one.dataset for one in fast if one.kind == TIME_CONTINUOUS}
    slow = measure(slow_tracks({name: tracks[name] for name in tracks if name in continuous}), clips, resamples)
    curves: dict[str, FiguresByLag] = {}
    if lags:
        curves[SHIFTED] = measure_lags(shifted_by_lag(tracks, lags), clips, resamples)
    if by_lag:
        curves[REAL_LAG] = measure_lags(by_lag, clips, resamples)
    return CrossFigures(
        fast if gain is None else gain.beside(fast),
        [one for one in slow if one.kind == TIME_CONTINUOUS],
        curves,
        coverage(tracks, clips, resamples=resamples),
        measure_genres(tracks, clips, genres or {}, resamples),
        measure_properties(tracks, clips, described or {}, resamples),
        gain,
    )


def write_markdown(path: Path, tables: Sequence[Layout]) -> None:
    """Write tables as a Markdown file, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    write_whole(path, layouts.markdown(tables).encode(), "the tables")
