"""Training on several processes: the same curve as on one, and an orderly end whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import assume, given
from hypothesis import strategies as st

import training.distributed
import training.launching
import training.trainer
from model.checkpoint import load_checkpoint
from model.network import EmotionNetwork
from tests.conftest import REPOSITORY
from tests.training.test_trainer import PARAMETERS, RECIPE, random_features, samplers
from training import commands
from training.distributed import Group, Place
from training.global_batch import FEWEST_WINDOWS, GlobalBatch
from training.launching import training_group
from training.recipe import Recipe, default_network
from training.tables import DataError
from training.trainer import train

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
CURVE = replace(RECIPE, steps=30, windows_per_step={"pairs": 3, "signs": 2}, not_music_windows=2, short_share=0.3)
Stepped = Callable[[int, float], None]


def curve(
    processes: int, recipe: Recipe, state: Path | None = None, resume: bool = False, stepped: Stepped | None = None
) -> tuple[dict[int, float], EmotionNetwork]:
    losses: dict[int, float] = {}

    def note(step: int, loss: float) -> None:
        losses[step] = loss
        if stepped is not None:
            stepped(step, loss)

    with training_group(processes) as group:
        sounds = samplers()["pairs"]
        network = train(
            samplers(), PARAMETERS, default_network(), recipe, 3, note, state, resume, not_music=sounds, group=group
        )
    return losses, network


def children() -> set[int]:
    tasks = Path("/proc/self/task")
    if not (tasks / str(os.getpid()) / "children").exists():
        pytest.skip("the system does not list child processes")
    return {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}


def test_two_processes_learn_as_one_does() -> None:
    """With all dropout, with parts of unequal size, and with batches that leave one process no row of the CRNN's."""
    alone, one = curve(1, CURVE)
    together, two = curve(2, CURVE)
    assert list(together) == list(alone) == list(range(1, CURVE.steps + 1))
    assert together == pytest.approx(alone, rel=1e-4)
    mine, others = one.state_dict(), two.state_dict()
    assert {name: value.dtype for name, value in others.items()} == {name: v.dtype for name, v in mine.items()}
    # what is added before a batch normalisation is taken off by it: its gradient is nothing but rounding, of which
    # Adam makes steps of full length
    without_effect = ("crnn.conv.0.bias", "crnn.conv.1.running_mean")
    for name, value in mine.items():
        if name not in without_effect:
            torch.testing.assert_close(
                others[name], value, atol=1e-5, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}"
            )
    rows = torch.stack([torch.from_numpy(r) for r in random_features([40, 40], 8)])
    for theirs, ours in zip(two.estimate(rows), one.estimate(rows), strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=0)


def test_an_interrupted_training_goes_on_with_another_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.trainer, "STEPS_BETWEEN_STATES", 5)
    recipe = replace(CURVE, steps=10)
    state = tmp_path / "state"
    before = children()

    def interrupt(step: int, loss: float) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(1, recipe, state, stepped=interrupt)
    with pytest.raises(KeyboardInterrupt):
        curve(2, recipe, tmp_path / "of two", stepped=interrupt)
    assert children() == before
    whole, _ = curve(1, recipe)
    rest = {step: loss for step, loss in whole.items() if step > 5}
    assert curve(2, recipe, state, resume=True)[0] == pytest.approx(rest, rel=1e-4)
    assert curve(1, recipe, tmp_path / "of two", resume=True)[0] == pytest.approx(rest, rel=1e-4)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_is_one_clear_line_and_ends_the_others(number: int) -> None:
    before = children()

    def kill(step: int, loss: float) -> None:
        if step == 3:
            (worker,) = children() - before
            os.kill(worker, number)

    with pytest.raises(DataError) as raised:
        curve(2, replace(CURVE, steps=100_000), stepped=kill)
    expected = f"training process 1 of 2 was killed by signal {int(number)}; --resume goes on"
    assert str(raised.value) == expected
    assert children() == before


