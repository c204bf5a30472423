from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from training.paper.plots import curves_figure, save_figure, sequence_length_figure, song_errors_figure
from training.paper.results import RunResult
from training.paper.scores import Yardsticks
from training.tables import DataError

pytest.importorskip("matplotlib", reason="plots need matplotlib (pip install moodring[plots])")

MEAN = np.array([0.1, -0.1])
NAMES = ["c", "a", "e", "b", "d"]


@pytest.fixture
def songs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give labels and estimates; the names in order of the error are a, b, c, d, e."""
    time = np.linspace(0, 3, 40)[:, np.newaxis]
    labels = [0.4 * np.sin(time + np.array([i, i + 1])) for i in range(5)]
    return labels, [rows + 0.05 * "abcde".index(name) for rows, name in zip(labels, NAMES, strict=True)]


def test_curves_are_of_the_best_middling_and_worst_song(songs: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    figure = curves_figure("CRNN", NAMES, *songs, MEAN, [15.0] * 5)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.split(",")[0] for title in titles[::2]] == ["best: song a", "median: song c", "worst: song e"]
    assert titles[5] == "worst: song e, RMSE 0.200"
    assert [axes.get_ylabel() for axes in figure.axes[:2]] == ["valence (−1 to 1)", "arousal (−1 to 1)"]
    assert [axes.get_xlabel() for axes in figure.axes[-2:]] == ["time in the song (s)"] * 2
    annotated = next(line for line in figure.axes[1].lines if line.get_label() == "annotated")
    time, values = np.asarray(annotated.get_xdata()), np.asarray(annotated.get_ydata())
    np.testing.assert_allclose(time[[0, 1, -1]], [15.0, 15.5, 34.5])
    np.testing.assert_allclose(values, songs[0][1][:, 1])
    one = curves_figure("CRNN", ["only"], songs[0][:1], songs[1][:1], MEAN, [0.5])
    assert one.axes[0].get_xlim()[0] == 0.5


def test_errors_are_sorted_and_beside_the_mean_predictors(songs: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    figure = song_errors_figure("CRNN", NAMES, *songs, MEAN)
    valence, arousal = figure.axes
    assert [axes.get_ylabel() for axes in (valence, arousal)] == ["RMSE of valence", "RMSE of arousal"]
    assert [tick.get_text() for tick in arousal.get_xticklabels()] == ["a", "b", "c", "d", "e"]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in arousal.lines}
    np.testing.assert_allclose(lines["predicted, song"], [0, 0.05, 0.1, 0.15, 0.2], atol=1e-12)
    np.testing.assert_allclose(lines["predicted, average"], 0.1)
    expected = [np.sqrt(np.mean((rows[:, 1] - MEAN[1]) ** 2)) for rows in songs[0]]
    np.testing.assert_allclose(lines["mean predictor, average"], np.mean(expected))
    with pytest.raises(ValueError, match="shapes"):
        song_errors_figure("CRNN", NAMES, songs[0], [rows[1:] for rows in songs[1]], MEAN)


def test_sequence_lengths_show_mean_deviation_and_the_papers(
    make_run: Callable[..., RunResult], known: Yardsticks
) -> None:
    runs = [make_run(v, 0.2, seed, sequence_length=n) for n in (10, 60) for seed, v in enumerate((0.25, 0.29))]
    figure = sequence_length_figure(runs, known)
    assert [axes.get_title() for axes in figure.axes] == ["valence", "arousal", "average"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"sequence length (frames of 0.5 s)"}
    assert figure.axes[0].get_ylabel() == "RMSE, averaged over songs"
    valence, _, average = figure.axes
    assert valence.lines[0].get_label() == "mean predictor"
    assert list(np.asarray(valence.lines[0].get_ydata())) == [0.265, 0.265]
    (ours,) = valence.containers
    np.testing.assert_allclose(np.asarray(ours.lines[0].get_ydata(), dtype=float), [0.27, 0.27])
    (low, high) = ours.lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * np.std([0.25, 0.29], ddof=1))
    papers = {line.get_label(): list(np.asarray(line.get_ydata())) for line in average.lines}
    assert papers["the paper, baseline features"] == [0.235, 0.235, 0.236, 0.242]
    assert sequence_length_figure([], known).axes[0].containers == []


def test_the_same_figure_gives_the_same_files(songs: tuple[list[np.ndarray], list[np.ndarray]], tmp_path: Path) -> None:
    written = []
    for folder in (tmp_path / "first", tmp_path / "again"):
        folder.mkdir()
        png, svg = save_figure(song_errors_figure("CRNN", NAMES, *songs, MEAN), folder / "songs.crnn")
        assert (png.name, svg.name) == ("songs.crnn.png", "songs.crnn.svg")
        written.append((png.read_bytes(), svg.read_bytes()))
    assert written[0] == written[1]
    assert written[0][0].startswith(b"\x89PNG")
    assert len(written[0][0]) > 10_000
    assert ElementTree.fromstring(written[0][1]).tag.endswith("svg")
    with pytest.raises(DataError, match="cannot write"):
        save_figure(song_errors_figure("CRNN", NAMES, *songs, MEAN), tmp_path / "none" / "songs")


def test_without_matplotlib_one_line_says_what_to_install() -> None:
    program = """
import sys
sys.modules["matplotlib"] = None
import numpy as np
from training.paper.plots import song_errors_figure
from training.tables import DataError
try:
    song_errors_figure("CRNN", ["a"], [np.zeros((3, 2))], [np.zeros((3, 2))], np.zeros(2))
except DataError as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=REPOSITORY
    )
    assert ended.stdout == 'plots need matplotlib; install it: pip install "moodring[plots]"\n'
