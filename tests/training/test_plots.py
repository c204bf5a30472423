from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.training.figures.conftest import ClipsAndTracks, continuous, signs, static, track
from training.figures.calibration import RELIABILITY_LEVELS, coverage
from training.figures.genres import measure_genres
from training.figures.labelled import label_tracks
from training.figures.lags import measure_lags, shifted_by_lag
from training.figures.measuring import CCC
from training.figures.report import SHIFTED, CrossFigures, cross_figures
from training.plots import draw_plots, genre_figure, lag_figure, reliability_figure
from training.song_plots import curves_figure, scatter_figure
from training.tables import DataError

pytest.importorskip("matplotlib", reason="plots need matplotlib (pip install moodring[plots])")


@pytest.fixture(scope="module")
def ranked() -> ClipsAndTracks:
    """Give twelve songs whose error rises with their number."""
    clips, _ = continuous()
    tracks = {}
    for number, one in enumerate(clips["vgmidi"]):
        labels = one.labels.values
        tracks[one.name] = track(np.concatenate([np.zeros((9, 2)), labels + 0.02 * number]), 0.1)
    return clips, {"vgmidi": tracks}


def test_curves_are_of_the_five_best_and_the_five_worst(ranked: ClipsAndTracks) -> None:
    clips, tracks = ranked
    (labelled,) = label_tracks(tracks, clips)
    figure = curves_figure(labelled, "model")
    titles = [axes.get_title(loc="left") for axes in figure.axes[::2]]
    expected = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert titles == [f"{n + 1} of 12: {n}, RMSE {0.02 * n:.3f}" for n in expected]
    arousal = figure.axes[3]
    lines = {line.get_label(): line for line in arousal.lines}
    np.testing.assert_allclose(np.asarray(lines["label"].get_ydata()), clips["vgmidi"][1].labels.values[:, 1])
    np.testing.assert_allclose(np.asarray(lines["estimate"].get_ydata()), tracks["vgmidi"]["1"].values[:, 1])
    assert np.asarray(lines["estimate"].get_xdata())[0] == 0.5
    (band,) = arousal.collections
    assert band.get_label() == "estimate ± std"
    (few,) = label_tracks({"vgmidi": {name: tracks["vgmidi"][name] for name in "012"}}, clips)
    assert len(curves_figure(few, "model").axes) == 6


def test_every_model_of_a_song_has_its_curve(ranked: ClipsAndTracks) -> None:
    clips, tracks = ranked
    folds = {"vgmidi": {f"{name}@{n}": tracks["vgmidi"][name] for name in "01" for n in range(3)}}
    (labelled,) = label_tracks(folds, clips)
    figure = curves_figure(labelled, "model")
    assert len(figure.axes[0].lines) == 4
    assert list(figure.axes[0].collections) == []


def test_scatter_shows_every_row_of_few_and_the_density_of_many() -> None:
    clips, tracks = static()
    (labelled,) = label_tracks(tracks, clips)
    valence, _ = scatter_figure(labelled, "model").axes
    points = valence.lines[0]
    np.testing.assert_allclose(np.asarray(points.get_xdata()), [c.labels.valence for c in clips["emotify"]])
    assert len(np.asarray(points.get_ydata())) == 40
    clips, tracks = continuous(songs=40)
    (labelled,) = label_tracks(tracks, clips)
    valence = scatter_figure(labelled, "model").axes[0]
    assert np.asarray(valence.collections[0].get_array()).size > 20


def test_signs_are_shown_as_two_distributions() -> None:
    clips, tracks = signs()
    (labelled,) = label_tracks(tracks, clips)
    axes = scatter_figure(labelled, "model").axes[0]
    assert axes.get_xlabel() == "estimated valence, clip mean"
    assert set(axes.get_legend_handles_labels()[1]) == {"threshold", "negative", "positive"}


def test_lag_and_reliability_show_the_figures() -> None:
    clips, tracks = continuous(std=0.1)
    by_lag = measure_lags(shifted_by_lag(tracks, [0.0, 2.0]), clips, resamples=20)
    axes = lag_figure({SHIFTED: by_lag}, "model").axes[1]
    assert axes.get_ylabel() == "CCC, arousal"
    expected = [results[0].find(CCC, "arousal").value for results in by_lag.values()]
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), dtype=float), expected)
    found = coverage(tracks, clips, RELIABILITY_LEVELS, resamples=20)
    line = reliability_figure(found, "model").axes[0].lines[1]
    np.testing.assert_allclose(np.asarray(line.get_xdata()), RELIABILITY_LEVELS)
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [c.share for c in found if c.dimension == "valence"])


def test_genres_are_named_with_their_clips() -> None:
    clips, tracks = signs()
    genres = {"4q": {c.name: ("Jazz", "$1_") if i < 50 else ("Jazz",) for i, c in enumerate(clips["4q"])}}
    figure = genre_figure(measure_genres(tracks, clips, genres, resamples=20), "model")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["Jazz (90)", "$1_ (50)"]


@pytest.fixture(scope="module")
def everything() -> tuple[ClipsAndTracks, CrossFigures]:
    made = continuous(songs=3, std=0.1), static(), signs()
    clips = {k: v for some, _ in made for k, v in some.items()}
    tracks = {k: v for _, some in made for k, v in some.items()}
    genres = {"4q": {c.name: ("Jazz",) for c in clips["4q"]}}
    return (clips, tracks), cross_figures(tracks, clips, genres, lags=[0.0, 1.0], resamples=20)


def test_the_same_figures_give_the_same_files(everything: tuple[ClipsAndTracks, CrossFigures], tmp_path: Path) -> None:
    (clips, tracks), measured = everything
    first, again = (draw_plots(tracks, clips, measured, tmp_path / name / "plots", "model") for name in ("a", "b"))
    stems = ["scatter-vgmidi", "curves-vgmidi", "scatter-emotify", "scatter-4q", "genres-4q", "lag", "reliability"]
    assert [path.name for path in first] == [f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
        if one.suffix == ".svg":
            assert ElementTree.fromstring(one.read_bytes()).tag.endswith("svg")
        else:
            assert one.read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_made_is_named(everything: tuple[ClipsAndTracks, CrossFigures], tmp_path: Path) -> None:
    (clips, tracks), measured = everything
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r'cannot make the folder ".*file'):
        draw_plots(tracks, clips, measured, tmp_path / "file", "model")


def test_without_matplotlib_one_line_says_what_to_install() -> None:
    program = """
import sys
sys.modules["matplotlib"] = None
from pathlib import Path
from training.figures.report import CrossFigures
from training.plots import draw_plots
from training.tables import DataError
try:
    draw_plots({}, {}, CrossFigures([], [], {}, [], []), Path("plots"), "model")
except DataError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=REPOSITORY
    )
    assert ended.stdout == 'plots need matplotlib; install it: pip install "moodring[plots]"\n'
