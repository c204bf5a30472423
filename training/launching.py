"""Processes that train together: how they are started, what ends them, and what is said when one of them dies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from torch.distributed import FileStore  # type: ignore[attr-defined]  # documented, but not marked as exported

from training.distributed import LONGEST_SILENCE, Group, Place, is_connection_lost, loopback_only
from training.tables import DataError

LOST = 3
"""Exit status of a process that ends because another one does not answer."""
_POLL = 0.05
_LONGEST_END = 5.0
"""Seconds that a process gets to end when it is asked to."""
_SIGNS_OF_DEATH = 2.0
"""Seconds after a lost connection in which the process that has died is seen to have."""


@dataclass
class _Worker:
    rank: int
    process: subprocess.Popen[bytes]
    complaints: IO[bytes]

    def complaint(self) -> str:
        """Return the last line that it wrote to standard error, and how it ended."""
        self.complaints.seek(0)
        lines = self.complaints.read().decode(errors="replace").strip().splitlines()
        status = self.process.returncode
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"{how}: {lines[-1]}" if lines else how


@contextmanager
def training_group(processes: int, place: Place | None = None) -> Iterator[Group | None]:
    """Give the group whose first process this one is, and end the others with the block.

    Parameters
    ----------
    processes : int
        How many train together on this machine: this one, and those that are started.
    place : Place, optional
        This process's, if others were started already, by torchrun; `processes` is not looked at then.

    Yields
    ------
    Group or None
        None if this process trains alone.

    Raises
    ------
    DataError
        If another process ends before its time, or does not answer any more.
    """
    if place is None and processes == 1:
        yield None
        return
    with ExitStack() as stack:
        workers: list[_Worker] = []
        if place is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moodring-")))
            stack.enter_context(_environment(loopback_only()))
            path = folder / "store"
            place = Place(0, processes, 0, processes, FileStore(str(path), processes))
            stack.callback(_end, workers)
            for rank in range(1, processes):
                complaints = stack.enter_context((folder / f"{rank}.txt").open("w+b"))
                workers.append(_Worker(rank, _start(rank, processes, path, complaints), complaints))
        try:
            _await_others(place, workers)
            group = Group(place)
            stack.callback(group.close)
            yield group
            group.offer_job(False)
        except RuntimeError as error:
            if is_connection_lost(error):
                raise DataError(_reason(error, place.size, workers)) from error
            raise
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(_LONGEST_END)


def _start(rank: int, size: int, store: Path, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    ours = str(Path(__file__).parents[1])
    paths = [ours, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "training.rank", str(rank), str(size), str(store)],
        stdin=subprocess.PIPE,  # ends with this process, however that ends
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        # torch's warnings would be taken for what it died of
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TORCH_CPP_LOG_LEVEL": "ERROR"},
    )


def _await_others(place: Place, workers: Sequence[_Worker]) -> None:
    deadline = time.monotonic() + LONGEST_SILENCE.total_seconds()
    for rank in range(1, place.size):
        while not place.is_announced(f"ready{rank}"):
            for worker in workers:
                if worker.process.poll() is not None:
                    raise DataError(f"training process {worker.rank} of {place.size} {worker.complaint()}")
            if time.monotonic() > deadline:
                raise DataError(f"training process {rank} of {place.size} has not come within {LONGEST_SILENCE}")
            time.sleep(_POLL)
    place.announce("begin")


def _reason(error: RuntimeError, size: int, workers: Sequence[_Worker]) -> str:
    deadline = time.monotonic() + _SIGNS_OF_DEATH
    while time.monotonic() < deadline:
        for worker in workers:
            if worker.process.poll() not in (None, LOST):
                return f"training process {worker.rank} of {size} {worker.complaint()}; --resume goes on"
        time.sleep(_POLL)
    detail = str(error).partition("\n")[0]
    return f"the training processes have lost each other ({detail}); --resume goes on"


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        assert worker.process.stdin is not None
        worker.process.stdin.close()
    for worker in workers:
        try:
            worker.process.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in changes:
            del os.environ[name]
