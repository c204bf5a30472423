"""The cross-validation of a model whose ear is distilled, from end to end through the command."""

from __future__ import annotations

from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

import model.musicnn
from model.checkpoint import Checkpoint
from model.crnn import CRNNParameters
from model.errors import MoodringError
from model.features import Frontend
from model.network import EmotionNetwork, NetworkParameters
from tests.model.ears_for_tests import TINY, sounds, tiny_ear
from tests.training.conftest import write_table
from training.commands import evaluate
from training.distillation import DistillationSettings
from training.tracks import read_tracks


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten files of five frames."""
    folder = tmp_path_factory.mktemp("music")
    (folder / "audio").mkdir()
    rows: list[list[object]] = [["file", "valence", "arousal"]]
    for number in range(10):
        soundfile.write(folder / "audio" / f"{number}.wav", sounds(5, number).ravel(), 22050, subtype="FLOAT")
        rows.append([f"{number}.wav", 0.1 * (number % 4), 0.1 * (number % 3)])
    write_table(folder / "labels.csv", rows)
    return folder


@pytest.fixture(scope="module")
def distilled(frontend: Frontend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parameters = NetworkParameters(
        window=4,
        memory=4,
        ear_columns=TINY.outputs,
        summary_units=0,
        spread_units=2,
        crnn=CRNNParameters(conv_filters=1, fc_units=2, gru_units=2, maxout_pieces=2),
    )
    path = tmp_path_factory.mktemp("model") / "distilled.safetensors"
    network = EmotionNetwork(frontend.parameters, parameters).eval()
    Checkpoint("distilled", frontend, network, ear=tiny_ear()).save(path)
    return path


@pytest.fixture(autouse=True)
def short_distillation(monkeypatch: pytest.MonkeyPatch) -> None:
    short = partial(DistillationSettings, steps=2, windows=4, frames=3)
    monkeypatch.setattr("training.cross_running.DistillationSettings", short)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(evaluate, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, MoodringError | SystemExit), result.exception
    return result


def without_musicnn(monkeypatch: pytest.MonkeyPatch) -> None:
    model.musicnn._load.cache_clear()
    monkeypatch.setattr("model.musicnn.find_spec", lambda name: None)


@pytest.mark.skipif(find_spec("musicnn") is None, reason="musicnn is not installed (pip install --no-deps musicnn)")
def test_a_distilled_ear_is_distilled_for_each_fold(
    distilled: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = tmp_path / "t.safetensors"
    arguments = [distilled, "--data", data, "--cross-validate", "--cache", tmp_path / "c", "--jobs", 1, "--steps", 2]
    arguments += ["--tracks", tracks, "--rooms", 1]
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    said, notes = read_tracks(tracks)
    assert notes["ear"] == "distilled for each fold"
    assert notes["distillation"]["steps"] == 2
    assert set(said["own music"]) == {f"{number}.wav" for number in range(10)}
    assert all(np.isfinite(track.values).all() for track in said["own music"].values())
    # each file: what the teacher says, and the spectrograms and the frontend's features of it and of it in a room; no
    # ear's rows; and each fold's ear
    assert Counter(path.suffix for path in (tmp_path / "c").iterdir()) == {".npy": 5 * 10, ".safetensors": 5}

    # what was kept is measured without the teacher
    without_musicnn(monkeypatch)
    assert run(*arguments).exit_code == 0
    # but not if the ears had other music
    others = run(*arguments, "--unlabelled", data)
    assert "is of another model, recipe or labels" in str(others.exception)


def test_music_without_labels_is_for_models_whose_ear_is_distilled(data: Path, tmp_path: Path) -> None:
    arguments = ["--data", data, "--unlabelled", data]
    assert "--unlabelled is for --cross-validate" in run("default", *arguments).output
    without_ear = run("large", *arguments, "--cross-validate", "--cache", tmp_path / "c")
    assert "has no distilled ear" in str(without_ear.exception)
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = run("default", "--data", data, "--cross-validate", "--unlabelled", empty)
    assert "has no audio files" in str(nothing.exception)


def test_a_missing_teacher_is_one_line_before_anything_is_computed(
    distilled: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_musicnn(monkeypatch)
    result = run(distilled, "--data", data, "--cross-validate", "--cache", tmp_path / "c", "--jobs", 1)
    message = str(result.exception)
    assert "package musicnn, which is missing: pip install" in message
    assert "\n" not in message
    assert not (tmp_path / "c").exists()
