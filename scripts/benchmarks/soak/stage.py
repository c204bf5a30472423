"""`moodring listen` in real time on a virtual sound card, with well-behaved subscribers that watch it."""

from __future__ import annotations

import itertools
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.soak.processes import PATIENCE
from scripts.benchmarks.soak.sound_card import VirtualCard
from scripts.benchmarks.soak.usage import Usage, usage_of
from scripts.benchmarks.soak.witness import Seen, Witness

WITNESSES = 3
LONGEST_SILENCE = 1.5
"""Seconds that may lie between the arrivals of two statuses, which are sent at least once a second."""


def free_port() -> int:
    """Find a TCP port that nobody uses; the tracker shall come back on the same one after a crash."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stage:
    """Everything that takes part.

    Parameters
    ----------
    folder : Path
        For the sound card's files, and what the tracker says.
    seed : int
        For all that is left to chance.

    Attributes
    ----------
    card : VirtualCard
        What the tracker hears.
    tracker : subprocess.Popen
        The running `moodring listen`.
    witnesses : list of Witness
        The well-behaved subscribers.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.port = free_port()
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        self.errors = folder / "tracker.log"
        self.card = VirtualCard(folder)
        try:
            self.start_tracker()
        except BaseException:
            self.card.close()
            raise
        self.witnesses = [Witness(self.endpoint) for _ in range(WITNESSES)]

    def start_tracker(self) -> None:
        """Start the tracker, and wait until it can be subscribed to."""
        command = [str(Path(sys.executable).with_name("moodring")), "listen", "--quiet", "--publish", self.endpoint]
        with self.errors.open("a") as errors:
            self.tracker = subprocess.Popen(command, env=self.card.environment, stderr=errors)
        deadline = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.tracker.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the tracker did not start: {self.errors.read_text()}")
            time.sleep(0.05)

    def usage(self) -> Usage:
        """Read what the tracker holds."""
        return usage_of(self.tracker.pid)

    def close(self) -> int:
        """End the tracker as Ctrl-C does, then everything else; gives the tracker's exit status."""
        self.tracker.send_signal(signal.SIGINT)
        try:
            status = self.tracker.wait(PATIENCE)
        finally:
            self.tracker.kill()
            for witness in self.witnesses:
                witness.close()
            self.card.close()
        return status


@dataclass
class Watch:
    """Looks at what the subscribers see while a fault is there.

    Attributes
    ----------
    stage : Stage
        Who takes part.
    began : float
        UTC at which the watch began.
    problems : list of str
        What was promised and not seen.
    notes : dict of str to float
        Seconds that things took, for those who want to see more than that they were kept.
    silence : float
        Seconds that may lie between two statuses; infinite where the tracker itself is stopped.
    """

    stage: Stage
    began: float = field(default_factory=time.time)
    problems: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    silence: float = LONGEST_SILENCE

    def __post_init__(self) -> None:
        self._lost = [witness.lost for witness in self.stage.witnesses]
        self._backwards = [witness.backwards for witness in self.stage.witnesses]

    @property
    def witness(self) -> Witness:
        """The subscriber that is looked at where one is enough."""
        return self.stage.witnesses[0]

    def expect(self, kept: bool, problem: str) -> None:
        """Note a problem if something was not kept."""
        if not kept:
            self.problems.append(problem)

    def within(self, what: str, since: float, limit: float, seen: Seen | None) -> None:
        """Note how long after `since` something was seen, and a problem if it was later than `limit`."""
        if seen is None:
            self.problems.append(f"{what}: never")
            return
        self.notes[what] = max(self.notes.get(what, 0.0), seen.arrival - since)
        self.expect(seen.arrival - since <= limit, f"{what} after {seen.arrival - since:.2f} s, not {limit:g} s")

    def finish(self) -> list[str]:
        """Check what holds whatever happens; gives all problems."""
        for number, witness in enumerate(self.stage.witnesses):
            lost = witness.lost - self._lost[number]
            self.expect(not lost, f"subscriber {number} lost {lost} messages")
            backwards = witness.backwards - self._backwards[number]
            self.expect(not backwards, f"subscriber {number} saw time go wrong {backwards} times")
            arrivals = [seen.arrival for seen in witness.since(self.began) if seen.kind == "status"]
            longest = max(b - a for a, b in itertools.pairwise([self.began, *arrivals, time.time()]))
            self.expect(longest <= self.silence, f"subscriber {number} got no status for {longest:.1f} s")
        self.expect(self.stage.tracker.poll() is None, "the tracker has ended")
        return self.problems
