"""Files that training keeps, from somebody else: refused in one line, never for more than they are."""

from __future__ import annotations

import copy
import io
import json
import math
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save
from torch import nn

from model.regular_file import FileError
from model.tensor_file import read_tensor_file
from scripts.benchmarks.fuzzing.checkpoints import write_sparse
from scripts.benchmarks.fuzzing.target import check_message
from tests.fuzzing import survives
from training.arrays import read_floats
from training.audio import read_as_it_is
from training.paper.runs import _SecondsSpent
from training.paper.system_file import METADATA_KEY, is_system_file, read_system
from training.state import (
    State,
    going_on,
    optimiser_tensors,
    read_state,
    restore_optimiser,
    restore_schedule,
    write_state,
)
from training.tables import DataError, read_dynamic_labels
from training.tracks import read_tracks

READERS: list[Callable[[Path], object]] = [read_state, read_tracks, read_system]


def test_thousands_of_damaged_files(tmp_path: Path) -> None:
    survives("kept", 4000, tmp_path)


@pytest.mark.parametrize("reader", READERS)
def test_a_sparse_file_of_gigabytes_is_refused_unread(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    path = write_sparse(tmp_path / "sparse", 1 << 33)
    with pytest.raises(DataError) as refused:
        reader(path)
    check_message(refused.value)
    assert not is_system_file(path)


def test_a_file_is_read_up_to_its_bounds_only(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = save({"a": torch.zeros(100)}, {"key": "value"})
    path.write_bytes(content)
    assert read_tensor_file(path, len(content), 200).metadata == {"key": "value"}
    with pytest.raises(FileError, match="has 5"):
        read_tensor_file(path, len(content) - 1, 200)
    with pytest.raises(FileError, match="has a header of"):
        read_tensor_file(path, len(content), 20)


@pytest.mark.parametrize("columns", [0, -1, True, 10**9, 2.5, "4", None, [4]])
def test_a_system_of_impossible_columns_is_refused(tmp_path: Path, columns: object) -> None:
    metadata = {"version": 1, "configuration": {}, "columns": columns, "training": {}}
    (tmp_path / "a").write_bytes(save({"component.0.weight": torch.zeros(2)}, {METADATA_KEY: json.dumps(metadata)}))
    with pytest.raises(DataError, match="does not fit together: not a whole number from 1"):
        read_system(tmp_path / "a")


def array(values: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + data


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.npy", array(np.zeros((3, 2), dtype=np.float32)))
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        archive(),
        array(np.zeros((3, 2))),
        array(np.zeros((3, 3), dtype=np.float32)),
        array(np.zeros((3, 2), dtype=np.float32))[:-1],
        array(np.zeros((3, 2), dtype=np.float32)) + b"x",
        array(np.zeros((3, 2), dtype=np.float32).T.copy().T),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 2), }"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 2), }", b"cos\nsystem\n(S'true'\ntR."),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 2), }"),
        header("-" * 9000 + "1"),
        header("(" * 9000),
        header("__import__('os').system('true')"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1),
    ],
)
def test_arrays_that_are_something_else_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_floats(path, 2)


def test_an_array_is_read(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    (tmp_path / "a.npy").write_bytes(array(rows))
    np.testing.assert_array_equal(read_floats(tmp_path / "a.npy", 2), rows)


def trained() -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    network = nn.Linear(3, 2)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    for _ in range(2):
        torch.autograd.backward(network(torch.ones(1, 3)).sum())
        optimiser.step()
        schedule.step()
    return optimiser, schedule


def test_an_optimiser_and_its_schedule_are_restored() -> None:
    optimiser, schedule = trained()
    tensors, notes = optimiser_tensors(optimiser), json.loads(json.dumps(schedule.state_dict()))
    other, other_schedule = trained()
    restore_optimiser(other, tensors)
    restore_schedule(other_schedule, notes)
    assert other_schedule.state_dict() == schedule.state_dict()
    for name, tensor in optimiser_tensors(other).items():
        torch.testing.assert_close(tensor, tensors[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.update({"optimiser.0.exp_avg": torch.zeros(1 << 20)}),
        lambda t: t.update({"optimiser.0.exp_avg": torch.zeros(2, 3, dtype=torch.complex64)}),
        lambda t: t.update({"optimiser.7.exp_avg": torch.zeros(2)}),
        lambda t: t.update({"optimiser.0.surprise": torch.zeros(2)}),
        lambda t: t.update({"optimiser.x.step": torch.zeros(())}),
        lambda t: t.update({"optimiser.": torch.zeros(())}),
        lambda t: t.update({"optimiser.0.step": torch.zeros(3)}),
        lambda t: t.pop("optimiser.0.step"),
    ],
)
def test_moments_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    optimiser, _ = trained()
    tensors = optimiser_tensors(optimiser)
    change(tensors)
    with pytest.raises(DataError, match="does not fit this training; remove it"), going_on(tmp_path / "a.state"):
        restore_optimiser(optimiser, tensors)


@pytest.mark.parametrize(
    "change",
    [
        lambda n: n.update(step="x"),
        lambda n: n.update(get_lr=1),
        lambda n: n.update(T_max="10"),
        lambda n: n.update(T_max=math.nan),
        lambda n: n.update(base_lrs=[0.1, 0.1]),
        lambda n: n.update(base_lrs=["a"]),
        lambda n: n.update(last_epoch=True),
        lambda n: n.pop("T_max"),
    ],
)
def test_schedules_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    _, schedule = trained()
    notes = copy.deepcopy(schedule.state_dict())
    change(notes)
    with pytest.raises(DataError, match="does not fit this training"), going_on(tmp_path / "a.state"):
        restore_schedule(schedule, notes)
    with pytest.raises(DataError, match="does not fit this training"), going_on(tmp_path / "a.state"):
        restore_schedule(schedule, [1])


@pytest.mark.parametrize("notes", [[], 1, "a", None])
def test_a_state_whose_notes_are_no_object_is_refused(tmp_path: Path, notes: Any) -> None:
    write_state(tmp_path / "a.state", State({"a": torch.zeros(1)}, notes))
    with pytest.raises(DataError, match="is no training state; remove it"):
        read_state(tmp_path / "a.state")


@pytest.mark.parametrize("text", ["[" * 5000, "1e999", "-5", '"a"', "null", "9" * 400, "NaN"])
def test_seconds_that_are_none_count_from_zero(tmp_path: Path, text: str) -> None:
    (tmp_path / "seconds.json").write_text(text)
    assert 0 <= _SecondsSpent(tmp_path / "seconds.json").spent < 60


def test_a_column_with_thousands_of_digits_is_no_position(tmp_path: Path) -> None:
    for name in ("valence.csv", "arousal.csv"):
        (tmp_path / name).write_text(f"id,sample_{'9' * 5000}ms\n1,0.5\n")
    with pytest.raises(DataError, match="has no column like sample_500ms"):
        read_dynamic_labels(tmp_path / "valence.csv", tmp_path / "arousal.csv", "id")


def test_music_that_claims_to_last_for_weeks_takes_no_more_memory_than_it_is(tmp_path: Path) -> None:
    path = tmp_path / "claims.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 9000), 44100)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the 36 bits of STREAMINFO that count the samples (RFC 9639, section 8.2)
    content[22:26] = b"\xff\xff\xff\xf0"
    path.write_bytes(content)
    assert soundfile.info(path).frames > 1 << 35
    with suppress(DataError):
        samples, rate = read_as_it_is(path)
        assert (len(samples), rate) == (9000, 44100)
