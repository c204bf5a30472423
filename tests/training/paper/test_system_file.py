from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

pytest.importorskip("sklearn", reason="the fusion needs scikit-learn (pip install moodring[train])")

from model.checkpoint import Checkpoint, load_checkpoint
from tests.training.paper.synthetic import learnable_songs, one_line, small
from training.paper.configuration import configure
from training.paper.names import SYSTEMS
from training.paper.streamable import COLUMNS, as_checkpoint, is_streamable
from training.paper.system_file import is_system_file, read_system, write_system
from training.paper.systems import TrainedSystem, train_system
from training.tables import DataError

SONGS = learnable_songs(10)
TRAINING = {"seed": 7, "scores": {"evaluation": 0.25}}


@pytest.fixture(scope="module", params=SYSTEMS)
def trained(request: pytest.FixtureRequest) -> TrainedSystem:
    return train_system(small(request.param, epochs=1), SONGS[:8], seed=0)


@pytest.fixture(scope="module")
def file(trained: TrainedSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(trained.configuration.system) / "a.safetensors"
    write_system(path, trained, TRAINING)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_system(path)
    message = one_line(caught.value)
    assert f'"{path}"' in message
    return message


def test_what_is_written_is_read_again(trained: TrainedSystem, file: Path) -> None:
    assert is_system_file(file)
    again = read_system(file)
    assert again.training == TRAINING
    assert again.system.configuration == trained.configuration
    assert again.system.parameter_count == trained.parameter_count
    for ours, theirs in zip(trained.estimate(SONGS[8:]), again.system.estimate(SONGS[8:]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_same_system_gives_the_same_file(trained: TrainedSystem, file: Path, tmp_path: Path) -> None:
    write_system(tmp_path / "again", trained, TRAINING)
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    write_system(tmp_path / "from file", read_system(file).system, TRAINING)
    assert (tmp_path / "from file").read_bytes() == file.read_bytes()


def test_an_older_file_is_replaced_and_nothing_is_left_beside_it(trained: TrainedSystem, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"old")
    write_system(path, trained, TRAINING)
    assert is_system_file(path)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError) as caught:
        write_system(tmp_path / "none" / "a", trained, TRAINING)
    assert "cannot write" in one_line(caught.value)


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=8, deadline=None)
def test_a_truncated_file_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    path = file.with_name("truncated")
    path.write_bytes(content[: int(share * len(content))])
    assert "is truncated or not a safetensors file" in refusal(path)
    assert not is_system_file(path)


@given(st.integers(0, 50_000), st.integers(0, 7))
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_is_refused_or_leaves_a_system(file: Path, place: int, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path = file.with_name("flipped")
    path.write_bytes(content)
    try:
        system = read_system(path).system
    except DataError as error:
        message = str(error)
    else:
        # within a weight, a flip cannot be told from another training
        estimates = system.estimate(SONGS[8:])
        assert [values.shape for values in estimates] == [song.labels.shape for song in SONGS[8:]]
        return
    assert f'"{path}"' in message
    assert "\n" not in message


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None],
) -> Path:
    with safe_open(source, framework="pt") as archive:
        metadata = json.loads(archive.metadata()["moodring-system"])
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a mapping)
    change(metadata, tensors)
    save_file(tensors, target, {"moodring-system": json.dumps(metadata)})
    return target


def every_tensor(source: Path) -> list[str]:
    with safe_open(source, framework="pt") as archive:
        return list(archive.keys())


