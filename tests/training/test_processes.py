from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from training.processes import worker_pool
from training.tables import DataError


def remember(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever() -> None:
    print("working", flush=True)
    while True:
        signal.pause()


def test_a_killed_worker_is_one_clear_line(tmp_path: Path) -> None:
    message = r"a process that dies was killed; try fewer --jobs"
    with pytest.raises(DataError, match=message), worker_pool(1, "dies", remember, tmp_path) as pool:
        pool.submit(die).result()


def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from tests.training.test_processes import remember, wait_for_ever
from training.processes import worker_pool
if __name__ == "__main__":
    with worker_pool(2, "waits", remember, Path({str(tmp_path)!r})) as pool:
        futures = [pool.submit(wait_for_ever) for _ in range(2)]
        futures[0].result()
"""
    script = tmp_path / "parent.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    assert [parent.stdout.readline() for _ in range(2)] == ["working\n"] * 2
    parent.kill()
    parent.wait()
    # the pipe ends when the last process that holds it does
    assert parent.stdout.read() == ""
    workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal()]
    assert len(workers) == 2
