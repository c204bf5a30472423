"""`annotate` that is killed, stopped, or out of disk, and started again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streamer.forks import Origin, origin, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits, tmpfs and /proc as Linux has them")

FILES = 6
SECONDS = 6
ENDINGS = ("csv", "jsonl", "parquet")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory, piece: np.ndarray) -> Path:
    """Give a folder of clips, one of them broken in the middle and one no audio at all."""
    music = tmp_path_factory.mktemp("music")
    for number in range(FILES):
        start = number * SECONDS * 44100
        soundfile.write(music / f"{number}.flac", piece[start : start + SECONDS * 44100], 44100)
    broken = (music / "2.flac").read_bytes()
    (music / "2.flac").write_bytes(broken[: len(broken) // 2])
    (music / "4.flac").write_bytes(b"not audio")
    return music


@pytest.fixture(scope="module")
def whole(forks: Origin, music: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the tables of runs that nothing disturbed, by their ending."""
    folder = tmp_path_factory.mktemp("whole")
    runs = {ending: forks.start("annotate", music, "-o", folder / f"mood.{ending}") for ending in ENDINGS}
    assert [run.wait() for run in runs.values()] == [1] * 3  # two files are bad
    assert sorted(os.listdir(folder)) == [f"mood.{ending}" for ending in ENDINGS]
    return {ending: (folder / f"mood.{ending}").read_bytes() for ending in ENDINGS}


@pytest.fixture(autouse=True)
def _nothing_else_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    left = {path.name for path in tmp_path.iterdir() if path.name != "music"}
    assert left <= {name for ending in ENDINGS for name in (f"mood.{ending}", f".mood.{ending}.part")}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_killed_again_and_again_it_ends_with_the_same_table(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes], ending: str
) -> None:
    chance = random.Random(ending)
    output, kept = tmp_path / f"mood.{ending}", tmp_path / f".mood.{ending}.part"
    kills = 0
    resumed = 0
    while not output.exists():
        before = _size(kept)
        run = forks.start("annotate", music, "-o", output)
        growth = chance.choice([1, 500, 1000])
        wait_until(lambda run=run, goal=before + growth: not run.alive or _size(kept) >= goal, "progress")
        run.send(signal.SIGKILL)
        kills += run.wait() == -signal.SIGKILL
        resumed += "going on: " in run.errors
    assert output.read_bytes() == whole[ending]
    assert kills >= 3
    assert resumed >= 2
    last = forks.start("annotate", music, "-o", output)
    assert last.wait() == 1
    assert output.read_bytes() == whole[ending]
    assert not kept.exists()
    bad = [line for line in last.errors.splitlines() if "going on" not in line]
    assert [name in line for name, line in zip(("2.flac", "4.flac"), bad, strict=True)] == [True, True]


def test_killed_at_any_byte_that_it_writes(forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    table = len(whole["csv"])
    for limit in (0, 1, 40, 700, 1500, table // 3, table // 2, table - 1):
        run = forks.start("annotate", music, "-o", output, largest_file=limit, killed_by_it=True)
        assert run.wait() == -signal.SIGXFSZ
        assert not output.exists()
        run = forks.start("annotate", music, "-o", output)
        assert run.wait() == 1
        assert output.read_bytes() == whole["csv"]
        assert not kept.exists()
        output.unlink()


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "the terminal was closed"),
    ],
)
def test_a_signal_keeps_what_is_done_and_says_so(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes], number: int, status: int, word: str
) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    run = forks.start("annotate", music, "-o", output)
    wait_until(lambda: b'"file"' in (kept.read_bytes() if kept.exists() else b""), "the first file's end")
    run.send(number)
    assert run.wait() == status
    line = run.errors.splitlines()[-1]
    assert line.startswith(f"moodring: {word}; ")
    assert line.endswith(f' of 6 files are kept in "{kept}"; the same command goes on with them')
    done = int(line.split("; ")[1].split()[0])
    again = forks.start("annotate", music, "-o", output)
    assert again.wait() == 1
    assert again.errors.startswith(f"moodring: going on: {done} of 6 files are done")
    assert output.read_bytes() == whole["csv"]


def _stopped_after_the_first_file(forks: Origin, music: Path, output: Path, *options: object) -> None:
    kept = output.with_name(f".{output.name}.part")
    run = forks.start("annotate", music, "-o", output, *options)
    wait_until(lambda: b'"file"' in (kept.read_bytes() if kept.exists() else b""), "the first file's end")
    run.kill()


