"""Runs hostile cases in a process of their own: a few thousand of the benchmark's, or a program's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.benchmarks.fuzzing.running import supervise
from tests.conftest import REPOSITORY

MOST_GROWTH = 64 * 1024
"""KB by which memory may grow after the first cases."""


def survives(name: str, cases: int, tmp_path: Path, seed: int = 7) -> None:
    """Check a target's cases: each is accepted or refused, and both happen."""
    outcome = supervise(name, seed, cases, tmp_path / "found", limit=60, told=lambda _: None)
    found = sorted((tmp_path / "found").glob("*.txt"))
    assert not found, "\n".join(path.name + "\n" + path.read_text()[-2000:] for path in found[:3])
    progress = outcome.progress
    assert (outcome.died, outcome.hung, progress.crashed) == (0, 0, 0)
    assert progress.accepted + progress.refused == cases
    assert progress.accepted > cases // 200
    assert progress.refused > cases // 10
    if progress.settled:
        assert progress.peak - progress.settled < MOST_GROWTH


def printed_by_a_child(program: str, *arguments: object) -> list[str]:
    """Run a Python program in a process of its own, which could crash; give its lines if it ended well and quietly."""
    child = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stderr == ""
    return child.stdout.splitlines()