def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.distributed, "LONGEST_SILENCE", timedelta(seconds=3))
    monkeypatch.setattr(training.launching, "_LONGEST_END", 0.5)
    before = children()

    def stop(step: int, loss: float) -> None:
        if step == 3:
            (worker,) = children() - before
            os.kill(worker, signal.SIGSTOP)

    with pytest.raises(DataError, match=r"the training processes have lost each other \(.*\); --resume goes on"):
        curve(2, replace(CURVE, steps=100_000), stepped=stop)
    assert children() == before


def test_no_process_outlives_a_killed_first_one(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(
        "from dataclasses import replace\n"
        "from tests.training.test_distributed import CURVE, children, curve\n"
        'if __name__ == "__main__":\n'
        "    curve(2, replace(CURVE, steps=100_000), stepped=lambda step, loss: print(*children(), flush=True))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    children()
    first = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    assert first.stdout is not None
    worker = Path("/proc", first.stdout.readline().strip())
    assert worker.exists()
    first.kill()
    first.communicate()
    deadline = time.monotonic() + 60
    # its parent is gone; whoever inherits it may leave it unburied
    with suppress(FileNotFoundError, ProcessLookupError):
        while ") Z " not in (worker / "stat").read_text():
            assert time.monotonic() < deadline, "it is still there"
            time.sleep(0.05)


def test_more_processes_than_a_batch_has_rows_for_are_refused() -> None:
    with pytest.raises(DataError, match="a batch of 3 windows is too small for 2 processes; take 1 at most"):
        curve(2, replace(RECIPE, windows_per_step={"pairs": 3}, not_music_windows=0))


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"RANK": "1"}, "MASTER_ADDR"),
        ({"RANK": "one", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, "invalid literal"),
    ],
)
def test_what_torchrun_would_not_have_set_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], reason: str
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=f"cannot find the other processes by RANK.*{reason}"):
        Place.of_torchrun()


def test_the_paper_s_systems_are_not_trained_twice_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    arguments = ["--data", str(tmp_path), "-o", str(tmp_path / "a.safetensors"), "--system", "crnn"]
    refused = CliRunner().invoke(commands.train, arguments)
    assert refused.exit_code == 2
    assert "is for --system live" in refused.output


class _Rank(Group):
    """A place among processes that are not there."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.device = rank, size, torch.device("cpu")


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5), st.integers(1, 6))
def test_every_row_is_one_process_s_and_all_have_as_many(counts: list[int], size: int) -> None:
    assume(sum(counts) >= FEWEST_WINDOWS * size)
    sets = [torch.arange(count) + 100 * index for index, count in enumerate(counts)]
    parts = [GlobalBatch(_Rank(rank, size), counts).mine(sets) for rank in range(size)]
    for index, rows in enumerate(sets):
        assert sorted(torch.cat([part[index] for part in parts]).tolist()) == rows.tolist()
        lengths = [len(part[index]) for part in parts]
        assert max(lengths) - min(lengths) <= 1
    totals = [sum(map(len, part)) for part in parts]
    assert max(totals) - min(totals) <= 1


def test_the_command_and_torchrun_write_the_same_checkpoint_and_ctrl_c_ends_all(
    tiny_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("librosa", reason="training needs librosa")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    common = ["train", "--data", tiny_data, "--window", 10, "--name", "tiny", "--cache", tmp_path / "c", "--jobs", 1]
    common += ["--rooms", 0]

    def command(output: str, steps: int, *more: object) -> list[str]:
        return [str(a) for a in (*common, "-o", tmp_path / f"{output}.safetensors", "--steps", steps, *more)]

    moodring = [sys.executable, "-m", "streamer.cli"]
    ours = subprocess.run(
        [*moodring, *command("ours", 3, "--processes", 2)], env=environment, capture_output=True, text=True, timeout=200
    )
    assert ours.returncode == 0, ours.stderr
    assert ours.stderr == ""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    theirs = subprocess.run(
        [*torchrun, "-m", "streamer.cli", *command("theirs", 3)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout.count("wrote") == 1
    written = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("ours", "theirs")]
    assert written[0] == written[1]
    assert load_checkpoint(tmp_path / "ours.safetensors").training["recipe"]["steps"] == 3

    state = tmp_path / "long.safetensors.state"
    process = subprocess.Popen(
        [*moodring, *command("long", 100_000, "--processes", 2)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert state.exists()
    assert (process.returncode, complaint) == (130, "moodring: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
