"""Faults, each with what subscribers must see of it. All are provoked for real."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from itertools import pairwise

from scripts.benchmarks.soak.stage import Stage, Watch
from scripts.benchmarks.soak.witness import Seen

STALLED_WITHIN = 2.0
RESUMED_WITHIN = 5.0
STOPPED_SECONDS = 10.0
ENOUGH = 30.0
"""Seconds after which what has not been seen counts as never seen."""
LIVE = 2.5
"""Seconds that an estimate may be old when it arrives; frames older than 2 s are not published as live."""
STOP_GROWTH = 32 * 1024
"""KB by which the tracker may grow while it is stopped: its bounded queues, far from full."""
FRAME = 0.5
_POSITION_TOLERANCE = 0.1


def kill_sound_server(stage: Stage, watch: Watch) -> None:
    """Kill the sound server, and start it again some seconds later."""
    lost = time.time()
    stage.card.kill()
    _outage(stage, watch, lost, stage.card.start)


def suspend_source(stage: Stage, watch: Watch) -> None:
    """Make the device stop delivering without a word."""
    lost = time.time()
    stage.card.suspend(True)
    _outage(stage, watch, lost, lambda: stage.card.suspend(False))


def stop_tracker(stage: Stage, watch: Watch) -> None:
    """Stop the tracker's process for some seconds, as a busy machine would."""
    witness = watch.witness
    watch.silence = math.inf
    before = stage.usage().memory
    stage.tracker.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    goes_on = time.time()
    stage.tracker.send_signal(signal.SIGCONT)
    first = witness.wait(lambda seen: seen.kind == "estimate", goes_on, ENOUGH)
    watch.within("estimates again", goes_on, RESUMED_WITHIN, first)
    witness.wait(lambda seen: seen.kind == "estimate" and seen.arrival > goes_on + 5, goes_on, ENOUGH)
    estimates = _estimates(watch, goes_on)
    oldest = max((seen.arrival - seen.time for seen in estimates), default=0.0)
    watch.expect(oldest < LIVE, f"an estimate was {oldest:.1f} s old when it arrived")
    watch.expect(stage.usage().memory - before < STOP_GROWTH, f"memory grew by {stage.usage().memory - before} KB")
    _check_positions(watch)


def kill_tracker(stage: Stage, watch: Watch) -> None:
    """Kill the tracker, and start it again on the same port."""
    watch.silence = math.inf
    stage.tracker.kill()
    stage.tracker.wait()
    time.sleep(stage.random.uniform(0.5, 5))
    began = time.time()
    stage.start_tracker()
    listening = time.time()
    for witness in stage.witnesses:
        news = witness.wait(lambda seen: seen.kind == "status" and seen.run >= began, began, ENOUGH)
        watch.within("new run seen", listening, RESUMED_WITHIN, news)
        first = witness.wait(lambda seen: seen.kind == "estimate" and seen.run >= began, began, ENOUGH)
        watch.within("estimates again", listening, ENOUGH, first)
    time.sleep(3)


def _outage(stage: Stage, watch: Watch, lost: float, bring_back: Callable[[], None]) -> None:
    witness = watch.witness
    stalled = witness.wait(lambda seen: seen.kind == "status" and seen.state == "stalled", lost, ENOUGH)
    watch.within("stalled", lost, STALLED_WITHIN, stalled)
    time.sleep(stage.random.uniform(3, 10))
    bring_back()
    back = time.time()
    if stalled is not None:
        repeated = [seen for seen in _estimates(watch, stalled.arrival + FRAME) if seen.arrival < back]
        watch.expect(not repeated, f"{len(repeated)} estimates while there was no audio")
    running = witness.wait(lambda seen: seen.kind == "status" and seen.state == "running", back, ENOUGH)
    watch.within("running", back, RESUMED_WITHIN, running)
    watch.within("estimates again", back, RESUMED_WITHIN, witness.wait(lambda s: s.kind == "estimate", back, ENOUGH))
    witness.wait(lambda seen: seen.kind == "estimate" and seen.arrival > back + 5, back, ENOUGH)
    gaps = [b.position - a.position for a, b in pairwise(_estimates(watch, watch.began - 2)) if _jumps(a, b)]
    watch.expect(len(gaps) == 1, f"{len(gaps)} gaps in the positions, not one: {[round(gap, 2) for gap in gaps]}")
    _check_positions(watch)


def _check_positions(watch: Watch) -> None:
    """Positions and times must have gone on together, whatever was lost."""
    estimates = _estimates(watch, watch.began - 2)
    for a, b in pairwise(estimates):
        difference = (b.position - a.position) - (b.time - a.time)
        watch.expect(abs(difference) < _POSITION_TOLERANCE, f"position and time went apart by {difference:.2f} s")


def _jumps(a: Seen, b: Seen) -> bool:
    return abs(b.position - a.position - FRAME) > 1e-5


def _estimates(watch: Watch, since: float) -> list[Seen]:
    return [seen for seen in watch.witness.since(since) if seen.kind == "estimate"]
