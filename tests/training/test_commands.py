"""Train and evaluate from end to end, on music that takes no time, through the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from model.checkpoint import load_checkpoint
from model.errors import MoodringError
from tests.training.conftest import write_table
from training import commands


def run(command: str, *arguments: object) -> Result:
    result = CliRunner().invoke(getattr(commands, command), [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, MoodringError | SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("librosa", reason="training needs librosa")
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "mine.safetensors"
    result = run(
        "train", "--data", tiny_data, "-o", path, "--window", 10, "--steps", 60, "--cache", folder / "c", "--jobs", 2
    )
    assert result.exit_code == 0, result.output
    assert "left out: vgmidi, emomusic, emotify, 4q, emopia" in " ".join(result.output.split())
    return path


def test_a_checkpoint_tells_how_it_was_made_and_how_well_it_does(trained: Path) -> None:
    checkpoint = load_checkpoint(trained)
    assert checkpoint.name == "mine"
    assert checkpoint.window == 10
    assert checkpoint.training["data"]["own music"]["clips"] > 12
    assert len(checkpoint.training["data"]["own music"]["labels_sha256"]) == 64
    assert checkpoint.training["recipe"]["steps"] == 60
    ours = checkpoint.metrics["results"]["own music"]["static"]["predictors"]["moodring"]
    # pulsing rich tones against pure ones is easy
    assert min(ours["r"]) > 0.8
    assert [path.name for path in trained.parent.iterdir() if path.suffix != ""] == ["mine.safetensors"]


def test_the_same_run_writes_the_same_file(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    arguments = ["--name", "mine", "--window", 10, "--steps", 60, "--cache", trained.parent / "c"]
    assert run("train", "--data", tiny_data, "-o", again, *arguments).exit_code == 0
    assert again.read_bytes() == trained.read_bytes()


def test_evaluation_repeats_the_figures_of_training(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["--data", tiny_data, "--json", figures, "--cache", trained.parent / "c"]
    result = run("evaluate", trained, *arguments)
    assert result.exit_code == 0, result.output
    assert "mean predictor" in result.output
    written = json.loads(figures.read_text())
    assert written["model"] == "mine"
    assert written["results"] == load_checkpoint(trained).metrics["results"]

    listed = run("evaluate", trained, *arguments, "--baseline", "--worst", 2)
    assert listed.exit_code == 0
    assert listed.output.count(".wav") == 2
    ridge = json.loads(figures.read_text())["results"]["own music"]["static"]["predictors"]["ridge regression"]
    assert min(ridge["r"]) > 0.8

    late = tmp_path / "late.json"
    assert run("evaluate", trained, *arguments, "--json", late, "--lag", 1.5).exit_code == 0
    assert json.loads(late.read_text())["lag"] == 1.5
    assert json.loads(late.read_text())["results"] != written["results"]


def test_a_validation_fold_is_measured_instead(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "choice.safetensors"
    arguments = ["--validation-fold", 2, "--window", 10, "--steps", 3, "--cache", trained.parent / "c"]
    assert run("train", "--data", tiny_data, "-o", path, *arguments).exit_code == 0
    checkpoint = load_checkpoint(path)
    assert checkpoint.metrics["clips"] == "validation fold 2"
    before = load_checkpoint(trained).training["data"]["own music"]["clips"]
    assert checkpoint.training["data"]["own music"]["clips"] < before


def line(result: Result) -> str:
    assert isinstance(result.exception, MoodringError)
    message = str(result.exception)
    assert "\n" not in message
    return message


def test_what_cannot_be_trained_on_is_one_line(tiny_data: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.safetensors"
    assert "has no data set" in line(run("train", "--data", tmp_path, "-o", output))
    assert "there is no folder" in line(run("train", "--data", tiny_data, "-o", tmp_path / "no" / "a.safetensors"))
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"no audio")
    write_table(tmp_path / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0.1, 0.1]])
    message = line(run("train", "--data", tmp_path, "-o", output, "--cache", tmp_path / "c", "--jobs", 1))
    assert "cannot decode" in message
    assert "a.wav" in message
    assert not output.exists()


def test_what_cannot_be_measured_is_one_line(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    assert "no checkpoint file" in line(run("evaluate", tmp_path / "none", "--data", tiny_data))
    assert "a lag of 5 s" in line(run("evaluate", trained, "--data", tiny_data, "--lag", 5))
    message = line(
        run("evaluate", trained, "--data", tiny_data, "--cache", trained.parent / "c", "--json", tmp_path / "n" / "f")
    )
    assert "cannot write" in message


def test_the_commands_load_nothing_heavy() -> None:
    code = "import sys, training.commands; print({'torch', 'librosa', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
