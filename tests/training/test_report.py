from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from training.clips import EVALUATION, Clip, DynamicLabels, SignLabels, StaticLabels
from training.evaluation import MEAN, ORACLE, OURS, SLOW, Result, evaluate, trailing_mean
from training.report import as_json, as_tables, worst_clips, write_json
from training.tables import DataError


def clip(name: str, labels: DynamicLabels | StaticLabels | SignLabels) -> Clip:
    return Clip("set", name, name, Path(name), EVALUATION, labels)


def first_two_columns(windows: np.ndarray, lag: int) -> np.ndarray:
    """Stand in for a network that knows: the newest frame's first two features."""
    return windows[:, -1 - lag, :2]


def measure(clips: list[Clip], features: list[np.ndarray]) -> list[Result]:
    return evaluate(clips, features, first_two_columns, 4, 0.5, np.array([0.1, -0.1]))


def test_estimates_that_equal_the_labels_are_perfect_and_unlabelled_frames_do_not_count() -> None:
    random = np.random.default_rng(0)
    features = [random.uniform(-1, 1, (30, 5)).astype(np.float32) for _ in range(3)]
    labelled = np.arange(10, 25)
    clips = [clip(str(i), DynamicLabels((labelled + 1) / 2, rows[labelled, :2])) for i, rows in enumerate(features)]
    (result,) = measure(clips, features)
    assert (result.kind, result.clips, result.frames) == ("time-continuous", 3, 45)
    ours = result.predictors[OURS]
    np.testing.assert_allclose([*ours["RMSE"], *ours["CCC"], *ours["within-song r"]], [0, 0, 1, 1, 1, 1], atol=1e-6)
    assert result.predictors[SLOW]["RMSE"][0] > 0.3
    assert result.predictors[MEAN]["r"] == [0, 0]
    labels = np.concatenate([rows[labelled, :2] for rows in features])
    np.testing.assert_allclose(result.predictors[MEAN]["RMSE"], np.sqrt(np.mean((labels - [0.1, -0.1]) ** 2, axis=0)))
    assert result.predictors[ORACLE]["within-song r"] == [0, 0]


def test_each_kind_of_label_has_its_own_figures() -> None:
    features = [np.full((8, 5), value, np.float32) for value in (-0.5, -0.2, 0.3, 0.6)]
    static = [clip(f"s{i}", StaticLabels(v, v)) for i, v in enumerate((-0.5, -0.2, 0.3, 0.6))]
    signs = [clip(f"q{i}", SignLabels(s, s)) for i, s in enumerate((-1, -1, 1, -1))]
    results = measure(static + signs, features * 2)
    assert [r.kind for r in results] == ["static", "signs"]
    np.testing.assert_allclose(results[0].predictors[OURS]["CCC"], [1, 1])
    np.testing.assert_allclose(results[1].predictors[OURS]["AUC"], [2 / 3, 2 / 3])
    assert results[1].predictors[OURS]["quadrant accuracy"] == [0.75]
    assert results[1].clip_estimates[0].name == "q3"
    content = as_json(results)
    assert set(content["set"]) == {"static", "signs"}
    assert json.loads(json.dumps(content)) == content

    console = Console(width=120, file=io.StringIO(), record=True)
    for table in [*as_tables(results), worst_clips(results[1], 1)]:
        console.print(table)
    text = console.export_text()
    assert "mean predictor" in text
    assert "0.667 / 0.667" in text
    assert "q3" in text
    assert "q0" not in text


def test_trailing_mean_by_hand() -> None:
    values = np.array([[1, 0], [3, 0], [5, 6]], dtype=np.float32)
    np.testing.assert_allclose(trailing_mean(values, 2), [[1, 0], [2, 0], [4, 3]])
    np.testing.assert_allclose(trailing_mean(values, 100)[2], [3, 2])


def test_json_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot write"):
        write_json(tmp_path / "none" / "a.json", {})
