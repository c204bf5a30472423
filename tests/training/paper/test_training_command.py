"""`moodring train --system` and `moodring evaluate` on own music of which a part is loud and the rest is soft."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("librosa", reason="training needs librosa (pip install moodring[train])")
pytest.importorskip("sklearn", reason="the fusion needs scikit-learn (pip install moodring[train])")

from model.checkpoint import load_checkpoint
from model.network import EmotionNetwork
from tests.conftest import REPOSITORY, Outcome
from tests.training.conftest import tone, write_table
from training.clips import EVALUATION, part_of
from training.paper.configuration import configure, write_toml
from training.paper.system_file import is_system_file, read_system

Moodring = Callable[..., Outcome]

FILES = [f"{number}.wav" for number in range(16)]
SECONDS = 12
LONG = 100_000
"""Epochs that no test waits for."""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of own music with labels twice a second."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "audio").mkdir()
    header = ["file", *(f"sample_{500 * (i + 1)}ms" for i in range(2 * SECONDS))]
    tables: dict[str, list[list[object]]] = {"valence.csv": [list(header)], "arousal.csv": [list(header)]}
    for number, name in enumerate(FILES):
        soft = 3 + number % 7
        pieces = [tone(soft, 200 + 15 * number, False), tone(SECONDS - soft, 200 + 15 * number, True)]
        soundfile.write(folder / "audio" / name, np.concatenate(pieces), 22050)
        loud = np.arange(2 * SECONDS) >= 2 * soft
        tables["valence.csv"].append([name, *np.where(loud, 0.3, -0.3)])
        tables["arousal.csv"].append([name, *np.where(loud, 0.5, -0.5)])
    for name, rows in tables.items():
        write_table(folder / name, rows)
    assert 2 <= sum(part_of(name) == EVALUATION for name in FILES) <= len(FILES) - 8
    return folder


@pytest.fixture(scope="module")
def given(music: Path, tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Give the options that every command here needs; features are computed once."""
    return ["--data", music, "--cache", tmp_path_factory.mktemp("cache"), "--jobs", 1]


def config(path: Path, **choices: object) -> Path:
    sizes = {"lstm_layers": 2, "lstm_units": 8, "pretraining_epochs": 1, "dropout": 0.1, "l1": 0.0}
    write_toml(path, configure({**sizes, **choices}))
    return path


