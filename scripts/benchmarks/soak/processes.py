"""Starts the processes of a soak, and reads what they print line by line."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0
"""Seconds after which a process that should have said something counts as broken; generous, for busy machines."""


def start(module: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a module of this package, with pipes to its standard input and output."""
    command = [sys.executable, "-m", f"scripts.benchmarks.soak.{module}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(process: subprocess.Popen[str], line: str = "") -> None:
    """Write a line to a process's standard input."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> Any:
    """Wait for a process's next line of JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"process {process.args!r} ended with status {process.wait(PATIENCE)}")
    return json.loads(line)


class Listener:
    """A well-behaved subscriber in a process of its own, and a thread here that takes what it prints.

    Parameters
    ----------
    endpoint : str
        Where to subscribe.
    take : callable
        Gets every line as `listener` describes it, in this object's thread.
    """

    def __init__(self, endpoint: str, take: Callable[[list[Any]], None]) -> None:
        self.process = start("listener", endpoint)
        self._take = take
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self._thread.join()

    def _run(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._take(json.loads(line))
