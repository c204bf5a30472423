"""Runs a few thousand of the benchmark's hostile cases in a process of their own."""

from __future__ import annotations

from pathlib import Path

from scripts.benchmarks.fuzzing.running import supervise

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
