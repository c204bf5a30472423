"""Estimates beside labels as pictures: scatter of a data set, curves of its best and worst songs.

Needs matplotlib; see `training.drawing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.clips import DynamicLabels
from training.drawing import BLACK, BLUE, GREY, STYLES, legend_below, new_figure, tidy
from training.figures.labelled import FRAME_DURATION, SIGNS, TIME_CONTINUOUS, LabelledTracks, Rows
from training.figures.measuring import DIMENSIONS
from training.metrics import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MANY = 2000


def scatter_figure(labelled: LabelledTracks, title: str) -> Figure:
    """Draw estimates against labels: every labelled frame, or every clip's mean.

    Parameters
    ----------
    labelled : LabelledTracks
        Of several folds, each fold's estimates are drawn.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    rows = Rows.joined([rows for fold in labelled.rows for rows in fold])
    figure = new_figure(9, 4.6)
    for i, (axes, dimension) in enumerate(zip(figure.subplots(1, 2), DIMENSIONS, strict=True)):
        labels, values = rows.labels[:, i], rows.values[:, i]
        if labelled.kind == SIGNS:
            low, high = _limits(values)
            bins = np.linspace(low, high, 41)
            for sign, (colour, _, dash), name in ((-1, STYLES[1], "negative"), (1, STYLES[0], "positive")):
                axes.hist(
                    values[labels == sign],
                    bins,
                    color=colour,
                    linestyle=dash,
                    histtype="step",
                    linewidth=1.6,
                    label=name,
                )
            axes.axvline(0, color=GREY, linewidth=1, linestyle=":", label="threshold")
            axes.set_xlabel(f"estimated {dimension}, clip mean")
            axes.set_ylabel("clips")
            axes.locator_params(axis="x", nbins=6)
        else:
            low, high = _limits(labels, values)
            if len(labels) > _MANY:
                shades = axes.hexbin(
                    labels, values, gridsize=40, extent=(low, high, low, high), bins="log", mincnt=1, cmap="Blues"
                )
                figure.colorbar(shades, ax=axes, label="frames", shrink=0.7)
            else:
                axes.plot(labels, values, "o", color=BLUE, markersize=3.5, alpha=0.6, markeredgewidth=0)
            axes.plot([low, high], [low, high], color=BLACK, linewidth=1, linestyle=":")
            axes.set_aspect("equal")
            axes.set_xlim(low, high)
            axes.set_ylim(low, high)
            axes.set_xlabel(f"labelled {dimension}")
            axes.set_ylabel(f"estimated {dimension}")
        tidy(axes)
    if labelled.kind == SIGNS:
        legend_below(figure, figure.axes[0])
    figure.suptitle(f"{title}: {labelled.dataset}, {_what(labelled)}", fontsize=11, parse_math=False)
    return figure


def curves_figure(labelled: LabelledTracks, title: str, count: int = 5) -> Figure:
    """Draw label and estimate over the songs that are estimated best and worst.

    Parameters
    ----------
    labelled : LabelledTracks
        With time-continuous labels. Of several folds each fold's curve is drawn, without its standard deviation.
    title : str
    count : int
        So many of the best and so many of the worst, by the RMSE over both dimensions; all songs if they are fewer.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    errors = _errors(labelled)
    order = np.argsort(errors, kind="stable")
    chosen = list(order) if len(order) <= 2 * count else [*order[:count], *order[-count:]]
    figure = new_figure(11, 1.0 + 1.7 * len(chosen))
    grid = figure.subplots(len(chosen), 2, sharey=True, squeeze=False)
    for row, place in zip(grid, chosen, strict=True):
        clip = labelled.clips[place]
        assert isinstance(clip.labels, DynamicLabels)
        rank = int(np.flatnonzero(order == place)[0]) + 1
        for i, (axes, dimension) in enumerate(zip(row, DIMENSIONS, strict=True)):
            for fold, of_clips in enumerate(labelled.tracks):
                track = of_clips[place]
                time = FRAME_DURATION * np.arange(1, len(track.values) + 1)
                estimate = track.values[:, i]
                if track.stds is not None and len(labelled.tracks) == 1:
                    ends = estimate - track.stds[:, i], estimate + track.stds[:, i]
                    axes.fill_between(time, *ends, color=BLUE, alpha=0.2, linewidth=0, label="estimate ± std")
                width = 1.3 if len(labelled.tracks) == 1 else 0.7
                name = "estimate" if fold == 0 else None
                axes.plot(time, estimate, color=BLUE, linewidth=width, label=name)
            axes.plot(
                clip.labels.positions,
                clip.labels.values[:, i],
                color=BLACK,
                linewidth=1.6,
                linestyle="--",
                label="label",
            )
            heading = f"{rank} of {len(order)}: {clip.name}, RMSE {errors[place]:.3f}"
            axes.set_title(heading, fontsize=9, loc="left", parse_math=False)
            axes.set_ylabel(dimension)
            axes.set_ylim(-1, 1)
            axes.tick_params(labelleft=True)
            tidy(axes)
    for axes in grid[-1]:
        axes.set_xlabel("time in the song (s)")
    legend_below(figure, grid[0, 0])
    which = "all songs" if len(chosen) == len(order) else f"the {count} best and the {count} worst songs"
    figure.suptitle(f"{title}: {labelled.dataset}, {which}{_models(labelled)}", fontsize=11, parse_math=False)
    return figure


def _errors(labelled: LabelledTracks) -> Array:
    """Return each clip's RMSE over both dimensions, averaged over folds."""
    squares = [[np.mean((rows.labels - rows.values) ** 2) for rows in fold] for fold in labelled.rows]
    return np.asarray(np.sqrt(squares).mean(axis=0))


def _limits(*values: Array) -> tuple[float, float]:
    """Return round limits that hold all values."""
    low, high = (np.min([v.min() for v in values]), np.max([v.max() for v in values]))
    return float(np.floor(min(low, -0.25) * 4) / 4), float(np.ceil(max(high, 0.25) * 4) / 4)


def _what(labelled: LabelledTracks) -> str:
    rows = "labelled frames" if labelled.kind == TIME_CONTINUOUS else "clip means"
    return f"{labelled.row_count} {rows}{_models(labelled)}"


def _models(labelled: LabelledTracks) -> str:
    return "" if len(labelled.rows) == 1 else f", {len(labelled.rows)} models"
