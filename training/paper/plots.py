"""The paper's results as pictures: curves over a song, error by song, error by sequence length.

Needs matplotlib; see `training.drawing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.drawing import BLACK, BLUE, GREY, VERMILION, legend_below, new_figure, tidy
from training.drawing import require_matplotlib as require_matplotlib
from training.drawing import save_figure as save_figure
from training.paper.names import SEQUENCE_LENGTHS
from training.paper.published import TABLE_1
from training.paper.results import RunResult, select, spreads
from training.paper.scores import Labels, Yardsticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS = ("valence", "arousal")

_FRAME_DURATION = 0.5


def curves_figure(
    title: str,
    names: Sequence[str],
    labels: Labels,
    estimates: Labels,
    training_mean: NDArray[np.floating],
    first_positions: Sequence[float],
) -> Figure:
    """Draw annotated and predicted curves of the songs that are estimated best, middling and worst.

    Parameters
    ----------
    title : str
        For instance the system's name.
    names : sequence of str
        Of the songs.
    labels, estimates : sequence of ndarray of float, each of shape (frames, 2)
        One array per song, valence first.
    training_mean : ndarray, shape (2,)
        What the mean predictor says.
    first_positions : sequence of float
        Where in each song its first label stands, in seconds.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    ValueError
        If a song's arrays do not fit together.
    """
    errors = _errors_per_song(labels, estimates).mean(axis=1)
    order = np.argsort(errors, kind="stable")
    chosen = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    figure = new_figure(10, 7.2)
    grid = figure.subplots(len(chosen), 2, sharey=True, squeeze=False)
    largest = max(float(np.abs(rows[song]).max()) for song in chosen.values() for rows in (labels, estimates))
    limit = np.ceil(max(largest, 0.25) * 4) / 4
    for row, (rank, song) in zip(grid, chosen.items(), strict=True):
        time = first_positions[song] + _FRAME_DURATION * np.arange(len(labels[song]))
        error = _errors_per_song([labels[song]], [estimates[song]])[0]
        for i, (axes, dimension) in enumerate(zip(row, DIMENSIONS, strict=True)):
            axes.axhline(training_mean[i], color=GREY, linewidth=1, linestyle=":", label="mean predictor")
            axes.plot(time, labels[song][:, i], color=BLACK, linewidth=1.4, label="annotated")
            axes.plot(time, estimates[song][:, i], color=BLUE, linewidth=1.4, linestyle="--", label="predicted")
            heading = f"{rank}: song {names[song]}, RMSE {error[i]:.3f}"
            axes.set_title(heading, fontsize=9, loc="left", parse_math=False)
            axes.set_ylabel(f"{dimension} (−1 to 1)")
            axes.tick_params(labelleft=True)
            axes.set_ylim(-limit, limit)
            axes.set_xlim(time[0], max(time[-1], time[0] + _FRAME_DURATION))
            tidy(axes)
    for axes in grid[-1]:
        axes.set_xlabel("time in the song (s)")
    legend_below(figure, grid[0, 0])
    figure.suptitle(f"{title}: annotated and predicted curves", fontsize=11)
    return figure


def song_errors_figure(
    title: str, names: Sequence[str], labels: Labels, estimates: Labels, training_mean: NDArray[np.floating]
) -> Figure:
    """Draw each song's RMSE beside the mean predictor's, the songs that are estimated best first.

    Parameters
    ----------
    title, names, labels, estimates, training_mean
        See `curves_figure`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    ValueError
        If a song's arrays do not fit together.
    """
    errors = _errors_per_song(labels, estimates)
    constant = _errors_per_song(labels, [metrics.mean_predictor(training_mean, len(rows)) for rows in labels])
    order = np.argsort(errors.mean(axis=1), kind="stable")
    places = np.arange(len(order))
    figure = new_figure(max(7.0, 1.5 + 0.15 * len(order)), 6.4)
    panels = figure.subplots(2, 1, sharex=True)
    for i, (axes, dimension) in enumerate(zip(panels, DIMENSIONS, strict=True)):
        ours, theirs = errors[order, i], constant[order, i]
        axes.vlines(places, ours, theirs, color="#CCCCCC", linewidth=1, zorder=1)
        axes.plot(places, theirs, "D", color=GREY, markersize=4, fillstyle="none", label="mean predictor, song")
        axes.plot(places, ours, "o", color=BLUE, markersize=5, label="predicted, song")
        axes.axhline(theirs.mean(), color=GREY, linewidth=1.2, linestyle=":", label="mean predictor, average")
        axes.axhline(ours.mean(), color=BLUE, linewidth=1.2, linestyle="--", label="predicted, average")
        axes.set_ylabel(f"RMSE of {dimension}")
        axes.set_ylim(bottom=0)
        axes.set_xlim(-0.8, len(order) - 0.2)
        tidy(axes)
    panels[-1].set_xticks(places, [names[song] for song in order], rotation=90, fontsize=7, parse_math=False)
    panels[-1].set_xlabel("song, in order of its error")
    legend_below(figure, panels[0])
    figure.suptitle(f"{title}: error of every evaluation song", fontsize=11)
    return figure


def sequence_length_figure(runs: Sequence[RunResult], yardsticks: Yardsticks) -> Figure:
    """Draw table 1: RMSE of the evaluation songs, averaged over songs, by sequence length.

    Parameters
    ----------
    runs : sequence of RunResult
        Of any system; those of the CRNN are taken.
    yardsticks : Yardsticks
        Of the evaluation songs.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    known = yardsticks.mean_predictor.song_averaged_rmse
    figure = new_figure(11, 4.4)
    lengths = sorted(SEQUENCE_LENGTHS)
    panels = figure.subplots(1, 3, sharey=True)
    styles = {"opensmile": ("baseline features", BLUE, "o", -0.6), "logmel": ("log-mel", VERMILION, "s", 0.6)}
    for i, (axes, dimension) in enumerate(zip(panels, (*DIMENSIONS, "average"), strict=True)):
        constant = (known.valence, known.arousal, known.average)[i]
        axes.axhline(constant, color=GREY, linewidth=1.2, linestyle=":", label="mean predictor")
        for features, (name, colour, marker, aside) in styles.items():
            found = [(length, select(runs, "crnn", features, length)) for length in lengths]
            points = [
                (length, spreads([run.evaluation.song_averaged_rmse for run in chosen])[i])
                for length, chosen in found
                if chosen
            ]
            if points:
                axes.errorbar(
                    [length + aside for length, _ in points],
                    [spread.mean for _, spread in points],
                    yerr=[spread.deviation or 0.0 for _, spread in points],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linewidth=1.4,
                    capsize=3,
                    label=f"CRNN, {name} (mean ± sd)",
                )
            if dimension == "average":
                axes.plot(
                    lengths,
                    [TABLE_1[features][length].average for length in lengths],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    fillstyle="none",
                    linewidth=1,
                    linestyle="--",
                    label=f"the paper, {name}",
                )
        axes.set_title(dimension, fontsize=10)
        axes.set_xticks(lengths)
        axes.set_xlabel("sequence length (frames of 0.5 s)")
        tidy(axes)
    panels[0].set_ylabel("RMSE, averaged over songs")
    legend_below(figure, panels[-1])
    figure.suptitle("CRNN: error by sequence length, evaluation songs", fontsize=11)
    return figure


def _errors_per_song(labels: Labels, estimates: Labels) -> NDArray[np.float64]:
    pairs = zip(labels, estimates, strict=True)
    return np.array([metrics.rmse(reference, estimate) for reference, estimate in pairs])
