"""A dashboard in a process of its own, and what it is shown."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamer.messages import Estimate, EstimateState, Mood

MOODRING = [sys.executable, "-m", "streamer.cli"]
DEADLINE = 20.0
"""Seconds for what takes a fraction of one on an idle machine."""


@dataclass(frozen=True)
class Dashboard:
    """A running dashboard."""

    process: subprocess.Popen[str]
    link: str

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.link)[0])


@contextmanager
def dashboard(endpoint: str, *options: str) -> Iterator[Dashboard]:
    process = subprocess.Popen(
        [*MOODRING, "dashboard", endpoint, "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        link = re.fullmatch(r"dashboard: (http://\S+) \(.*\)\n", line)
        assert link is not None, line + process.stderr.read()
        yield Dashboard(process, link[1])
    finally:
        process.terminate()
        process.wait(DEADLINE)
        assert process.stderr is not None
        process.stderr.close()


def estimate(
    stream: str,
    sequence: int,
    valence: float | None,
    arousal: float | None,
    state: EstimateState = "tracking",
    at: float | None = None,
) -> Estimate:
    std = None if valence is None else 0.2
    return Estimate(
        stream=stream,
        sequence=sequence,
        time=time.time() if at is None else at,
        position=sequence / 2,
        valence=valence,
        arousal=arousal,
        valence_std=std,
        arousal_std=std,
        mood=Mood(valence, arousal),
        state=state,
        loudness=-20.5,
        lag=0.0,
        model="default",
    )


def wait_for(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {deadline:g} s"
        time.sleep(0.02)
