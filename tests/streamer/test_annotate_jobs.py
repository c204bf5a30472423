"""`annotate` with several processes: the same table, whatever becomes of them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.streamer.forks import Fork, Origin, origin, wait_until
from tests.streamer.processes import parents_of_processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and limits as Linux has them")

FILES = 8
SECONDS = 5


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory, piece: np.ndarray) -> Path:
    """Give a folder of clips of different lengths, the first of them long, and three that are bad in different ways."""
    music = tmp_path_factory.mktemp("music")
    soundfile.write(music / "0.wav", np.tile(piece, (5, 1)), 44100)
    for number in range(1, FILES):
        start = number * SECONDS * 44100
        soundfile.write(music / f"{number}.flac", piece[start : start + (SECONDS + number % 3) * 44100], 44100)
    broken = (music / "2.flac").read_bytes()
    (music / "2.flac").write_bytes(broken[: len(broken) // 2])
    (music / "4.flac").write_bytes(b"not audio")
    soundfile.write(music / "5.flac", piece[:1000], 44100)
    return music


@pytest.fixture(scope="module")
def whole(forks: Origin, music: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """Give the table, and what is said of bad files, of one process."""
    output = tmp_path_factory.mktemp("whole") / "mood.csv"
    run = forks.start("annotate", music, "-o", output, "--jobs", 1)
    assert run.wait() == 1
    assert len(run.errors.splitlines()) == 3
    return output.read_bytes(), run.errors


@pytest.fixture(autouse=True)
def _nothing_else_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"mood.csv", ".mood.csv.part", "pipe"}


def _children(run: Fork) -> list[int]:
    return [pid for pid, parent in parents_of_processes().items() if parent == run.pid]


def _readers(run: Fork, file: Path) -> list[int]:
    """Give the processes of a run that have a file open."""
    readers = []
    for pid in _children(run):
        try:
            links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        if str(file) in links:
            readers.append(pid)
    return readers


def _all_gone(pids: list[int]) -> None:
    wait_until(lambda: not set(pids) & parents_of_processes().keys(), "the end of its processes")


def test_two_processes_write_the_same_table_to_a_file_and_to_a_pipe(
    forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]
) -> None:
    pipe = tmp_path / "pipe"
    pipe.touch()
    to_file = forks.start("annotate", music, "-o", tmp_path / "mood.csv", "--jobs", 2)
    to_pipe = forks.start("annotate", music, "--jobs", 3, output=str(pipe))
    assert (to_file.wait(), to_pipe.wait()) == (1, 1)
    assert (tmp_path / "mood.csv").read_bytes() == pipe.read_bytes() == whole[0]
    assert to_file.errors == to_pipe.errors == whole[1]


def test_killed_again_and_again_it_ends_with_the_same_table(
    forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]
) -> None:
    chance = random.Random(0)
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    kills = 0
    for jobs in (2, 3):
        before = kept.stat().st_size if kept.exists() else 0
        run = forks.start("annotate", music, "-o", output, "--jobs", jobs)
        goal = before + chance.choice([600, 900])
        wait_until(
            lambda run=run, goal=goal: not run.alive or kept.stat().st_size >= goal if kept.exists() else False, "it"
        )
        workers = _children(run)
        run.send(signal.SIGKILL)
        kills += run.wait() == -signal.SIGKILL
        _all_gone(workers)
    assert kills == 2
    last = forks.start("annotate", music, "-o", output, "--jobs", 2)
    assert last.wait() == 1
    assert last.errors.startswith("moodring: going on: ")
    assert output.read_bytes() == whole[0]
    assert not kept.exists()


def test_a_signal_keeps_what_is_done(forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    run = forks.start("annotate", music, "-o", output, "--jobs", 2)
    wait_until(lambda: b'"file"' in (kept.read_bytes() if kept.exists() else b""), "the first file's end")
    workers = _children(run)
    for pid in workers:
        os.kill(pid, signal.SIGINT)  # as a terminal does
    run.send(signal.SIGINT)
    assert run.wait() == 130
    _all_gone(workers)
    assert run.errors.startswith("moodring: interrupted; ")
    assert "the same command goes on with them" in run.errors
    again = forks.start("annotate", music, "-o", output, "--jobs", 1)
    assert again.wait() == 1
    assert output.read_bytes() == whole[0]


def test_a_process_that_is_killed_once_changes_nothing(
    forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]
) -> None:
    output = tmp_path / "mood.csv"
    run = forks.start("annotate", music, "-o", output, "--jobs", 2)
    wait_until(lambda: _readers(run, music / "0.wav"), "the long file's turn")
    os.kill(_readers(run, music / "0.wav")[0], signal.SIGKILL)
    assert run.wait() == 1
    assert output.read_bytes() == whole[0]
    assert run.errors == whole[1]


def test_a_file_whose_processes_are_killed_is_named_and_stops_no_other(
    forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]
) -> None:
    output = tmp_path / "mood.csv"
    run = forks.start("annotate", music, "-o", output, "--jobs", 2)
    killed: set[int] = set()

    def kill_another() -> bool:
        for pid in set(_readers(run, music / "0.wav")) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(killed) == 2

    wait_until(kill_another, "the long file's second turn")
    assert run.wait() == 1
    first, *others = run.errors.splitlines()
    assert first == (
        f'moodring: "{music}/0.wav" could not be tracked: each of 2 processes that read it was killed by signal 9'
    )
    assert others == whole[1].splitlines()
    rows = whole[0].splitlines()
    assert output.read_bytes().splitlines() == [row for row in rows if b"/0.wav," not in row]


def test_a_reader_that_goes_away_ends_all(forks: Origin, music: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    run = forks.start("annotate", music, "--jobs", 2, output=str(pipe))
    assert os.read(held, 10) == b"file,posit"
    workers = _children(run)
    assert len(workers) >= 2
    os.close(held)
    assert run.wait() == 0
    assert run.errors == ""
    _all_gone(workers)


def test_a_full_disk_keeps_what_is_done(forks: Origin, music: Path, tmp_path: Path, whole: tuple[bytes, str]) -> None:
    output, kept = tmp_path / "mood.csv", tmp_path / ".mood.csv.part"
    run = forks.start("annotate", music, "-o", output, "--jobs", 2, largest_file=3000)
    assert run.wait() == 1
    (line,) = run.errors.splitlines()
    assert line.startswith(f'moodring: cannot write "{kept}": File too large; ')
    assert line.endswith("the same command goes on with them")
    assert forks.start("annotate", music, "-o", output, "--jobs", 2).wait() == 1
    assert output.read_bytes() == whole[0]


def test_no_more_processes_than_files_or_work(forks: Origin, music: Path, tmp_path: Path) -> None:
    few = tmp_path.parent / "few"
    few.mkdir()
    shutil.copy(music / "1.flac", few)
    run = forks.start("annotate", few, "-o", tmp_path / "mood.csv")
    most = 0
    while run.alive:
        most = max(most, len(_children(run)))
    assert run.wait() == 0
    assert most == 0
