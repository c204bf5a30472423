"""Hours of audio faster than real time: the whole path in one process, a subscriber in another, both watched."""

from __future__ import annotations

import bisect
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripts.benchmarks.soak.processes import PATIENCE, Listener, hear, say, start
from scripts.benchmarks.soak.simulated_card import SAMPLE_RATE, SimulatedCard
from scripts.benchmarks.soak.usage import Slope, Usage, memory_slope, usage_of

FRAME = SAMPLE_RATE // 2
"""Samples of the card per frame."""
READINGS_PER_HOUR = 12
WARM_UP = 0.1
"""Share of the audio before memory is measured: allocators and caches fill."""
SETTLED = 10.0
"""Seconds of audio after which the clock has seen enough arrivals to be held to its promise."""


class DayLedger:
    """What one subscriber saw of a simulated card's day.

    Attributes
    ----------
    received, statuses : int
        Estimates, and statuses.
    lost : int
        Estimates whose sequence was passed over.
    inexact : list of float
        Positions that are not, to the sample, where the card's losses put them.
    backwards : int
        Times not after the one before.
    error, error_at_first : float
        Largest difference in seconds between an estimate's time and when its sample was captured, after `SETTLED`
        seconds and before.
    gaps : int
        Losses that show in the positions.
    """

    def __init__(self, card: SimulatedCard) -> None:
        self._card = card
        self._starts = [loss.end for loss in card.losses]
        self._sample = 0
        self._sequence = -1
        self._time = 0.0
        self.received = self.statuses = self.lost = self.backwards = self.gaps = 0
        self.inexact: list[float] = []
        self.error = self.error_at_first = 0.0
        self.position = 0.0
        self.begun, self.ended = threading.Event(), threading.Event()

    def take(self, line: list[Any]) -> None:
        """Check one message, as `listener` prints it."""
        if line[0] == "status":
            self.statuses += 1
            self.begun.set()
            if line[4] in ("ended", "failed"):
                self.ended.set()
            return
        _, _, sequence, when, position, _ = line
        self.received += 1
        self.lost += sequence - self._sequence - 1
        self._sequence = sequence
        self.backwards += when <= self._time
        self._time = when
        self._check_position(position)
        error = abs(when - self._card.time(self._sample))
        if position > SETTLED:
            self.error = max(self.error, error)
        else:
            self.error_at_first = max(self.error_at_first, error)
        self.position = position

    def _check_position(self, position: float) -> None:
        sample = round(position * SAMPLE_RATE)
        exact = abs(position * SAMPLE_RATE - sample) < 0.1  # messages carry microseconds
        if sample != self._sample + FRAME:
            self.gaps += 1
            # the loss that ended last before this frame; a new segment's first frame begins right there
            before = bisect.bisect_right(self._starts, sample - FRAME) - 1
            exact = exact and before >= 0 and self._starts[before] == sample - FRAME
        if not exact:
            self.inexact.append(position)
        self._sample = sample


@dataclass
class DayOutcome:
    """What came of a day.

    Attributes
    ----------
    hours, seconds : float
        Hours of audio, and seconds that they took.
    sent : int
        Estimates that the tracker handed to its publisher.
    ledger : DayLedger
        What the subscriber saw.
    losses : int
        Losses that the card had.
    slope : Slope
        Of the path's memory.
    usages : list of Usage
        One per reading, those of the warm-up not among them.
    """

    hours: float
    seconds: float
    sent: int
    ledger: DayLedger
    losses: int
    slope: Slope
    usages: list[Usage] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """What was promised and not seen."""
        threads = {usage.threads for usage in self.usages}
        descriptors = {usage.descriptors for usage in self.usages}
        checks = {
            "estimates were lost": self.sent == self.ledger.received and not self.ledger.lost,
            "positions were inexact": not self.ledger.inexact and self.ledger.gaps == self.losses,
            "time stepped backwards": not self.ledger.backwards,
            "time was more than 20 ms off": self.ledger.error <= 0.02,
            "the number of threads changed": len(threads) == 1,
            "the number of file descriptors changed": len(descriptors) == 1,
        }
        return [what for what, kept in checks.items() if not kept]


def run_day(
    hours: float,
    seed: int = 0,
    model: str | None = None,
    readings_per_hour: float = READINGS_PER_HOUR,
    progress: Callable[[float], None] = lambda hours: None,
) -> DayOutcome:
    """Feed hours of audio through the whole path and watch.

    Parameters
    ----------
    hours : float
        Hours of audio.
    seed : int
        What is played, lost and late.
    model : str, optional
        A checkpoint; the bundled one if not given.
    readings_per_hour : float
        Readings of memory, threads and descriptors per hour of audio.
    progress : callable
        Is told the hours of audio so far at each reading.

    Returns
    -------
    DayOutcome
    """
    card = SimulatedCard(hours, seed)
    options = ["--hours", hours, "--seed", seed, *(["--model", model] if model else [])]
    path = start("whole_path", *options)
    try:
        return _watch(path, card, hours, readings_per_hour, progress)
    finally:
        path.kill()
        path.wait()


def _watch(
    path: subprocess.Popen[str],
    card: SimulatedCard,
    hours: float,
    readings_per_hour: float,
    progress: Callable[[float], None],
) -> DayOutcome:
    ledger = DayLedger(card)
    readings: list[tuple[float, Usage]] = []

    def take(line: list[Any]) -> None:
        ledger.take(line)
        if ledger.position / 3600 >= (len(readings) + 1) / readings_per_hour:
            readings.append((ledger.position / 3600, usage_of(path.pid)))
            progress(readings[-1][0])

    listener = Listener(hear(path)["endpoint"], take)
    try:
        if not ledger.begun.wait(PATIENCE):
            raise RuntimeError("the subscriber heard nothing of the publisher")
        began = time.monotonic()
        say(path)
        sent = hear(path)["estimates"]
        if not ledger.ended.wait(PATIENCE):
            raise RuntimeError("the subscriber never heard of the end")
        took = time.monotonic() - began
        say(path)
        if path.wait(PATIENCE):
            raise RuntimeError(f"the tracker ended with status {path.returncode}")
    finally:
        listener.close()
    counted = [(hour, usage) for hour, usage in readings if hour > WARM_UP * hours]
    slope = memory_slope([hour for hour, _ in counted], [usage.memory for _, usage in counted])
    return DayOutcome(hours, took, sent, ledger, len(card.losses), slope, [usage for _, usage in counted])
