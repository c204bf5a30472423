"""Runs cases in a child process and watches it, so that what kills or stops it is known and the rest goes on.

The child writes what it is doing into a file that both have mapped into memory: the case itself, when it began, and the
counts so far. A child that died, or has been at one case for too long, is replaced by one that begins with the next.
"""

from __future__ import annotations

import io
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmarks.fuzzing.target import Target
from streamer.native_output import discard_native_output

_COUNTS = struct.Struct("<QQQQQQQdddQ")
_LARGEST_CASE = 1 << 20
_SETTLED = 2000
"""Cases after which memory is taken as what the target needs anyway."""
_POLL = 0.25
_MOST_KEPT = 100
"""Cases of a target that are kept: what is wrong with every case would fill a disk."""
_ALLOWANCE = 1 << 30
"""Bytes of address space that cases may ask for beyond what is taken when they begin."""


@dataclass
class Progress:
    """How far a child is.

    Attributes
    ----------
    case : int
        The number of the case that it is at.
    accepted, refused, crashed : int
        Cases by what came of them.
    slowest_case : int
    settled, peak : int
        KB: memory when it was taken as settled, and the most since the start.
    began : float
        Monotonic time at which the case began.
    slowest, spent : float
        Seconds of processor time: the slowest case, and all of them.
    size : int
        Bytes of the case.
    """

    case: int = 0
    accepted: int = 0
    refused: int = 0
    crashed: int = 0
    slowest_case: int = 0
    settled: int = 0
    peak: int = 0
    began: float = 0.0
    slowest: float = 0.0
    spent: float = 0.0
    size: int = 0


class Board:
    """The mapped file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _COUNTS.size + _LARGEST_CASE)

    @staticmethod
    def make(path: Path) -> Board:
        """Make the file."""
        path.write_bytes(bytes(_COUNTS.size + _LARGEST_CASE))
        return Board(path)

    def write(self, progress: Progress) -> None:
        """Replace the counts."""
        _COUNTS.pack_into(self._memory, 0, *vars(progress).values())

    def read(self) -> Progress:
        """Return the counts."""
        return Progress(*_COUNTS.unpack_from(self._memory, 0))

    def keep(self, case: bytes) -> None:
        """Replace the case."""
        self._memory[_COUNTS.size : _COUNTS.size + min(len(case), _LARGEST_CASE)] = case[:_LARGEST_CASE]

    def case(self) -> bytes:
        """Return the case."""
        return self._memory[_COUNTS.size : _COUNTS.size + min(self.read().size, _LARGEST_CASE)]


def chance_of(name: str, seed: int, number: int) -> random.Random:
    """Return what a case is made with."""
    return random.Random(f"{name} {seed} {number}")


def run_cases(target: Target, seed: int, first: int, count: int, board: Board, found: Path) -> None:
    """Check the cases from `first` to `count`, in the child; fewer if its parent is gone.

    What a case raises is written, with the case, to the folder `found`.
    """
    parent = os.getppid()
    _limit_memory()
    _hide_native_messages()
    discard_native_output()
    progress = board.read()
    for number in range(first, count):
        if os.getppid() != parent:
            return
        progress.case, progress.size, progress.began = number, 0, time.monotonic()
        board.write(progress)
        case = target.make(chance_of(target.name, seed, number))
        progress.size = len(case)
        board.keep(case)
        board.write(progress)
        before = time.process_time()
        try:
            if _checked_quietly(target, case):
                progress.accepted += 1
            else:
                progress.refused += 1
        except BaseException:
            progress.crashed += 1
            keep_case(found, target.name, number, case, traceback.format_exc())
        spent = time.process_time() - before
        progress.spent += spent
        if spent > progress.slowest:
            progress.slowest, progress.slowest_case = spent, number
        if number == first + _SETTLED:
            progress.settled = resident_kilobytes()
    progress.peak = max(progress.peak, resident_kilobytes())
    progress.case = count
    board.write(progress)


def _checked_quietly(target: Target, case: bytes) -> bool:
    """Check a case; an `AssertionError` if that prints anything, which would stand between the rows of a table."""
    with redirect_stdout(io.StringIO()) as printed:
        accepted = target.check(case)
    assert not printed.getvalue(), f"it prints {printed.getvalue()!r}"
    return accepted


@dataclass
class Outcome:
    """What came of a target.

    Attributes
    ----------
    progress : Progress
        Of all children together.
    died, hung : int
        Cases that killed a child, and that did not end.
    seconds : float
        Wall time.
    """

    progress: Progress
    died: int
    hung: int
    seconds: float


def supervise(name: str, seed: int, count: int, found: Path, limit: float, told: Callable[[int], None]) -> Outcome:
    """Run a target's cases in children, one after the other.

    Parameters
    ----------
    name : str
        The target.
    seed, count : int
        Of the cases.
    found : Path
        Folder for the cases that something is wrong with.
    limit : float
        Seconds, wall time, after which a case counts as hanging.
    told : callable
        Told now and then how many cases are done.

    Returns
    -------
    Outcome
    """
    began = time.monotonic()
    died = hung = 0
    with tempfile.TemporaryDirectory(prefix="moodring-fuzz-") as folder:
        path = Path(folder) / "board"
        board = Board.make(path)
        arguments = ["--target", name, "--seed", str(seed), "--cases", str(count)]
        arguments += ["--board", str(path), "--found", str(found)]
        first = 0
        while first < count:
            child = subprocess.Popen(
                [sys.executable, "-m", "scripts.benchmarks.fuzz", *arguments, "--first", str(first)],
                cwd=Path(__file__).resolve().parents[3],
            )
            stuck = _watch(child, board, limit, told)
            progress = board.read()
            if progress.case >= count:
                break
            if progress.began == 0.0:
                raise RuntimeError(f"the target {name} could not be made ready")
            died, hung = died + (not stuck), hung + stuck
            what = f"did not end in {limit:g} s" if stuck else f"ended the process with status {child.returncode}"
            keep_case(found, name, progress.case, board.case(), what)
            first = progress.case + 1
            progress.began = 0.0
            board.write(progress)
        return Outcome(board.read(), died, hung, time.monotonic() - began)


def _watch(child: subprocess.Popen[bytes], board: Board, limit: float, told: Callable[[int], None]) -> bool:
    try:
        while True:
            try:
                child.wait(_POLL)
                return False
            except subprocess.TimeoutExpired:
                progress = board.read()
                told(progress.case)
                if progress.began and time.monotonic() - progress.began > limit:
                    return True
    finally:
        child.kill()
        child.wait()


def keep_case(found: Path, name: str, number: int, case: bytes, reason: str) -> None:
    """Write a case that something is wrong with, and what, to a folder, unless that has many already."""
    found.mkdir(parents=True, exist_ok=True)
    if len(list(found.glob(f"{name}-*.case"))) >= _MOST_KEPT:
        return
    (found / f"{name}-{number}.case").write_bytes(case)
    (found / f"{name}-{number}.txt").write_text(reason, encoding="utf-8", errors="replace")


def resident_kilobytes() -> int:
    """Return the memory that this process has now; 0 where that cannot be asked."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0


def _limit_memory() -> None:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * os.sysconf("SC_PAGE_SIZE") + _ALLOWANCE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _hide_native_messages() -> None:
    # the MP3 decoder writes about every oddity
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