def test_files_that_have_changed_are_tracked_again(forks: Origin, music: Path, tmp_path: Path) -> None:
    output = tmp_path / "mood.csv"
    music = Path(shutil.copytree(music, tmp_path / "music"))
    _stopped_after_the_first_file(forks, music, output)
    shutil.copy(music / "5.flac", music / "0.flac")
    run = forks.start("annotate", music, "-o", output)
    assert run.wait() == 1
    assert "moodring: 1 files have changed since they were tracked, and are again" in run.errors
    rows = output.read_text().splitlines()
    of = {name: [row.split(",", 1)[1] for row in rows if f"/{name}.flac," in row] for name in ("0", "5")}
    assert of["0"] == of["5"] != []
    assert run.errors.count("4.flac") == 1


def test_rows_of_other_settings_are_not_mixed_in(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    output = tmp_path / "mood.csv"
    _stopped_after_the_first_file(forks, music, output, "--lag", "1")
    run = forks.start("annotate", music, "-o", output)
    assert run.wait() == 1
    assert run.errors.startswith(
        f'moodring: starting afresh: the rows in "{tmp_path / ".mood.csv.part"}" were made with another lag\n'
    )
    assert "going on" not in run.errors
    assert output.read_bytes() == whole["csv"]


def test_a_restart_uses_nothing_of_before(forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    output = tmp_path / "mood.csv"
    _stopped_after_the_first_file(forks, music, output)
    run = forks.start("annotate", music, "-o", output, "--restart")
    assert run.wait() == 1
    assert "going on" not in run.errors
    assert output.read_bytes() == whole["csv"]


def test_only_one_run_at_a_time_writes_a_table(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    first = forks.start("annotate", music, "-o", output)
    wait_until(lambda: _size(kept), "the first row")
    first.send(signal.SIGSTOP)
    second = forks.start("annotate", music, "-o", output)
    assert second.wait() == 1
    assert second.errors == f'moodring: cannot write "{output}": another moodring is writing it\n'
    first.send(signal.SIGCONT)
    assert first.wait() == 1
    assert output.read_bytes() == whole["csv"]


def test_a_full_disk_keeps_what_is_done(forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "moodring-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        pytest.skip("no rights to mount a small disk")
    try:
        output, kept = disk / "mood.csv", disk / ".mood.csv.part"
        (disk / "ballast").write_bytes(bytes(12 << 10))
        run = forks.start("annotate", music, "-o", output)
        assert run.wait() == 1
        (line,) = run.errors.splitlines()
        assert line.startswith(f'moodring: cannot write "{kept}": No space left on device; ')
        assert line.endswith(f' of 6 files are kept in "{kept}"; the same command goes on with them')
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        again = forks.start("annotate", music, "-o", output)
        assert again.wait() == 1
        assert "going on: " in again.errors
        assert output.read_bytes() == whole["csv"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
        disk.rmdir()


def test_a_disk_that_fills_up_while_the_table_is_written(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    output, kept = tmp_path / "mood.jsonl", tmp_path / ".mood.jsonl.part"
    # the table repeats the columns' names in every row, which the rows that are kept do not
    run = forks.start("annotate", music, "-o", output, largest_file=len(whole["jsonl"]) - 1)
    assert run.wait() == 1
    line = run.errors.splitlines()[-1]
    assert line.startswith(f'moodring: cannot write "{output}": File too large; 6 of 6 files are kept in "{kept}"')
    assert not output.exists()
    again = forks.start("annotate", music, "-o", output)
    assert again.wait() == 1
    assert "going on: 6 of 6 files are done" in again.errors
    assert output.read_bytes() == whole["jsonl"]


def test_what_something_else_left_is_not_overwritten(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    kept.write_text("mine\n")
    run = forks.start("annotate", music, "-o", output)
    assert run.wait() == 1
    assert run.errors == (
        f'moodring: "{kept}" is not what an earlier run left; remove it, or add --restart to overwrite it\n'
    )
    assert kept.read_text() == "mine\n"
    assert forks.start("annotate", music, "-o", output, "--restart").wait() == 1
    assert output.read_bytes() == whole["csv"]


def test_an_old_table_stays_until_the_new_one_is_there(
    forks: Origin, music: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    output = tmp_path / "mood.csv"
    output.write_text("old")
    _stopped_after_the_first_file(forks, music, output)
    assert output.read_text() == "old"
    assert forks.start("annotate", music, "-o", output).wait() == 1
    assert output.read_bytes() == whole["csv"]


def test_nothing_is_left_of_a_run_that_was_stopped_before_its_first_file(
    forks: Origin, song: Path, tmp_path: Path
) -> None:
    run = forks.start("annotate", *[song] * 3, "-o", tmp_path / "mood.csv")
    wait_until(lambda: any(_size(path) for path in tmp_path.iterdir()), "the start")
    run.send(signal.SIGTERM)
    assert run.wait() == 143
    assert run.errors == "moodring: terminated\n"
    assert os.listdir(tmp_path) == []
