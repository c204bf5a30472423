"""Whether it keeps running: hours of audio, faults, bad peers, and what subscribers saw of them.

First hours of generated audio through the whole path as fast as it goes, with the sound card's clock off by 100 ppm,
uneven delivery and losses. Then `moodring listen` in real time on a virtual sound card of its own (PulseAudio), with
faults at random moments. A fault counts as survived only if subscribers saw what is promised in
streamer/RELIABILITY.md; each one that was not is named, and the exit status is 1.

    python scripts/benchmarks/soak.py [--fast-hours 24] [--minutes 60] [--seed 0] [--skip-fast] [--skip-faults]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from scripts.benchmarks.soak.day import DayOutcome, run_day
from scripts.benchmarks.soak.real_time import RealTimeOutcome, run_real_time
from scripts.benchmarks.soak.usage import describe_usages


def print_day(day: DayOutcome) -> None:
    """Print what came of the part that is faster than real time."""
    ledger = day.ledger
    print(f"\n{day.hours:g} hours of audio in {day.seconds:.0f} s ({day.hours * 3600 / day.seconds:.0f} x real time)")
    print(f"  estimates sent {day.sent}, received {ledger.received}, lost {day.sent - ledger.received}")
    print(f"  losses of the sound card {day.losses}, gaps in the positions {ledger.gaps}")
    print(f"  positions that were not exact to the sample: {len(ledger.inexact)}")
    print(
        f"  sound card off by 100 ppm, both ways: time stepped backwards {ledger.backwards} times, was at most "
        f"{ledger.error * 1000:.1f} ms off (in the first 10 s {ledger.error_at_first * 1000:.1f} ms)"
    )
    print(f"  memory of the tracker {day.slope}")
    print(f"  {describe_usages(day.usages)}")
    for failure in day.failures:
        print(f"  FAILED: {failure}")


def print_real_time(outcome: RealTimeOutcome, minutes: float) -> None:
    """Print what came of the part in real time."""
    print(f"\n{minutes:g} minutes in real time, {outcome.hours:.2f} hours of audio heard")
    print(
        f"  messages to well-behaved subscribers: sent {outcome.sent}, received {outcome.received}, lost {outcome.lost}"
    )
    print(f"  faults injected {outcome.injected.total()}, survived {outcome.survived.total()}")
    for name, injected in sorted(outcome.injected.items()):
        print(f"    {name:45s} {injected:3d} injected {outcome.survived[name]:3d} survived")
    for problem in outcome.problems:
        print(f"  FAILED: {problem}")
    print("  longest: " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in sorted(outcome.slowest.items())))
    for name, seconds in (("quiet", outcome.quiet), ("under attack", outcome.attacked)):
        if seconds:
            median, p99 = np.percentile(seconds, [50, 99]) * 1000
            print(
                f"  from the end of a frame to the subscriber, {name:12s} p50 {median:6.2f} ms  p99 {p99:6.2f} ms  "
                f"({len(seconds)} estimates)"
            )
    print(f"  an estimate arrived no sooner than {outcome.soonest * 1000:.2f} ms after the time that it carries")
    if outcome.slope is not None:
        print(f"  memory of the tracker, last run: {outcome.slope}")
    if outcome.usages:
        print(f"  {describe_usages(outcome.usages)}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast-hours", type=float, default=24.0, help="hours of audio as fast as it goes (default 24)")
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes in real time with faults (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="what is played and lost, and when faults come (default 0)")
    parser.add_argument("--skip-fast", action="store_true", help="leave out the part that is faster than real time")
    parser.add_argument("--skip-faults", action="store_true", help="leave out the part in real time")
    arguments = parser.parse_args()
    failures: list[str] = []
    if not arguments.skip_fast:
        day = run_day(
            arguments.fast_hours,
            arguments.seed,
            progress=lambda hours: print(f"\r{hours:.1f} hours of audio", end="", file=sys.stderr, flush=True),
        )
        print_day(day)
        failures += day.failures
    if not arguments.skip_faults:
        outcome = run_real_time(
            arguments.minutes, arguments.seed, progress=lambda line: print(line, file=sys.stderr, flush=True)
        )
        print_real_time(outcome, arguments.minutes)
        failures += outcome.problems + (["messages were lost"] if outcome.lost else [])
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
