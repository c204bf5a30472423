"""Hubs and trackers as processes of their own, and somebody who hears everything at an endpoint."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence

import zmq

from streamer.hub.switchboard import SILENT_AFTER
from streamer.keys import ClientKeys
from streamer.messages import Estimate, Mood, Status, decode
from tests.conftest import REPOSITORY

ANY_PORT = "tcp://127.0.0.1:*"
PATIENCE = 20.0
"""Seconds after which what should happen at once is taken not to happen, on a machine that is busy."""

_HUB = """
import streamer.hub.switchboard
from streamer.start import main
streamer.hub.switchboard.SILENT_AFTER = {silent_after}
main()
"""
_TRACKER = """
import sys, time
from streamer.messages import Estimate, Mood
from streamer.publisher import Publisher
with Publisher(sys.argv[1], insecure=True) as publisher:
    publisher.set_status(sys.argv[2], "running")
    print(publisher.endpoint, flush=True)
    sequence = 0
    while True:
        mood = Mood(None, None)
        publisher.publish(Estimate(sys.argv[2], sequence, time.time(), sequence / 2, 0.1, 0.2, None, None, mood,
                                   "tracking", -20.0, 0.0, sys.argv[3]))
        sequence += 1
        time.sleep(0.05)
"""


class Process:
    """A program that is ended with the test, and what it says on standard error."""

    def __init__(self, *command: str) -> None:
        self.program = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.program.kill()
        self.program.wait()

    def said(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.lines)

    def _read(self) -> None:
        assert self.program.stderr is not None
        for line in self.program.stderr:
            self.lines.append(line.rstrip())


class RunningHub(Process):
    """``moodring hub`` at a free port of loopback, or where `arguments` say, with metrics.

    A stream counts as silent after `silent_after` seconds: less than what is documented, where a test has to wait.
    """

    def __init__(
        self, publishers: Sequence[str], *arguments: str, prefix: Sequence[str] = (), silent_after: float = SILENT_AFTER
    ) -> None:
        where = () if "--publish" in arguments else ("--publish", ANY_PORT)
        named = [argument for publisher in publishers for argument in ("--from", publisher)]
        program = _HUB.format(silent_after=silent_after)
        command = [sys.executable, "-c", program, "hub", *named, *where, "--metrics", "0", *arguments]
        super().__init__(*prefix, *command)
        wait_for(lambda: self.said("publish: ") or self.program.poll() is not None)
        assert self.program.poll() is None, self.lines
        self.endpoint = self._after("publish: ")
        self.metrics = self._after("metrics: ")

    def count(self, name: str) -> float:
        page = urllib.request.urlopen(self.metrics, timeout=10).read().decode()
        found = re.search(rf"^moodring_hub_{name} (\S+)$", page, re.MULTILINE)
        assert found is not None, page
        return float(found[1])

    def _after(self, word: str) -> str:
        return next(line for line in self.lines if line.startswith(word)).split()[1]


class Tracker(Process):
    """Publishes estimates twenty times a second, and statuses, until it is killed."""

    def __init__(self, stream: str, endpoint: str = ANY_PORT, model: str = "one", prefix: Sequence[str] = ()) -> None:
        super().__init__(*prefix, sys.executable, "-c", _TRACKER, endpoint, stream, model)
        assert self.program.stdout is not None
        self.endpoint = self.program.stdout.readline().strip()
        assert self.endpoint, self.lines


class Listener:
    """Keeps all that comes from an endpoint, as it came."""

    def __init__(self, endpoint: str, keys: ClientKeys | None = None) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        if keys is not None:
            keys.apply_to(self._socket)
        self._socket.subscribe("")
        self._socket.connect(endpoint)
        self.frames: list[list[bytes]] = []

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exception: object) -> None:
        self._context.destroy(linger=0)

    def hear(self, seconds: float = 0.0) -> Listener:
        """Take what comes in that time."""
        deadline = time.monotonic() + seconds
        while self._socket.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            self.frames.append(self._socket.recv_multipart())
        return self

    @property
    def messages(self) -> list[Estimate | Status]:
        self.hear()
        return [decode(frames) for frames in self.frames]

    def estimates(self, stream: str) -> list[Estimate]:
        return [one for one in self.messages if isinstance(one, Estimate) and one.stream == stream]

    def statuses(self, stream: str) -> list[Status]:
        return [one for one in self.messages if isinstance(one, Status) and one.stream == stream]

    def without_repeats(self, stream: str) -> list[int]:
        """Give the sequences of a stream's estimates, without those that came again."""
        return list(dict.fromkeys(one.sequence for one in self.estimates(stream)))


def wait_for(condition: object, patience: float = PATIENCE) -> None:
    assert callable(condition)
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        threading.Event().wait(0.02)


def estimate(stream: str, sequence: int, model: str = "one") -> Estimate:
    mood = Mood(0.1, None)
    return Estimate(
        stream, sequence, time.time(), sequence / 2, 0.1, 0.2, None, 0.3, mood, "tracking", -20.0, 0.0, model
    )
