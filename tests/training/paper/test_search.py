from __future__ import annotations

import io
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from model.errors import MoodringError
from tests.training.conftest import write_table
from training.datasets.deam import Split
from training.opensmile_features import FEATURE_NAMES
from training.paper.configuration import configure, read_toml
from training.paper.material import Request
from training.paper.search import SPACE, search, search_songs
from training.paper.songs import Song
from training.tables import DataError

ONE_EPOCH = {"epochs": 1}
EPOCHS = 20
MANY_EPOCHS = {"epochs": EPOCHS, "conv_layers": 1, "fc_layers": 1, "gru_layers": 1, "batch_size": 128}


def some_songs(seed: int = 0, count: int = 4, scale: float = 1.0) -> list[Song]:
    random = np.random.default_rng(seed)
    songs = []
    for number in range(count):
        inputs = random.normal(0, 1, (12, 4)).astype(np.float32)
        songs.append(Song(str(number), inputs, (scale * np.tanh(inputs[:, :2])).astype(np.float32)))
    return songs


def run(
    folder: Path,
    trials: int,
    choices: dict[str, Any] = ONE_EPOCH,
    seed: int = 0,
    study: str = "study.db",
    songs: list[Song] | None = None,
) -> str:
    console = Console(file=io.StringIO(), width=100)
    search_songs(songs or some_songs(), folder / study, folder / "best.toml", trials, seed, choices, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def load(path: Path) -> optuna.Study:
    (name,) = optuna.get_all_study_names(f"sqlite:///{path}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


def trials_of(path: Path) -> list[FrozenTrial]:
    return load(path).get_trials()


def tried(path: Path) -> list[tuple[dict[str, Any], float | None]]:
    return [(trial.params, trial.value) for trial in trials_of(path)]


@pytest.mark.parametrize("features", ["logmel", "opensmile"])
def test_the_papers_configuration_comes_first(tmp_path: Path, features: str) -> None:
    choices = {**ONE_EPOCH, "features": features, "sequence_length": 5}
    run(tmp_path, 1, choices)
    assert read_toml(tmp_path / "best.toml") == configure(choices).to_json()


def test_the_best_is_written_and_a_search_in_parts_tries_the_same(tmp_path: Path) -> None:
    output = run(tmp_path, 3)
    trials = trials_of(tmp_path / "study.db")
    best = min(trials, key=lambda trial: trial.values[0])
    assert read_toml(tmp_path / "best.toml") == configure({**ONE_EPOCH, **best.params}).to_json()
    assert all(trial.params.keys() == SPACE.keys() for trial in trials)
    scores = re.findall(r"0\.\d{4}", next(line for line in output.splitlines() if "score" in line))
    assert scores == sorted(f"{trial.values[0]:.4f}" for trial in trials)
    for trials_by_then in (1, 3):
        run(tmp_path, trials_by_then, study="parts.db")
    assert tried(tmp_path / "parts.db") == tried(tmp_path / "study.db")
    assert run(tmp_path, 3) == output
    assert len(trials_of(tmp_path / "study.db")) == 3


def test_hopeless_trials_are_cut_short_and_count(tmp_path: Path) -> None:
    choices = {**MANY_EPOCHS, "epochs": 12}
    run(tmp_path, 1, choices)
    study = load(tmp_path / "study.db")
    (first,) = study.get_trials()
    for _ in range(5):
        perfect = dict.fromkeys(first.intermediate_values, 0.0)
        study.add_trial(
            optuna.trial.create_trial(
                params=first.params,
                distributions=first.distributions,
                user_attrs=first.user_attrs,
                intermediate_values=perfect,
                value=0.0,
            )
        )
    run(tmp_path, 7, choices)
    last = study.get_trials()[-1]
    assert (last.number, last.state, max(last.intermediate_values)) == (6, TrialState.PRUNED, 10)
    run(tmp_path, 7, choices)
    assert len(study.get_trials()) == 7


PROGRAM = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from tests.training.paper.test_search import IN_SECOND_TRIAL, MANY_EPOCHS, Watched, some_songs
from training.paper.search import search_songs
folder = Path(sys.argv[1])
watched = Watched(IN_SECOND_TRIAL, lambda: os.kill(os.getpid(), signal.SIGKILL))
console = Console(file=watched, force_terminal=True, width=100)
search_songs(some_songs(), folder / "study.db", folder / "best.toml", 2, 0, MANY_EPOCHS, console)
"""


class Watched(io.StringIO):
    """Does something once, when the display shows what is looked for."""

    def __init__(self, wanted: str, action: Callable[[], object]) -> None:
        super().__init__()
        self._wanted = re.compile(wanted, re.DOTALL)
        self._action: Callable[[], object] | None = action

    def write(self, text: str) -> int:
        if self._action and self._wanted.search(text):
            action, self._action = self._action, None
            action()
        return super().write(text)


IN_SECOND_TRIAL = rf"1/2\b.*\b[1-9]\d?/{EPOCHS}\b"


def kill_in_second_trial(folder: Path) -> None:
    """Search in another process, which is killed."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, folder], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watched = Watched(IN_SECOND_TRIAL, lambda: signal.raise_signal(signal.SIGINT))
    console = Console(file=watched, force_terminal=True, width=100)
    with pytest.raises(KeyboardInterrupt):
        search_songs(some_songs(), tmp_path / "study.db", tmp_path / "best.toml", 2, 0, MANY_EPOCHS, console)
    signal.signal(signal.SIGINT, before)
    assert [trial.state for trial in trials_of(tmp_path / "study.db")] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert read_toml(tmp_path / "best.toml") == configure(MANY_EPOCHS).to_json()

    (tmp_path / "best.toml").unlink()
    kill_in_second_trial(tmp_path)
    assert not (tmp_path / "best.toml").exists()

    run(tmp_path, 2, MANY_EPOCHS)
    first, *others = trials_of(tmp_path / "study.db")
    assert first.state is TrialState.COMPLETE
    assert [trial.state for trial in others] == [TrialState.FAIL, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.params for trial in others] == [others[0].params] * 3
    assert others[0].params != first.params
    assert (tmp_path / "best.toml").is_file()


def test_two_searches_at_a_time(tmp_path: Path) -> None:
    watched = Watched(rf"0/1\b.*\b[1-9]\d?/{EPOCHS}\b", lambda: run(tmp_path, 1, MANY_EPOCHS))
    console = Console(file=watched, force_terminal=True, width=100)
    with pytest.raises(DataError, match=r"study.db\" is used by another search at the same time"):
        search_songs(some_songs(), tmp_path / "study.db", tmp_path / "first.toml", 1, 0, MANY_EPOCHS, console)
    assert (tmp_path / "best.toml").is_file()
    assert not (tmp_path / "first.toml").exists()


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studied")
    run(folder, 1)
    return folder


@pytest.mark.parametrize(
    ("named", "changes"),
    [
        ("features", {"choices": {**ONE_EPOCH, "features": "opensmile"}}),
        ("sequence_length", {"choices": {**ONE_EPOCH, "sequence_length": 20}}),
        ("epochs", {"choices": {"epochs": 2}}),
        ("dropout", {"choices": {**ONE_EPOCH, "dropout": 0.1}}),
        ("songs", {"songs": some_songs(1)}),
        ("seed", {"seed": 1}),
    ],
)
def test_another_searchs_study_is_refused(studied: Path, named: str, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=rf"is of a search with other {named}: name another file") as caught:
        run(studied, 2, **changes)
    assert "\n" not in str(caught.value)
    assert len(trials_of(studied / "study.db")) == 1


def test_files_that_are_no_study_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE songs (name TEXT)")
    connection.commit()
    connection.close()
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'foreign.db'}", study_name="mine")
    for name, reason in (
        ("text.db", "is no Optuna study: file is not a database"),
        ("other.db", "is no Optuna study but another SQLite database"),
        ("foreign.db", "holds Optuna studies that moodring did not make"),
    ):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(DataError, match=reason) as caught:
            run(tmp_path, 1, study=name)
        assert "\n" not in str(caught.value)
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("name", ["missing/study.db", "."])
def test_a_study_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"cannot use the study .*: unable to open database file$"):
        run(tmp_path, 1, study=name)


