"""`annotate --engine ray` over clusters whose processes are killed: the same rows as one process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("ray", reason="clusters are Ray's (pip install moodring[ray])")

import pyarrow.parquet

from streamer.archive.records import BAD, ROWS, parquet_files
from tests.conftest import Outcome
from tests.streamer.archives import bad_in, rows_of
from tests.streamer.processes import parents_of_processes
from tests.streamer.ray_clusters import Cluster, below, ray_cluster

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc as Linux has it")

FILES = 10
SECONDS = 90
PATIENCE = 240.0
"""Seconds that anything may take: a cluster is a dozen programs that start, on a machine that has others."""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ray_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory, piece: np.ndarray) -> Path:
    """Give a folder with a folder of music in it, of which one file is cut off and one is no audio, and lists of it."""
    folder = tmp_path_factory.mktemp("archives")
    (folder / "music").mkdir()
    mono = np.tile(piece[::2, 0], 4)
    names = [f"music/{number}.wav" for number in range(FILES)]
    for number, name in enumerate(names):
        soundfile.write(folder / name, mono[number * 22050 :][: SECONDS * 22050], 22050)
    soundfile.write(folder / "music/cut.flac", mono[: 10 * 22050], 22050)
    os.truncate(folder / "music/cut.flac", 100_000)
    (folder / "music/bad.flac").write_bytes(b"not audio")
    names += ["music/cut.flac", "music/bad.flac"]
    pyarrow.parquet.write_table(pyarrow.table({"path": names}), folder / "list.parquet")
    (folder / "list.txt").write_text("\n".join(names))
    return folder


def start(folder: Path, *arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamer.cli", "annotate", *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(music: Path) -> tuple[pyarrow.Table, set[str]]:
    """Give the rows, and what is said of bad files, of one process."""
    run = start(music, "list.txt", "-o", "whole.parquet", "--jobs", 1)
    _, errors = run.communicate()
    assert run.returncode == 1
    rows = pyarrow.parquet.read_table(music / "whole.parquet")
    problems = {line.removeprefix("moodring: ") for line in errors.splitlines()}
    assert len(problems) == 2
    return rows.sort_by([("file", "ascending"), ("position", "ascending")]), problems


def wait_until(condition: Callable[[], object], run: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that has to happen soon, while a program runs."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert run is None or run.poll() is None, run.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)


def assert_complete(archive: Path, whole: tuple[pyarrow.Table, set[str]]) -> None:
    assert rows_of(archive).equals(whole[0])
    assert set(bad_in(archive).values()) == whole[1]
    assert set(bad_in(archive)) == {"music/cut.flac", "music/bad.flac"}


def reader(cluster: Cluster, machine: int) -> int | None:
    """Give a process of a machine that is reading a file of the music, stopped in the midst of it."""
    for pid in below(cluster.machines[machine]):
        if reads(pid):
            os.kill(pid, signal.SIGSTOP)
            if reads(pid):
                return pid
            os.kill(pid, signal.SIGCONT)
    return None


def reads(pid: int) -> bool:
    try:
        return any("/music/" in os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_a_driver_that_is_killed_midway_is_gone_on_with(
    cluster: Cluster, music: Path, whole: tuple[pyarrow.Table, set[str]], tmp_path: Path
) -> None:
    arguments = ("list.txt", "--engine", "ray", "--ray-address", cluster.address, "-o", tmp_path / "archive")
    killed = start(music, *arguments, environment=cluster.environment)
    wait_until(lambda: len(list(parquet_files(tmp_path / "archive" / ROWS))) >= 2, killed)
    killed.kill()
    killed.communicate()
    done = {path: path.stat().st_ino for path in parquet_files(tmp_path / "archive" / ROWS)}
    again = start(music, *arguments, environment=cluster.environment)
    _, errors = again.communicate()
    assert again.returncode == 1
    assert "moodring: going on: " in errors
    assert f'2 of {FILES + 2} files could not be read, or not to their end; "{tmp_path / "archive" / BAD}"' in errors
    assert done.items() <= {path: path.stat().st_ino for path in parquet_files(tmp_path / "archive" / ROWS)}.items()
    assert_complete(tmp_path / "archive", whole)


def test_a_machine_that_is_killed_midway_changes_nothing(
    cluster: Cluster, music: Path, whole: tuple[pyarrow.Table, set[str]], tmp_path: Path
) -> None:
    arguments = ("list.parquet", "--engine", "ray", "--ray-address", cluster.address, "-o", tmp_path / "archive")
    run = start(music, *arguments, environment=cluster.environment)
    wait_until(lambda: reader(cluster, 1) is not None, run)
    cluster.lose(1)
    _, errors = run.communicate()
    assert run.returncode == 1
    assert len(errors.splitlines()) == 1
    assert_complete(tmp_path / "archive", whole)


def listening(pids: list[int]) -> set[str]:
    """Give the addresses, as Linux writes them, at which processes listen."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = fields[1].partition(":")[0]
    addresses = set()
    for pid in pids:
        try:
            opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        addresses |= {sockets[name] for name in opened if name in sockets}
    return addresses


def test_without_a_cluster_one_is_started_on_loopback_and_nothing_of_it_is_left(music: Path, tmp_path: Path) -> None:
    arguments = ("music", "--engine", "ray", "-o", tmp_path / "archive", "--jobs", 1)
    run = start(music, *arguments)
    wait_until(lambda: any(parquet_files(tmp_path / "archive" / ROWS)), run)
    everything = below(run.pid)
    assert len(everything) > 4
    assert listening(everything)
    assert listening(everything) <= LOOPBACK
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = run.communicate()
    assert run.returncode == 130
    assert errors.startswith("moodring: interrupted")
    assert len(errors.splitlines()) == 1
    wait_until(lambda: not set(everything) & parents_of_processes().keys())
    print(f"ended after {time.monotonic() - began:.1f} s")


def test_an_address_where_nothing_answers_is_one_line(
    song: Path, tmp_path: Path, moodring: Callable[..., Outcome]
) -> None:
    outcome = moodring("annotate", song, "--engine", "ray", "--ray-address", "127.0.0.1:1", "-o", tmp_path / "archive")
    assert (outcome.status, outcome.errors) == (
        1,
        "moodring: no Ray cluster answers at 127.0.0.1:1: Connection refused\n",
    )


def test_without_ray_it_is_named(
    song: Path, tmp_path: Path, moodring: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.archive.cluster.find_spec", lambda name: None)
    outcome = moodring("annotate", song, "--engine", "ray", "-o", tmp_path / "archive")
    assert (outcome.status, outcome.errors) == (1, 'moodring: --engine ray needs ray: pip install "moodring[ray]"\n')
    assert not (tmp_path / "archive").exists()
