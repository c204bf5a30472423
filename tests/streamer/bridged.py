"""A running ``moodring bridge`` and the publisher that it hears."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamer.messages import Estimate, EstimateState, Mood, Status, StreamState
from streamer.publisher import Publisher

MOODRING = [sys.executable, "-m", "streamer.cli"]
PATIENCE = 20.0


def estimate(sequence: int, point: tuple[float, float] | None, stream: str = "stage", clock: float = 1e9) -> Estimate:
    valence, arousal = point if point else (None, None)
    state: EstimateState = "tracking" if point else "silence"
    loudness = -20.0 if point else -200.0
    mood = Mood(0.25, -0.25)
    position = sequence / 2
    return Estimate(
        stream, sequence, clock + position, position, valence, arousal, 0.2, 0.2, mood, state, loudness, 0.0, "made-up"
    )


def status(sequence: int, state: StreamState = "running", stream: str = "stage", started: float = 1e9) -> Status:
    return Status(stream, sequence, 1e9 + sequence, state, 0.0, "", 0, started)


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], why: Callable[[], object] = lambda: "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


class Bridged:
    """The process, what it has said, and its publisher."""

    def __init__(self, publisher: Publisher, *arguments: object) -> None:
        self.publisher = publisher
        self.process = subprocess.Popen(
            [*MOODRING, "bridge", *map(str, arguments)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def says(self, text: str) -> None:
        """Wait until it has said something."""
        until(lambda: any(text in line for line in self.lines) or not self._reader.is_alive(), lambda: self.lines)
        assert any(text in line for line in self.lines), self.lines

    def connected(self) -> None:
        """Wait until it hears the publisher."""
        until(lambda: self.publisher.statistics().connections > 0, lambda: self.lines)

    def end(self) -> int:
        """End it as Ctrl-C does; return its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr:
            self.lines.extend(iter(self.process.stderr.readline, ""))


@contextmanager
def bridged(kind: str, to: str | None, *arguments: object) -> Iterator[Bridged]:
    with Publisher("tcp://127.0.0.1:*") as publisher:
        where = () if to is None else ("--to", to)
        running = Bridged(publisher, kind, publisher.endpoint, *where, *arguments)
        try:
            yield running
        finally:
            running.close()