def log_of(path: Path) -> list[dict[str, str]]:
    with path.with_name(f"{path.name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refusal(outcome: Outcome, status: int = 1) -> str:
    assert outcome.status == status, outcome
    assert "Traceback" not in outcome.errors
    *_, line = outcome.errors.strip().splitlines()
    if status == 1:
        assert outcome.errors == f"{line}\n"
        assert line.startswith("moodring: ")
    return line


def test_a_crnn_is_trained_logged_and_streamed(
    moodring: Moodring, given: list[object], music: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    train = ["train", *given, "--system", "crnn", "--epochs", 2, "--licence", "for tests"]
    done = moodring(*train, "-o", path)
    assert done.status == 0, done.errors
    assert "mean predictor" in done.output
    assert "song-mean oracle" in done.output
    assert f"wrote {path}" in done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.safetensors", "mine.safetensors.csv"]

    rows = log_of(path)
    assert [(row["part"], row["epoch"]) for row in rows] == [("crnn", "1"), ("crnn", "2")]
    assert all(0 < float(row[name]) < 2 for row in rows for name in ("loss", "valence_rmse", "arousal_rmse"))

    checkpoint = load_checkpoint(path)
    assert (checkpoint.name, checkpoint.window, checkpoint.licence) == ("mine", 10, "for tests")
    assert checkpoint.training["system"]["dropout"] == 0.75
    assert checkpoint.training["seed"] == 0
    songs = checkpoint.training["songs"]
    assert songs["development"] + songs["evaluation"] == len(FILES)
    streamed = moodring("annotate", music / "audio" / "0.wav", "--model", path, "-o", tmp_path / "mood.csv")
    assert streamed.status == 0, streamed.errors
    assert (tmp_path / "mood.csv").read_text(encoding="utf-8").count("\n") > SECONDS

    again = tmp_path / "again.safetensors"
    assert moodring(*train, "-o", again, "--name", "mine").status == 0
    assert again.read_bytes() == path.read_bytes()
    assert again.with_name("again.safetensors.csv").read_bytes() == path.with_name(f"{path.name}.csv").read_bytes()
    other = tmp_path / "other.safetensors"
    assert moodring(*train, "-o", other, "--name", "mine", "--seed", 1).status == 0
    assert other.read_bytes() != path.read_bytes()


def test_a_crnn_learns_and_is_measured_live(moodring: Moodring, given: list[object], tmp_path: Path) -> None:
    path, figures = tmp_path / "mine.safetensors", tmp_path / "figures.json"
    settings = config(tmp_path / "mine.toml", learning_rate=1e-2, batch_size=8, patience=60)
    train = ["train", *given, "--config", settings, "--epochs", 60, "--sequence-length", 6, "-o", path]
    assert moodring(*train).status == 0
    checkpoint = load_checkpoint(path)
    assert checkpoint.window == 6
    told = checkpoint.training["system"]
    assert (told["epochs"], told["learning_rate"], told["dropout"]) == (60, 0.01, 0.1)
    scores = checkpoint.training["scores"]["evaluation"]
    # loud against soft is easy: the mean predictor is wrong by about 0.3 and 0.5
    assert max(scores["song_averaged_rmse"]["valence"], scores["song_averaged_rmse"]["arousal"]) < 0.15
    assert len(log_of(path)) <= 60

    done = moodring("evaluate", path, *given, "--json", figures)
    assert done.status == 0, done.errors
    assert "own music" in done.output
    assert json.loads(figures.read_text(encoding="utf-8"))["model"] == "mine"
    assert moodring("evaluate", path, *given, "--lag", 1, "--worst", 1).status == 0


@pytest.mark.parametrize("system", ["ensemble", "dblstm-fusion"])
def test_systems_of_several_networks_are_written_and_measured(
    moodring: Moodring, given: list[object], music: Path, tmp_path: Path, system: str
) -> None:
    path, figures = tmp_path / "mine.safetensors", tmp_path / "figures.json"
    settings = config(tmp_path / "mine.toml", epochs=1)
    done = moodring("train", *given, "--config", settings, "--system", system, "--features", "logmel", "-o", path)
    assert done.status == 0, done.errors
    assert is_system_file(path)
    file = read_system(path)
    assert file.system.configuration.system == system
    parts = {row["part"] for row in log_of(path)}
    assert {"crnn-60", "crnn-10"} <= parts or {"dblstm-1-of-6-pretraining", "dblstm-6-of-6"} <= parts

    measured = moodring("evaluate", path, *given, "--json", figures)
    assert measured.status == 0, measured.errors
    assert f"{file.system.parameter_count:,} parameters" in measured.output
    written = json.loads(figures.read_text(encoding="utf-8"))
    assert written["evaluation"] == file.training["scores"]["evaluation"]
    assert written["system"] == file.system.configuration.to_json()

    for option in (["--lag", 1], ["--baseline"], ["--worst", 1]):
        assert "for models that can be streamed" in refusal(moodring("evaluate", path, *given, *option), 2)
    assert "not a moodring checkpoint" in refusal(moodring("annotate", music / "audio" / "0.wav", "--model", path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--system", "crnn", "--window", 10], "--window is for --system live"),
        (["--system", "crnn", "--steps", 10], "--steps is for --system live"),
        (["--system", "ensemble", "--validation-fold", 1], "--validation-fold is for --system live"),
        (["--features", "logmel"], "--features is for the paper's systems"),
        (["--system", "live", "--features", "opensmile"], "--features is for the paper's systems"),
        (["--sequence-length", 10], "--sequence-length is for the paper's systems"),
        (["--epochs", 1], "--epochs is for the paper's systems"),
        (["--skip-bad"], "--skip-bad is for the paper's systems"),
        (["--system", "live", "--config", "a.toml"], "--config is for the paper's systems"),
        (["--system", "rnn"], "'rnn' is not one of"),
        (["--system", "crnn", "--features", "mfcc"], "'mfcc' is not one of"),
        (["--system", "crnn", "--epochs", 0], "0 is not in the range"),
        (["--system", "crnn", "--sequence-length", 1], "1 is not in the range"),
    ],
)
def test_options_that_do_not_fit_together_are_usage_errors(
    moodring: Moodring, music: Path, tmp_path: Path, options: list[object], said: str
) -> None:
    path = tmp_path / "a.safetensors"
    assert said in refusal(moodring("train", "--data", music, "-o", path, *options), 2)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_not_allowed_are_one_line(moodring: Moodring, given: list[object], tmp_path: Path) -> None:
    path, settings = tmp_path / "a.safetensors", tmp_path / "a.toml"
    settings.write_text("epoch = 3\n")
    message = refusal(moodring("train", *given, "--config", settings, "-o", path))
    assert f'"{settings}": there is no setting "epoch"' in message
    assert "cannot read" in refusal(moodring("train", *given, "--config", tmp_path / "none.toml", "-o", path))
    nowhere = tmp_path / "none" / "a.safetensors"
    assert "there is no folder" in refusal(moodring("train", *given, "--system", "crnn", "-o", nowhere))
    assert not path.exists()


def test_data_that_cannot_be_used_are_one_line(moodring: Moodring, given: list[object], tmp_path: Path) -> None:
    path, folder = tmp_path / "a.safetensors", tmp_path / "music"
    train = ["train", *given, "--system", "crnn", "-o", path, "--data"]
    assert "there is no folder" in refusal(moodring(*train, tmp_path / "none"))
    assert "is not DEAM" in refusal(moodring(*train, tmp_path))
    (folder / "audio").mkdir(parents=True)
    soundfile.write(folder / "audio" / "a.wav", tone(2, 300, True), 22050)
    write_table(folder / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0.1, 0.1]])
    assert "need time-continuous labels" in refusal(moodring(*train, folder))
    (folder / "labels.csv").unlink()
    for table in ("valence.csv", "arousal.csv"):
        write_table(folder / table, [["file", "sample_500ms"], ["a.wav", 0.1]])
    assert "songs" in refusal(moodring(*train, folder))
    assert not path.exists()


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamer.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_epochs(process: subprocess.Popen[str], output: Path, count: int) -> None:
    """Return when the log has rows of so many epochs; the training must still be going on."""
    log = output.with_name(f"{output.name}.csv")
    for _ in range(1200):
        if log.is_file() and log.read_text(encoding="utf-8").count("\n") > count:
            return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"training ended too early: {process.communicate()}")
    pytest.fail("no epoch within a minute")