def test_no_tensor_may_be_missing_of_another_shape_or_not_finite(file: Path, tmp_path: Path) -> None:
    names = every_tensor(file)
    some = [name for name in names if not name.startswith("component")] + names[:: max(1, len(names) // 8)]
    for name in some:

        def spoil(_: Any, tensors: dict[str, torch.Tensor], name: str = name) -> None:
            tensors[name] = torch.full(tensors[name].shape, torch.nan)

        def grow(_: Any, tensors: dict[str, torch.Tensor], name: str = name) -> None:
            tensors[name] = torch.zeros(*tensors[name].shape, 2)

        def drop(_: Any, tensors: dict[str, torch.Tensor], name: str = name) -> None:
            del tensors[name]

        for change in (drop, grow, spoil):
            assert "does not fit together" in refusal(rewrite(file, tmp_path / "a", change)), (name, change.__name__)


@pytest.mark.parametrize("value", [2, 0, "1", None])
def test_another_version_is_refused(file: Path, tmp_path: Path, value: object) -> None:
    path = rewrite(file, tmp_path / "a", lambda metadata, _: metadata.update(version=value))
    assert "is no trained system of version 1" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"columns": 7},
        {"columns": -1},
        {"columns": 10**30},
        {"columns": float("inf")},
        {"columns": None},
        {"columns": [6]},
        {"configuration": None},
        {"configuration": [1]},
        {"configuration": {"gru_units": 2000, "lstm_units": 4000}},
        {"configuration": {"system": "rnn"}},
        {"configuration": {"unknown": 1}},
        {"training": 3},
        {"training": None},
    ],
    ids=str,
)
def test_metadata_that_do_not_fit_are_refused(file: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    path = rewrite(file, tmp_path / "a", lambda metadata, _: metadata.update(change))
    assert "does not fit together" in refusal(path)


@pytest.mark.parametrize("key", ["configuration", "columns", "training"])
def test_metadata_that_are_missing_are_refused(file: Path, tmp_path: Path, key: str) -> None:
    path = rewrite(file, tmp_path / "a", lambda metadata, _: metadata.pop(key))
    assert "does not fit together" in refusal(path)


def test_other_files_are_no_systems(tmp_path: Path, checkpoint: Checkpoint) -> None:
    text, foreign, ours = tmp_path / "text", tmp_path / "foreign", tmp_path / "checkpoint"
    text.write_text("no weights")
    save_file({"x": torch.zeros(2)}, foreign)
    checkpoint.save(ours)
    assert "truncated or not" in refusal(text)
    for path in (foreign, ours):
        assert "is no trained system" in refusal(path)
    for path in (tmp_path / "none", tmp_path):
        assert "cannot read" in refusal(path)
    for path in (text, foreign, ours, tmp_path / "none", tmp_path):
        assert not is_system_file(path)
    save_file({"x": torch.zeros(2)}, foreign, {"moodring-system": "[1, 2"})
    refusal(foreign)
    save_file({"x": torch.zeros(2)}, foreign, {"moodring-system": "[" * 100_000})
    refusal(foreign)


@pytest.mark.parametrize("system", ["crnn", "crnn-nb"])
def test_what_can_be_streamed_estimates_the_same(system: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    frontend = checkpoint.frontend
    where = frontend.parameters.columns[COLUMNS]
    random = np.random.default_rng(0)
    songs = learnable_songs(6, columns=frontend.parameters.mel_bands)
    trained = train_system(small(system, sequence_length=15), songs, seed=0)
    assert is_streamable(trained.configuration)
    made = as_checkpoint(trained, frontend, "mine", {"seed": 0}, "none")
    made.save(tmp_path / "mine.safetensors")
    assert not is_system_file(tmp_path / "mine.safetensors")
    again = load_checkpoint(tmp_path / "mine.safetensors")
    assert (again.name, again.window, again.training, again.licence) == ("mine", 15, {"seed": 0}, "none")

    for song in songs:
        rows = random.normal(size=(15, frontend.parameters.feature_count)).astype(np.float32)
        rows[:, where] = song.inputs[:15]
        short = type(song)(song.name, song.inputs[:15], song.labels[:15])
        (expected,) = trained.estimate([short])
        for one in (made, again):
            with torch.inference_mode():
                np.testing.assert_array_equal(one.network(torch.from_numpy(rows[None]))[0].numpy(), expected)
            np.testing.assert_allclose(one.estimate(rows[None])[0], expected.mean(axis=0), atol=1e-6)
            # while a stream warms up
            assert one.estimate(rows[None, :3]).shape == (1, 2)


@pytest.mark.parametrize(
    ("system", "features", "can"),
    [
        ("crnn", "logmel", True),
        ("crnn-nb", "logmel", True),
        ("crnn", "opensmile", False),
        ("ensemble", "logmel", False),
        ("dblstm-fusion", "logmel", False),
    ],
)
def test_only_one_network_on_what_is_heard_live_can_be_streamed(system: str, features: str, can: bool) -> None:
    assert is_streamable(configure({"system": system, "features": features})) == can
