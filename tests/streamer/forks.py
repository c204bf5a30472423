"""The command line in processes of its own that start at once: forked from one in which torch is loaded already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

DEADLINE = 60.0
"""Seconds that anything may take on a machine that has much else to do."""

_ORIGIN = """
import fcntl, gc, json, os, resource, signal, sys, termios
import numpy, soundfile, soxr, torch, zmq
import streamer.annotation, streamer.commands.live, streamer.commands.annotate, streamer.commands.watch
import streamer.commands.stream, streamer.pipe, streamer.view, rich.console, rich.live, rich.progress
import pyarrow.parquet
from streamer.cli import main

def run(order):
    os.environ.update(order["environment"])
    for descriptor, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(order[name], os.O_WRONLY), descriptor)
    if order["terminal"]:
        os.setsid()
        terminal = os.open(order["terminal"], os.O_RDWR)
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        for descriptor in (0, 1, 2):
            os.dup2(terminal, descriptor)
    else:
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    if order["largest_file"] is not None:
        if order["killed_by_it"]:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # as Python would have made them for what they are now
    sys.stdout = open(1, "w", closefd=False)
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["moodring", *order["arguments"]]
    main()

gc.freeze()  # what is not touched is not copied
sys.stdout.write("ready\\n")
sys.stdout.flush()
replies = os.fdopen(os.dup(1), "w")
for line in iter(sys.stdin.readline, ""):
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], 0)
        replies.write(f"{os.waitstatus_to_exitcode(status)}\\n")
    else:
        pid = os.fork()
        if not pid:
            run(order)
        replies.write(f"{pid}\\n")
    replies.flush()
"""


@dataclass
class Fork:
    """A running command."""

    pid: int
    errors_path: Path
    _origin: Origin
    status: int | None = None

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Give the exit status, negative for a signal."""
        if self.status is None:
            wait_until(lambda: not self.alive, "the end of a command")
            self.status = int(self._origin.ask({"wait": self.pid}))
        return self.status

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    @property
    def errors(self) -> str:
        return self.errors_path.read_text()

    @property
    def alive(self) -> bool:
        """Whether it runs: one that has ended stays a zombie until `wait`."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class Origin:
    """Where the commands are forked from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._forks: list[Fork] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ORIGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def start(
        self,
        *arguments: object,
        output: str = "/dev/null",
        terminal: str | None = None,
        environment: dict[str, str] | None = None,
        largest_file: int | None = None,
        killed_by_it: bool = False,
    ) -> Fork:
        """Run ``moodring ARGUMENTS``.

        `output` is opened as its standard output; `terminal` is all three, and the controlling one. No file of its
        own may grow beyond `largest_file` bytes: writing fails then, or kills it at that very byte.
        """
        self._count += 1
        errors = self._folder / f"errors-{self._count}"
        errors.touch()
        order = {
            "arguments": [str(argument) for argument in arguments],
            "output": output,
            "errors": str(errors),
            "environment": environment or {},
            "terminal": terminal,
            "largest_file": largest_file,
            "killed_by_it": killed_by_it,
        }
        fork = Fork(int(self.ask(order)), errors, self)
        self._forks.append(fork)
        return fork

    def close(self) -> None:
        for fork in self._forks:
            if fork.status is None:
                fork.send(signal.SIGCONT)
                fork.send(signal.SIGKILL)
                fork.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE)


@contextmanager
def origin(folder: Path) -> Iterator[Origin]:
    """Give an origin for a module's tests."""
    forks = Origin(folder)
    try:
        yield forks
    finally:
        forks.close()


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Wait for something that has to happen soon."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.002)