def test_names_that_mean_something_in_a_url(tmp_path: Path) -> None:
    run(tmp_path, 1, study="a?b {c} #1%41.db")
    assert (tmp_path / "a?b {c} #1%41.db").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"a?b {c} #1%41.db", "best.toml"}


def test_what_is_chosen_is_not_searched(tmp_path: Path) -> None:
    choices = {**ONE_EPOCH, "gru_units": 5, "system": "crnn-nb"}
    assert "gru_units" not in run(tmp_path, 2, choices)
    assert all(trial.params.keys() == SPACE.keys() - {"gru_units"} for trial in trials_of(tmp_path / "study.db"))
    assert read_toml(tmp_path / "best.toml").items() >= choices.items()


@pytest.mark.parametrize(
    ("choices", "songs", "reason"),
    [
        ({"system": "dblstm-fusion"}, some_songs(), "the search is for crnn and crnn-nb, not for dblstm-fusion"),
        (configure({}).to_json(), some_songs(), "nothing is left to search"),
        ({"batch_size": 0}, some_songs(), "batch_size must be from 1"),
        (ONE_EPOCH, some_songs(count=1), "needs at least 2 development songs, and there are 1"),
        (ONE_EPOCH, some_songs(scale=1e30), "no trial could be trained to its end"),
    ],
)
def test_searches_that_come_to_nothing(tmp_path: Path, choices: dict[str, Any], songs: list[Song], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        run(tmp_path, 2, choices, songs=songs)
    assert not (tmp_path / "best.toml").exists()


def test_the_output_is_tried_before_the_search(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    for output, reason in ((tmp_path, "it is a folder"), (tmp_path / "no" / "best.toml", "its folder is not there")):
        with pytest.raises(DataError, match=reason):
            search_songs(some_songs(), tmp_path / "study.db", output, 1, 0, ONE_EPOCH, console)
    assert not (tmp_path / "study.db").exists()


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MoodringError, match=r"install moodring\[search\]"):
        run(tmp_path, 1)


def write_song(folder: Path, name: str, seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 1, (6, len(FEATURE_NAMES)))
    rows = [";".join(["frameTime", *FEATURE_NAMES])]
    rows += [";".join(str(value) for value in (15 + i / 2, *row)) for i, row in enumerate(values)]
    (folder / "features").mkdir(exist_ok=True)
    (folder / "features" / f"{name}.csv").write_text("\n".join(rows) + "\n")


def write_labels(folder: Path, evaluation: float) -> None:
    header = ["song_id", *(f"sample_{15500 + 500 * i}ms" for i in range(6))]
    for dimension in ("valence", "arousal"):
        rows: list[list[object]] = [["1", *[0.1] * 6], ["2", *[-0.2] * 6], ["3", *[evaluation] * 6]]
        write_table(folder / f"{dimension}.csv", [[*header], *rows])


def test_evaluation_songs_play_no_part(tmp_path: Path) -> None:
    request = Request(tmp_path, Split(frozenset({"1", "2"}), frozenset({"3"})), cache=tmp_path / "cache")
    choices = {**ONE_EPOCH, "features": "opensmile"}
    for number in range(3):
        write_song(tmp_path, str(number + 1), number)
    write_labels(tmp_path, 0.3)
    search(request, tmp_path / "study.db", tmp_path / "best.toml", 2, 0, choices)
    write_song(tmp_path, "3", 9)
    write_labels(tmp_path, -0.9)
    search(request, tmp_path / "other.db", tmp_path / "best.toml", 2, 0, choices)
    assert tried(tmp_path / "study.db") == tried(tmp_path / "other.db")
    search(request, tmp_path / "study.db", tmp_path / "best.toml", 2, 0, choices)
    write_song(tmp_path, "1", 9)
    with pytest.raises(DataError, match="is of a search with other songs"):
        search(request, tmp_path / "study.db", tmp_path / "best.toml", 2, 0, choices)