def weights(network: EmotionNetwork) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def test_ctrl_c_leaves_a_checkpoint_of_the_best_epoch(moodring: Moodring, given: list[object], tmp_path: Path) -> None:
    path, settings = tmp_path / "mine.safetensors", config(tmp_path / "a.toml", epochs=LONG, patience=LONG)
    with start("train", *given, "--config", settings, "-o", path) as process:
        wait_for_epochs(process, path, 2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"wrote {path}" in output
    assert path.with_name(f"{path.name}.state").is_dir()  # so that --resume could go on
    rows = log_of(path)
    assert len(rows) < LONG

    # the signal may have come between an epoch's end and its row
    best_so_far = []
    for epochs in (len(rows), len(rows) + 1):
        whole = tmp_path / f"{epochs}.safetensors"
        assert moodring("train", *given, "--config", settings, "--epochs", epochs, "-o", whole).status == 0
        best_so_far.append(weights(load_checkpoint(whole).network))
    assert weights(load_checkpoint(path).network) in best_so_far


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    moodring: Moodring, given: list[object], tmp_path: Path
) -> None:
    path, whole = tmp_path / "mine.safetensors", tmp_path / "whole.safetensors"
    settings = config(tmp_path / "a.toml", epochs=16, patience=16, sequence_length=5, batch_size=3)
    train = ["train", *given, "--config", settings, "--name", "mine"]
    with start(*train, "-o", path) as process:
        wait_for_epochs(process, path, 2)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    state = path.with_name(f"{path.name}.state")
    assert state.is_dir()

    message = refusal(moodring(*train, "-o", path))
    assert f'"{state}" is left from an interrupted training' in message
    assert "--resume" in message
    message = refusal(moodring(*train, "-o", path, "--resume", "--seed", 1))
    assert "is from a run with other settings or songs" in message

    assert moodring(*train, "-o", path, "--resume").status == 0
    assert not state.exists()
    assert moodring(*train, "-o", whole).status == 0
    assert path.read_bytes() == whole.read_bytes()
    assert log_of(path) == log_of(whole)


def test_an_interrupted_ensemble_is_not_written_but_can_go_on(
    moodring: Moodring, given: list[object], tmp_path: Path
) -> None:
    path, settings = tmp_path / "mine.safetensors", config(tmp_path / "a.toml", epochs=LONG, patience=LONG)
    with start("train", *given, "--config", settings, "--system", "ensemble", "-o", path) as process:
        wait_for_epochs(process, path, 1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "moodring: interrupted"
    assert not path.exists()
    assert path.with_name(f"{path.name}.state").is_dir()
