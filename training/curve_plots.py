"""Learning curves as a picture. Needs matplotlib; see `training.drawing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.drawing import STYLES, keep_span, legend_below, new_figure, tidy
from training.figures.learning import CurvePoint, curves_by_set
from training.figures.measuring import DIMENSIONS
from training.plots import HEADLINES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_figure(points: Sequence[CurvePoint], title: str) -> Figure:
    """Draw accuracy against songs, a panel per data set, with intervals over the songs that are measured.

    Parameters
    ----------
    points : sequence of CurvePoint
        At least one.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    curves = list(curves_by_set(points))
    rows = (len(curves) + 1) // 2
    figure = new_figure(9, 1.0 + 2.6 * rows)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, curve in zip(grid, curves, strict=False):
        _, first = curve[0]
        is_trained_on = all(first.dataset in point.songs for point, _ in curve)
        songs = [point.songs[first.dataset] if is_trained_on else point.all_songs for point, _ in curve]
        for (colour, marker, dash), dimension in zip(STYLES, DIMENSIONS, strict=False):
            found = [one.find(HEADLINES[first.kind], dimension) for _, one in curve]
            for at, one in zip(songs, found, strict=True):
                if one.interval is not None:
                    axes.vlines(at, *one.interval, color=colour, linewidth=1, alpha=0.5)
            values = [one.value for one in found]
            axes.plot(songs, values, color=colour, marker=marker, linestyle=dash, markersize=4, label=dimension)
        axes.set_xscale("log", base=2)
        axes.set_xticks(songs, [str(at) for at in songs])
        axes.minorticks_off()
        keep_span(axes)
        axes.set_ylabel(HEADLINES[first.kind], fontsize=9)
        axes.set_xlabel("songs" if is_trained_on else "songs of all data sets", fontsize=9)
        axes.set_title(first.name, fontsize=9, loc="left", parse_math=False)
        tidy(axes)
    for axes in grid[len(curves) :]:
        axes.set_visible(False)
    legend_below(figure, grid[0])
    figure.suptitle(f"{title}: accuracy against songs trained on", fontsize=11, parse_math=False)
    return figure
