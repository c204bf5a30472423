"""Hostile input by the million: damaged files, messages, PCM and configurations, made from a seed.

Each target's cases run in a child process, which is replaced where a case kills or stops it. A case is a crash if it
raises anything but the error that its reader promises, if what is accepted leads to an estimate outside [-1, 1] or
that is no number, if it asks for a gigabyte of memory, or if anything is printed. What is found is kept in a folder,
as files to be checked again.

    python scripts/benchmarks/fuzz.py --target all --cases 1000000 [--seed 0] [--found fuzz-found]
    python scripts/benchmarks/fuzz.py --target wire --replay fuzz-found/wire-17.case

With atheris (Linux, `pip install atheris==3.0.0`), a target's cases can be led by the coverage of the code instead:

    python scripts/benchmarks/fuzz.py --target wire --atheris --cases 1000000
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import importlib
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    from scripts.benchmarks.fuzzing.running import Outcome
    from scripts.benchmarks.fuzzing.target import Target

# moodring itself is imported later: atheris follows only what is imported under its eyes
_PACKAGE = "scripts.benchmarks.fuzzing"
TARGETS = {
    "wire": f"{_PACKAGE}.wire:WireTarget",
    "pcm": f"{_PACKAGE}.pcm:PCMTarget",
    "settings": f"{_PACKAGE}.configuration:settings_target",
    "service": f"{_PACKAGE}.configuration:service_target",
    "checkpoints": f"{_PACKAGE}.checkpoints:CheckpointTarget",
    "onnx": f"{_PACKAGE}.onnx_models:OnnxTarget",
    "audio": f"{_PACKAGE}.audio:AudioTarget",
    "video": f"{_PACKAGE}.video:VideoTarget",
    "kept": f"{_PACKAGE}.kept:KeptTarget",
}
"""By name: where what makes the target is."""
_TOLD_EVERY = 20.0
_CORPUS = 300
"""Cases that atheris begins with."""


def make_target(name: str) -> Target:
    """Return a target, ready."""
    module, _, attribute = TARGETS[name].partition(":")
    make: Callable[[], Target] = getattr(importlib.import_module(module), attribute)
    return make()


def print_outcome(name: str, outcome: Outcome) -> None:
    """Print a line about a target."""
    p = outcome.progress
    done = p.accepted + p.refused + p.crashed + outcome.died + outcome.hung
    growth = (p.peak - p.settled) / 1024 if p.settled else 0.0
    print(
        f"{name:12s} {done:8d} cases, {p.accepted:7d} accepted, {p.refused:7d} refused, {p.crashed + outcome.died} "
        f"crashes, {outcome.hung} hangs; slowest {p.slowest * 1000:.0f} ms (case {p.slowest_case}), memory "
        f"{growth:+.1f} MB; {outcome.seconds:.0f} s, {p.spent / max(done, 1) * 1e6:.0f} us of processor time a case",
        flush=True,
    )


def _tell(name: str) -> Callable[[int], None]:
    told = time.monotonic()

    def tell(case: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            print(f"{name:12s} {case} …", file=sys.stderr, flush=True)

    return tell


def _run_atheris(name: str, seed: int, cases: int, found: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["streamer", "model", "training", "json", "tomllib"]):
        target = make_target(name)
        from streamer.native_output import discard_native_output
    discard_native_output()
    with tempfile.TemporaryDirectory(prefix="moodring-fuzz-") as folder:
        for number in range(_CORPUS):
            (Path(folder) / str(number)).write_bytes(target.make(random.Random(f"{seed} {number}")))
        found.mkdir(parents=True, exist_ok=True)
        options = [f"-runs={cases}", f"-seed={seed + 1}", "-timeout=30", "-rss_limit_mb=3000", "-print_final_stats=1"]
        options += [f"-artifact_prefix={found}/{name}-atheris-", "-max_len=65536"]
        atheris.Setup([sys.argv[0], *options, folder], lambda content: _check(target, content))
        atheris.Fuzz()


def _check(target: Target, content: bytes) -> None:
    target.check(content)


def main() -> int:
    """Run the benchmark; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--cases", type=int, default=10_000, help="of each target (default 10000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="folder for what is found")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for one case (default 30)")
    parser.add_argument("--replay", type=Path, help="check one case that was kept")
    parser.add_argument("--atheris", action="store_true", help="let atheris make one target's cases")
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--board", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    found = options.found.absolute()
    if options.atheris:
        _run_atheris(options.target, options.seed, options.cases, found)
        return 0
    from scripts.benchmarks.fuzzing.running import Board, run_cases, supervise

    if options.board is not None:
        target = make_target(options.target)
        run_cases(target, options.seed, options.first, options.cases, Board(options.board), found)
        return 0
    if options.replay is not None:
        print("accepted" if make_target(options.target).check(options.replay.read_bytes()) else "refused")
        return 0
    wrong = 0
    for name in TARGETS if options.target == "all" else [options.target]:
        outcome = supervise(name, options.seed, options.cases, found, options.limit, _tell(name))
        print_outcome(name, outcome)
        wrong += outcome.progress.crashed + outcome.died + outcome.hung
    if wrong:
        print(f"{wrong} cases found something wrong: see {found}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
