"""The part in real time: faults at random moments, quiet in between, and what the subscribers saw."""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.soak import faults
from scripts.benchmarks.soak.attackers import ATTACKERS
from scripts.benchmarks.soak.processes import start
from scripts.benchmarks.soak.stage import Stage, Watch
from scripts.benchmarks.soak.usage import Slope, Usage, memory_slope
from scripts.benchmarks.soak.witness import Seen, Witness

SETTLING = 20.0
"""Seconds before the first fault: the model loads, its window fills."""
QUIET = (12.0, 35.0)
"""Seconds between two faults."""
ATTACK_SECONDS = 30.0
ATTACK_GROWTH = 64 * 1024
"""KB by which an attack may make the tracker grow: what a bounded queue for each connection may take."""
EXPENDABLE = 0.25
"""Share of the time in which the tracker may be killed; the rest is one run, so that its memory can be measured."""

KILL_CHANCE = 0.3
"""How likely the tracker is killed after another fault in that time."""
WARM_UP = 1 / 3
"""Share of the last run before memory is measured: batches of sizes that are new, where tracking catches up after it
was stopped, make torch reserve some megabytes once."""

Fault = Callable[[Stage, Watch], None]
KILL_TRACKER = "tracker killed (SIGKILL) and restarted"
FAULTS: dict[str, Fault] = {
    "sound server killed and restarted": faults.kill_sound_server,
    "sound source suspended": faults.suspend_source,
    f"tracker stopped for {faults.STOPPED_SECONDS:g} s (SIGSTOP)": faults.stop_tracker,
    KILL_TRACKER: faults.kill_tracker,
}


@dataclass
class RealTimeOutcome:
    """What came of the part in real time.

    Attributes
    ----------
    hours : float
        Hours of audio heard, all runs of the tracker together.
    injected, survived : Counter of str
        How often each fault came, and how often all that is promised was seen.
    problems : list of str
        Each fault that was not survived, and why.
    sent, received, lost : int
        Messages to the well-behaved subscribers, all of them together.
    slope : Slope or None
        Of the tracker's memory in its last run, after `WARM_UP`; None if that was too short.
    usages : list of Usage
        Of that time, in the quiet before each fault.
    quiet, attacked : list of float
        Seconds from a frame's end to its estimate's arrival.
    soonest : float
        The least of all these, with those during other faults: below 0, an estimate's time lay ahead of the system
        clock.
    slowest : dict of str to float
        The longest that each thing with a promised limit took, in seconds.
    """

    hours: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    survived: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    lost: int = 0
    slope: Slope | None = None
    usages: list[Usage] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    attacked: list[float] = field(default_factory=list)
    soonest: float = math.inf
    slowest: dict[str, float] = field(default_factory=dict)


def run_real_time(
    minutes: float, seed: int = 0, progress: Callable[[str], None] = lambda line: None
) -> RealTimeOutcome:
    """Listen to a virtual sound card while faults happen.

    Parameters
    ----------
    minutes : float
        How long.
    seed : int
        Which fault comes when.
    progress : callable
        Is told each fault and what came of it.

    Returns
    -------
    RealTimeOutcome
    """
    outcome = RealTimeOutcome()
    readings: list[tuple[float, int, Usage]] = []
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), seed)
        began = time.monotonic()
        time.sleep(SETTLING)
        deck = _deck(stage, lambda: (time.monotonic() - began) / (minutes * 60) < EXPENDABLE)
        try:
            while time.monotonic() - began < minutes * 60:
                quiet_since = time.time()
                time.sleep(stage.random.uniform(*QUIET))
                outcome.quiet += _latencies(stage, quiet_since)
                readings.append((time.time() / 3600, stage.tracker.pid, stage.usage()))
                name = next(deck)
                problems = _inject(name, stage, outcome)
                progress(f"{(time.monotonic() - began) / 60:5.1f} min  {name}: {'; '.join(problems) or 'survived'}")
        finally:
            status = stage.close()
            if status:
                outcome.problems.append(f"the tracker ended with status {status}: {stage.errors.read_text()[-500:]}")
        _account(stage.witnesses, outcome)
    last_run = [(hour, usage) for hour, pid, usage in readings if pid == stage.tracker.pid]
    last_run = last_run[round(WARM_UP * len(last_run)) :]
    outcome.usages = [usage for _, usage in last_run]
    if len(last_run) >= 3:
        outcome.slope = memory_slope([hour for hour, _ in last_run], [usage.memory for _, usage in last_run])
    return outcome


def _deck(stage: Stage, expendable: Callable[[], bool]) -> Iterator[str]:
    """Give the faults in random order, every one before any comes again; the tracker's death as long as it may be."""
    names = [*FAULTS, *ATTACKERS]
    names.remove(KILL_TRACKER)
    yield KILL_TRACKER
    while True:
        stage.random.shuffle(names)
        for name in names:
            yield name
            if expendable() and stage.random.random() < KILL_CHANCE:
                yield KILL_TRACKER


def _inject(name: str, stage: Stage, outcome: RealTimeOutcome) -> list[str]:
    watch = Watch(stage)
    if name in FAULTS:
        FAULTS[name](stage, watch)
    else:
        _attack(name, stage, watch, outcome)
    problems = watch.finish()
    outcome.injected[name] += 1
    outcome.survived[name] += not problems
    outcome.problems += [f"{name}: {problem}" for problem in problems]
    for what, seconds in watch.notes.items():
        outcome.slowest[what] = max(outcome.slowest.get(what, 0.0), seconds)
    return problems


def _attack(name: str, stage: Stage, watch: Watch, outcome: RealTimeOutcome) -> None:
    before = stage.usage().memory
    attacker = start("attackers", name, stage.endpoint)
    try:
        time.sleep(ATTACK_SECONDS)
        watch.expect(attacker.poll() is None, "the attacker itself has ended")
        growth = stage.usage().memory - before
        outcome.attacked += _latencies(stage, watch.began)
    finally:
        attacker.kill()
        attacker.wait()
    watch.expect(growth < ATTACK_GROWTH, f"memory grew by {growth} KB")
    time.sleep(2)


def _latencies(stage: Stage, since: float) -> list[float]:
    seen = [seen for witness in stage.witnesses for seen in witness.since(since)]
    return [one.arrival - one.time for one in seen if one.kind == "estimate" and one.time > since]


def _account(witnesses: list[Witness], outcome: RealTimeOutcome) -> None:
    """Count what was sent, as far as any subscriber knows, and what each of them got."""
    runs = {seen.run for witness in witnesses for seen in witness.messages if seen.run}
    for run in runs:
        for kind in ("estimate", "status"):
            of_each = [_of_run(witness, run, kind) for witness in witnesses]
            newest = max((seen.sequence for of_one in of_each for seen in of_one), default=-1)
            for of_one in of_each:
                # a run's first messages may come before a subscriber has connected again
                sent = newest + 1 - (of_one[0].sequence if of_one else 0)
                outcome.sent += sent
                outcome.received += len({seen.sequence for seen in of_one})
        estimates = _of_run(witnesses[0], run, "estimate")
        outcome.hours += estimates[-1].position / 3600 if estimates else 0.0
    outcome.lost = outcome.sent - outcome.received
    heard = [seen for witness in witnesses for seen in witness.messages if seen.kind == "estimate"]
    outcome.soonest = min((seen.arrival - seen.time for seen in heard), default=math.inf)


def _of_run(witness: Witness, run: float, kind: str) -> list[Seen]:
    return [seen for seen in witness.messages if seen.kind == kind and seen.run == run]
