"""Train and evaluate from end to end, on music that takes no time, through the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from model.checkpoint import load_checkpoint
from model.errors import MoodringError
from model.network import EmotionNetwork
from tests.model.ears_for_tests import tiny_ear
from tests.training.conftest import write_table
from training import commands
from training.recipe import Recipe, default_network
from training.tracks import read_tracks


def run(command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(getattr(commands, str(command)), [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, MoodringError | SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def trained(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("librosa", reason="training needs librosa")
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "mine.safetensors"
    result = run(
        *("train", "--data", tiny_data, "-o", path, "--window", 10, "--steps", 60, "--rooms", 0),
        *("--cache", folder / "c", "--jobs", 2),
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
    arguments = ["--name", "mine", "--window", 10, "--steps", 60, "--rooms", 0, "--cache", trained.parent / "c"]
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
    assert json.loads(late.read_text())["results"].keys() == written["results"].keys()


def test_music_is_heard_in_rooms_too(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics")
    assert Recipe().rooms > 0
    made = {}
    for rooms in (0, 1):
        path = tmp_path / f"{rooms}.safetensors"
        arguments = ["--window", 10, "--steps", 3, "--rooms", rooms, "--jobs", 1, "--cache", trained.parent / "c"]
        kept = set((trained.parent / "c").iterdir())
        result = run("train", "--data", tiny_data, "-o", path, *arguments)
        assert result.exit_code == 0, result.output
        made[rooms] = load_checkpoint(path)
        assert made[rooms].training["recipe"]["rooms"] == rooms
        # what is measured, is not heard in rooms
        clips = made[rooms].training["data"]["own music"]["clips"]
        assert len(set((trained.parent / "c").iterdir()) - kept) == rooms * clips
    means = [checkpoint.network.standardisation.mean for checkpoint in made.values()]
    assert not torch.allclose(*means)


def test_a_crnn_can_be_put_beside_the_summary(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "crnn.safetensors"
    arguments = ["--crnn", "--window", 10, "--steps", 3, "--rooms", 0, "--cache", trained.parent / "c"]
    assert run("train", "--data", tiny_data, "-o", path, *arguments).exit_code == 0
    assert load_checkpoint(path).network_parameters.crnn == default_network(crnn=True).crnn is not None
    assert load_checkpoint(trained).network_parameters.crnn is None


def test_a_validation_fold_is_measured_instead(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "choice.safetensors"
    arguments = ["--validation-fold", 2, "--window", 10, "--steps", 3, "--rooms", 0, "--cache", trained.parent / "c"]
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
    assert "a lag of 70 s" in line(run("evaluate", trained, "--data", tiny_data, "--lag", 70))
    message = line(
        run("evaluate", trained, "--data", tiny_data, "--cache", trained.parent / "c", "--json", tmp_path / "n" / "f")
    )
    assert "cannot write" in message


def test_a_cross_validation_writes_what_it_is_asked_for_and_is_read_back(
    trained: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    tracks, markdown, figures, plots = (tmp_path / name for name in ("t.safetensors", "f.md", "f.json", "plots"))
    common = ["evaluate", trained, "--data", tiny_data, "--cross-validate", "--cache", trained.parent / "c"]
    common += ["--tracks", tracks, "--rooms", 0, "--jobs", 1]
    asked = ["--markdown", markdown, "--json", figures, "--plots", plots]
    first = run(*common, "--steps", 3, *asked)
    assert first.exit_code == 0, first.output
    said, notes = read_tracks(tracks)
    assert notes["recipe"]["steps"] == 3
    assert len(said["own music"]) == 24
    assert all(track.stds is not None for track in said["own music"].values())
    assert "own music" in markdown.read_text()
    assert json.loads(figures.read_text())["model"] == "mine"
    assert json.loads(figures.read_text())["properties"]["own music"]["static"]
    assert "Where the error is" in markdown.read_text()
    assert list(plots.glob("*.png"))

    def refuse(*arguments: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("training.cross_running.cross_validate", refuse)
    written = markdown.read_bytes()
    markdown.unlink()
    again = run(*common, "--steps", 3, "--markdown", markdown, "--against", tracks)
    assert again.exit_code == 0, again.output
    assert markdown.read_bytes().startswith(written[:200])

    assert "is of another model, recipe or labels; remove it" in line(run(*common, "--steps", 4))
    assert "is of another model, recipe or labels; remove it" in line(run(*common, "--steps", 3, "--seed", 1))


def test_what_would_fail_after_training_fails_before(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    common = ["evaluate", trained, "--data", tiny_data, "--cross-validate", "--cache", tmp_path / "c"]
    for option in ("--tracks", "--markdown", "--json"):
        assert "there is no folder" in line(run(*common, option, tmp_path / "none" / "a"))
    assert "there is no file of tracks" in line(run(*common, "--against", tmp_path / "none"))
    (tmp_path / "t").write_bytes(b"no tracks")
    assert "truncated or no file of tracks" in line(run(*common, "--tracks", tmp_path / "t"))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cross-validate", "--lag", 1], "do not go with --cross-validate"),
        (["--cross-validate", "--baseline"], "do not go with --cross-validate"),
        (["--cross-validate", "--gain", -20], "do not go with --cross-validate"),
        (["--steps", 3], "--steps and --rooms are for --cross-validate"),
        (["--rooms", 3], "--steps and --rooms are for --cross-validate"),
        (["--gain", -20, "--room", "club"], "do not go with --gain"),
        (["--gain", -20, "--lag", 1], "do not go with --gain"),
        (["--learning-curve", "--cross-validate"], "do not go together"),
        (["--learning-curve", "--gain", -20], "do not go with --learning-curve"),
        (["--learning-curve", "--tracks", "t"], "do not go with --learning-curve"),
        (["--gain", -61], "is not in the range"),
    ],
)
def test_options_that_do_not_go_together(tiny_data: Path, options: list[object], message: str) -> None:
    result = run("evaluate", "--data", tiny_data, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_held_out_clips_get_tracks_tables_and_plots(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    arguments = ["--data", tiny_data, "--cache", trained.parent / "c", "--tracks", tmp_path / "t.safetensors"]
    result = run("evaluate", trained, *arguments, "--markdown", tmp_path / "f.md", "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    said, notes = read_tracks(tmp_path / "t.safetensors")
    assert notes["clips"] == "evaluation"
    assert 0 < len(said["own music"]) < 24
    assert "own music: mean absolute error by brightness" in (tmp_path / "f.md").read_text()
    assert list((tmp_path / "plots").iterdir())


def test_a_learning_curve_is_shown_written_and_drawn(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    common = ["evaluate", trained, "--data", tiny_data, "--learning-curve", "--cache", trained.parent / "c"]
    files = ["--markdown", tmp_path / "f.md", "--json", tmp_path / "f.json", "--plots", tmp_path / "plots"]
    result = run(*common, "--steps", 3, "--rooms", 0, "--jobs", 1, *files)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "f.json").read_text())
    assert written["recipe"]["steps"] == 3
    points = written["learning_curve"]
    assert [point["share"] for point in points] == [0.125, 0.25, 0.5, 1]
    songs = [point["songs"]["own music"] for point in points]
    assert songs == sorted(set(songs))
    assert songs[-1] == load_checkpoint(trained).training["data"]["own music"]["clips"]
    assert "figures against songs" in (tmp_path / "f.md").read_text()
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["learning-curve.png", "learning-curve.svg"]
    assert "there is no folder" in line(run(*common, "--json", tmp_path / "none" / "f.json"))


def test_a_gain_gets_a_row_beside_its_goal(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", trained, "--data", tiny_data, "--cache", trained.parent / "c", "--jobs", 1]
    shown = run(*arguments, "--gain", -20)
    assert shown.exit_code == 0, shown.output
    assert "Output change for a gain of -20 dB" in shown.output
    assert "the goal is for one of" not in shown.output
    changes = {}
    for gain in (-60, 0):
        files = tmp_path / f"{gain}.md", tmp_path / f"{gain}.json"
        result = run(*arguments, "--gain", gain, "--markdown", files[0], "--json", files[1])
        assert result.exit_code == 0, result.output
        written = json.loads(files[1].read_text())
        assert written["gain"] == gain
        changes[gain] = written["figures"]["own music"]["static"]["metrics"]["output change"]["arousal"]
        assert "| output change, valence |" in files[0].read_text()
        assert f"for a gain of {gain:+d} dB" in files[0].read_text()
        assert "the goal is for one of -20 dB" in files[0].read_text()
        assert written["results"]["own music"]
    assert changes[0]["goal"] == 0.03
    # that far down, soft bands lie below the frontend's energy floor
    assert changes[-60]["value"] > changes[0]["value"] == 0


def test_an_ear_comes_from_another_checkpoint(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    teacher = load_checkpoint(trained)
    teacher.ear = tiny_ear()
    columns = teacher.ear.shape.outputs
    parameters = replace(teacher.network.network_parameters, ear_columns=columns)
    teacher.network = EmotionNetwork(teacher.frontend.parameters, parameters)
    teacher.save(tmp_path / "teacher.safetensors")
    hearing = tmp_path / "hearing.safetensors"
    arguments = ["--data", tiny_data, "--cache", trained.parent / "c", "--jobs", 1]
    short = ["--window", 10, "--steps", 3, "--rooms", 0]
    result = run("train", *arguments, "-o", hearing, "--ear", tmp_path / "teacher.safetensors", *short)
    assert result.exit_code == 0, result.output
    checkpoint = load_checkpoint(hearing)
    assert checkpoint.ear is not None
    assert checkpoint.ear.digest() == teacher.ear.digest()
    assert run("evaluate", hearing, *arguments).exit_code == 0
    assert "has no ear; choose none, musicnn" in line(
        run("train", *arguments, "-o", tmp_path / "x.safetensors", "--ear", trained, *short)
    )


def test_a_window_that_no_clip_fills_is_one_line(trained: Path, tiny_data: Path, tmp_path: Path) -> None:
    arguments = ["--data", tiny_data, "--cache", trained.parent / "c", "--jobs", 1, "--window", 40, "--rooms", 0]
    message = line(run("train", *arguments, "-o", tmp_path / "x.safetensors"))
    assert "own music is too short for the window: no clip has 40 frames" in message


def test_the_commands_load_nothing_heavy() -> None:
    code = "import sys, training.commands; print({'torch', 'librosa', 'numpy', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
