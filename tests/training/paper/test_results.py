from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.paper.results import RunResult, Spread, best_configuration, read_run, select, spreads, write_run
from training.paper.scores import Figure
from training.tables import DataError

Make = Callable[..., RunResult]


def test_a_run_goes_through_its_file(make_run: Make, tmp_path: Path) -> None:
    for number, run in enumerate([make_run(0.27, 0.2), make_run(0.3, 0.2, system="ensemble", sequence_length=None)]):
        path = tmp_path / f"{number}.json"
        write_run(path, run)
        assert read_run(path) == run


@pytest.mark.parametrize(
    "change",
    [{"seed": None}, {"epochs": True}, {"system": 3}, {"sequence_length": "ten"}, {"evaluation": {}}, {"seconds": "1"}],
)
def test_a_file_of_something_else_is_named(make_run: Make, tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**make_run(0.27, 0.2).to_json(), **change}))
    with pytest.raises(DataError, match=r'^"[^\n]*run\.json" is not the result of a run: [^\n]+$'):
        read_run(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_files_that_are_not_json_or_no_run_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json"):
        read_run(path)
    with pytest.raises(DataError, match="cannot read"):
        read_run(tmp_path / "none.json")


def test_spread_by_hand() -> None:
    figures = [Figure(0.25, 0.2), Figure(0.27, 0.2), Figure(0.29, 0.23)]
    valence, arousal, average = spreads(figures)
    assert (valence.mean, valence.deviation) == (pytest.approx(0.27), pytest.approx(0.02))
    assert (arousal.mean, arousal.deviation) == (pytest.approx(0.21), pytest.approx(0.03 / 3**0.5))
    # of the runs' averages 0.225, 0.235, 0.26: not the average of the two deviations
    assert (average.mean, average.deviation) == (pytest.approx(0.24), pytest.approx(0.000325**0.5))
    assert Spread.over([0.3]) == Spread(0.3, None)


def test_runs_are_chosen_by_what_they_are(make_run: Make) -> None:
    runs = [make_run(0.2, 0.2, seed=1), make_run(0.2, 0.2, seed=0), make_run(0.2, 0.2, features="logmel")]
    assert [run.seed for run in select(runs, "crnn", "opensmile", 10)] == [0, 1]
    assert select(runs, "crnn", "opensmile", 20) == []
    assert len(select(runs, "crnn")) == 3


def test_the_evaluation_songs_do_not_say_what_is_best(make_run: Make) -> None:
    good_by_evaluation = [make_run(0.1, 0.1, seed, sequence_length=60, validation=0.3) for seed in (0, 1)]
    good_by_validation = [
        make_run(0.3, 0.3, seed, sequence_length=20, validation=v) for seed, v in ((0, 0.29), (1, 0.2))
    ]
    assert best_configuration(good_by_evaluation + good_by_validation, "crnn") == good_by_validation
    assert best_configuration(good_by_evaluation, "ensemble") == []
