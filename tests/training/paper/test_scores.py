from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.paper.scores import Figure, Scores, mean_label, score, yardsticks
from training.tables import read_dynamic_labels

Songs = list[np.ndarray]


def some_songs(seed: int = 0, lengths: tuple[int, ...] = (12, 30, 7, 21)) -> tuple[Songs, Songs]:
    random = np.random.default_rng(seed)
    labels = [(random.uniform(-0.5, 0.5, 2) + random.normal(0, 0.1, (n, 2))).astype(np.float32) for n in lengths]
    return labels, [(0.5 * rows + random.normal(0, 0.1, rows.shape)).astype(np.float32) for rows in labels]


def test_a_song_that_is_wrong_counts_by_its_length_only_when_pooled() -> None:
    labels = [np.zeros((30, 2)), np.zeros((10, 2))]
    scores = score(labels, [np.zeros((30, 2)), np.full((10, 2), [0.4, 0.2])])
    assert (scores.songs, scores.frames) == (2, 40)
    averaged, pooled = scores.song_averaged_rmse, scores.pooled_rmse
    np.testing.assert_allclose([averaged.valence, averaged.arousal, averaged.average], [0.2, 0.1, 0.15])
    np.testing.assert_allclose([pooled.valence, pooled.arousal, pooled.average], [0.2, 0.1, 0.15])
    scores = score(labels, [np.full((30, 2), [0.4, 0.2]), np.zeros((10, 2))])
    assert scores.song_averaged_rmse.valence == pytest.approx(0.2)
    assert scores.pooled_rmse.valence == pytest.approx(0.4 * np.sqrt(0.75))


@given(st.integers(0, 1000), st.permutations(range(4)))
def test_the_order_of_songs_changes_no_figure(seed: int, order: list[int]) -> None:
    labels, estimates = some_songs(seed)
    first = score(labels, estimates, intervals=False)
    other = score([labels[i] for i in order], [estimates[i] for i in order], intervals=False)
    for name in ("song_averaged_rmse", "pooled_rmse", "pearson_r", "ccc", "within_song_r"):
        a, b = getattr(first, name), getattr(other, name)
        np.testing.assert_allclose([a.valence, a.arousal], [b.valence, b.arousal], atol=1e-6)


def test_intervals_hold_the_figures_and_can_be_left_out() -> None:
    labels, estimates = some_songs(lengths=(20,) * 12)
    scores = score(labels, estimates)
    for name in ("song_averaged_rmse", "pooled_rmse", "pearson_r", "ccc", "within_song_r"):
        figure: Figure = getattr(scores, name)
        assert figure.intervals is not None
        for value, (low, high) in zip((figure.valence, figure.arousal), figure.intervals, strict=True):
            assert low <= value <= high
            assert low < high
    assert score(labels, estimates, intervals=False).ccc.intervals is None
    assert score(labels[:1], estimates[:1]).ccc.intervals is None


@pytest.mark.parametrize("intervals", [True, False])
def test_scores_go_through_json(intervals: bool) -> None:
    scores = score(*some_songs(), intervals=intervals)
    assert Scores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def changed(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: {**content, **changes}


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: {"songs": 1},
        changed(songs=0),
        changed(frames=True),
        changed(ccc=0.5),
        changed(ccc={"valence": "high", "arousal": 0}),
        changed(ccc={"valence": float("nan"), "arousal": 0}),
        changed(ccc={"valence": 0, "arousal": 0, "intervals": [[0, 1]]}),
        changed(ccc={"valence": 0, "arousal": 0, "intervals": [[0, 1], [0, None]]}),
    ],
)
def test_json_of_something_else_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(json.dumps(score(*some_songs()).to_json()))
    with pytest.raises(ValueError, match=r"must|not a number"):
        Scores.from_json(change(content))


def test_yardsticks_by_hand() -> None:
    development = [np.full((5, 2), [0.1, 0.3]), np.full((5, 2), [0.3, -0.1])]
    evaluation = [np.array([[0.2, 0.1], [0.4, 0.1]]), np.array([[0.2, 0.3]])]
    np.testing.assert_allclose(mean_label(development), [0.2, 0.1])
    found = yardsticks(development, evaluation)
    mean, oracle = found.mean_predictor, found.song_mean_oracle
    np.testing.assert_allclose(mean.song_averaged_rmse.valence, np.sqrt(0.02) / 2)
    np.testing.assert_allclose(mean.song_averaged_rmse.arousal, 0.1)
    np.testing.assert_allclose(mean.pooled_rmse.valence, np.sqrt(0.04 / 3))
    np.testing.assert_allclose(oracle.song_averaged_rmse.valence, 0.05)
    np.testing.assert_allclose(oracle.pooled_rmse.arousal, 0, atol=1e-12)
    assert mean.ccc.valence == pytest.approx(0)
    assert oracle.within_song_r.valence == 0


def test_no_songs_are_refused() -> None:
    with pytest.raises(ValueError, match="no songs"):
        score([], [])
    with pytest.raises(ValueError, match="no songs"):
        yardsticks([], [np.zeros((3, 2))])
    with pytest.raises(ValueError, match="shapes"):
        score([np.zeros((3, 2))], [np.zeros((4, 2))])


def test_yardsticks_of_the_papers_own_songs(labelled_music: Path) -> None:
    folder = labelled_music / "mediaeval2015"
    if not folder.is_dir():
        pytest.skip(f"no labels of the paper's songs in {labelled_music}")
    tables = [
        read_dynamic_labels(folder / f"{part}_valence.csv", folder / f"{part}_arousal.csv", "song_id")
        for part in ("development", "deam")
    ]
    development = [labels.values for _, labels in tables[0].values()]
    evaluation = [labels.values for name, (_, labels) in tables[1].items() if 2001 <= int(name) <= 2058]
    assert (len(development), len(evaluation)) == (431, 58)
    found = yardsticks(development, evaluation)
    for scores, averaged, pooled in (
        (found.mean_predictor, (0.265, 0.254), (0.289, 0.272)),
        (found.song_mean_oracle, (0.094, 0.151), (0.113, 0.186)),
    ):
        for figure, expected in ((scores.song_averaged_rmse, averaged), (scores.pooled_rmse, pooled)):
            np.testing.assert_allclose([figure.valence, figure.arousal], expected, atol=0.0006)
            assert figure.intervals is not None
            assert all(low < value < high for value, (low, high) in zip(expected, figure.intervals, strict=True))
