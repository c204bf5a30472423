"""What a process holds: memory, threads, file descriptors; and whether its memory grows."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Usage:
    """What a process holds at one moment.

    Attributes
    ----------
    memory : int
        KB of its own, in memory or swapped out; pages of files that it maps come and go by themselves.
    threads, descriptors : int
        Threads, and open file descriptors.
    """

    memory: int
    threads: int
    descriptors: int


def usage_of(pid: int) -> Usage:
    """Read a process's usage (Linux: proc(5))."""
    status = dict(re.findall(r"^(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
    return Usage(
        memory=int(status["RssAnon"]) + int(status["VmSwap"]),
        threads=int(status["Threads"]),
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
    )


@dataclass(frozen=True)
class Slope:
    """A straight line through readings.

    Attributes
    ----------
    per_hour : float
        KB per hour of audio.
    error : float
        Its standard error, as if the readings' deviations were independent.
    noise : float
        Standard deviation of the readings around the line, in KB.
    readings : int
        How many there were.
    """

    per_hour: float
    error: float
    noise: float
    readings: int

    def __str__(self) -> str:
        return (
            f"{self.per_hour:+.1f} KB per hour of audio (standard error {self.error:.1f}; "
            f"{self.readings} readings, {self.noise:.0f} KB around the line)"
        )


def memory_slope(hours: Sequence[float], memory: Sequence[int]) -> Slope:
    """Fit a line by least squares.

    Parameters
    ----------
    hours : sequence of float
        Hours of audio at each reading; three or more, not all alike.
    memory : sequence of int
        KB at each.

    Returns
    -------
    Slope
    """
    x, y = np.asarray(hours, float), np.asarray(memory, float)
    centred = x - x.mean()
    per_hour = float(centred @ y / (centred @ centred))
    residuals = y - y.mean() - per_hour * centred
    noise = float(np.sqrt(residuals @ residuals / (len(x) - 2)))
    return Slope(per_hour, noise / float(np.sqrt(centred @ centred)), noise, len(x))


def describe_usages(usages: Sequence[Usage]) -> str:
    """Say in one line between what bounds a process's memory, threads and descriptors were."""

    def between(values: list[int]) -> str:
        low, high = min(values), max(values)
        return f"{low}" if low == high else f"{low} to {high}"

    return (
        f"memory {min(u.memory for u in usages) / 1024:.1f} to {max(u.memory for u in usages) / 1024:.1f} MB, "
        f"threads {between([u.threads for u in usages])}, "
        f"file descriptors {between([u.descriptors for u in usages])}"
    )
