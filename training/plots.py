"""Figures of a model as pictures: scatter, curves of songs, error by genre, accuracy against lag, reliability.

Needs matplotlib; see `training.drawing`. `draw_plots` writes all of them, as PNG and as SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.drawing import (
    BLACK,
    BLUE,
    GREY,
    STYLES,
    keep_span,
    legend_below,
    make_folder,
    new_figure,
    require_matplotlib,
    save_figure,
    tidy,
)
from training.figures.calibration import RELIABILITY_LEVELS, Coverage, coverage
from training.figures.genres import GenreFigures
from training.figures.labelled import SIGNS, STATIC, TIME_CONTINUOUS, ClipsByDataSet, LabelledTracks, label_tracks
from training.figures.lags import FiguresByLag
from training.figures.measuring import AUC, CCC, DIMENSIONS, R
from training.figures.report import CrossFigures
from training.song_plots import curves_figure, scatter_figure
from training.tracks import Tracks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADLINES = {TIME_CONTINUOUS: CCC, STATIC: R, SIGNS: AUC}
"""The metric by which accuracy is drawn, by kind of labels."""


def draw_plots(tracks: Tracks, clips: ClipsByDataSet, measured: CrossFigures, folder: Path, title: str) -> list[Path]:
    """Draw all plots into a folder.

    Parameters
    ----------
    tracks : Tracks
        At zero lag.
    clips : mapping
        Clips by data set.
    measured : CrossFigures
        What `training.figures.report.cross_figures` made of them.
    folder : Path
        Made if it is not there; files of the same names are replaced.
    title : str
        For instance the model's name.

    Returns
    -------
    list of Path
        ``scatter-SET``, ``curves-SET`` (time-continuous labels), ``genres-SET``, ``lag`` and ``reliability``, each as
        PNG and as SVG; those that there is something to draw for.

    Raises
    ------
    DataError
        If matplotlib is not installed, tracks and clips do not fit together, or a file cannot be written.
    """
    require_matplotlib()
    make_folder(folder)
    written = []
    labelled = label_tracks(tracks, clips)
    for one in labelled:
        stem = one.dataset if _only(labelled, one) else f"{one.dataset}-{one.kind}"
        written += save_figure(scatter_figure(one, title), folder / f"scatter-{stem}")
        if one.kind == TIME_CONTINUOUS:
            written += save_figure(curves_figure(one, title), folder / f"curves-{stem}")
    for dataset in dict.fromkeys(genre.measured.dataset for genre in measured.genres):
        some = [genre for genre in measured.genres if genre.measured.dataset == dataset]
        written += save_figure(genre_figure(some, title), folder / f"genres-{dataset}")
    if measured.lags:
        written += save_figure(lag_figure(measured.lags, title), folder / "lag")
    if found := coverage(tracks, clips, RELIABILITY_LEVELS):
        written += save_figure(reliability_figure(found, title), folder / "reliability")
    return written


def genre_figure(genres: Sequence[GenreFigures], title: str) -> Figure:
    """Draw one data set's error, or accuracy, by genre, with intervals.

    Parameters
    ----------
    genres : sequence of GenreFigures
        At least one, all of the same data set; drawn in their order.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 1.8 + 0.3 * len(genres))
    places = np.arange(len(genres))
    metric = genres[0].measured.figures[0].metric
    panels = figure.subplots(1, 2, sharey=True)
    for axes, dimension in zip(panels, DIMENSIONS, strict=True):
        figures = [genre.measured.find(metric, dimension) for genre in genres]
        for place, one in zip(places, figures, strict=True):
            if one.interval is not None:
                axes.hlines(place, *one.interval, color=GREY, linewidth=1.6)
        axes.plot([one.value for one in figures], places, "o", color=BLUE, markersize=5)
        axes.set_xlabel(f"{metric}, {dimension}")
        tidy(axes)
    names = [f"{genre.genre} ({genre.measured.clips})" for genre in genres]
    panels[0].set_yticks(places, names, fontsize=8, parse_math=False)
    panels[0].invert_yaxis()
    heading = f"{title}: {genres[0].measured.dataset}, by genre (clips), with 95 % intervals"
    figure.suptitle(heading, fontsize=11, parse_math=False)
    return figure


def lag_figure(curves: Mapping[str, FiguresByLag], title: str) -> Figure:
    """Draw accuracy against lag, a row of panels per data set.

    Parameters
    ----------
    curves : mapping
        What they show to figures by lag in seconds; at least one.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    measured = [one for by_lag in curves.values() for results in by_lag.values() for one in results]
    sets = list(dict.fromkeys((one.dataset, one.kind) for one in measured))
    figure = new_figure(9, 1.0 + 2.2 * len(sets))
    grid = figure.subplots(len(sets), 2, sharex=True, squeeze=False)
    for row, (dataset, kind) in zip(grid, sets, strict=True):
        for axes, dimension in zip(row, DIMENSIONS, strict=True):
            for place, (name, by_lag) in enumerate(curves.items()):
                colour, marker, dash = STYLES[place % len(STYLES)]
                points = [
                    (lag, one.find(HEADLINES[kind], dimension).value)
                    for lag, results in by_lag.items()
                    for one in results
                    if (one.dataset, one.kind) == (dataset, kind)
                ]
                lags, values = zip(*points, strict=True) if points else ((), ())
                axes.plot(lags, values, color=colour, marker=marker, linestyle=dash, markersize=4, label=name)
            keep_span(axes)
            axes.set_ylabel(f"{HEADLINES[kind]}, {dimension}", fontsize=9)
            axes.set_title(dataset, fontsize=9, loc="left", parse_math=False)
            tidy(axes)
    for axes in grid[-1]:
        axes.set_xlabel("lag (s)")
    legend_below(figure, grid[0, 0])
    figure.suptitle(f"{title}: accuracy against lag", fontsize=11, parse_math=False)
    return figure


def reliability_figure(found: Sequence[Coverage], title: str) -> Figure:
    """Draw the share of labels within intervals against the share that ought to be there.

    Parameters
    ----------
    found : sequence of Coverage
        At several levels.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    figure = new_figure(9, 4.8)
    sets = list(dict.fromkeys((one.dataset, one.kind) for one in found))
    for axes, dimension in zip(figure.subplots(1, 2, sharey=True), DIMENSIONS, strict=True):
        axes.plot([0, 1], [0, 1], color=BLACK, linewidth=1, linestyle=":", label="ideal")
        for place, (dataset, kind) in enumerate(sets):
            colour, marker, dash = STYLES[place % len(STYLES)]
            some = [one for one in found if (one.dataset, one.kind, one.dimension) == (dataset, kind, dimension)]
            some.sort(key=lambda one: one.level)
            levels, shares = [one.level for one in some], [one.share for one in some]
            axes.plot(levels, shares, color=colour, marker=marker, linestyle=dash, markersize=4, label=dataset)
        axes.set_xlabel(f"nominal coverage, {dimension}")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        tidy(axes)
    figure.axes[0].set_ylabel("observed coverage")
    legend_below(figure, figure.axes[0])
    figure.suptitle(f"{title}: reliability of the published standard deviations", fontsize=11, parse_math=False)
    return figure


def _only(labelled: Sequence[LabelledTracks], one: LabelledTracks) -> bool:
    return sum(other.dataset == one.dataset for other in labelled) == 1
