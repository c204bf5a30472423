"""What moodring and its peers take of a machine, on the same audio, in one run.

    scripts/benchmarks/peers/run cost [--audio FILE] [--minutes 1 5] [--rounds 5] [--cores N]

Each is a fresh process in an environment of its own, with what its package does by default. All hear two lengths of the
same audio, one after the other, round by round; the first round is not counted, because it reads files into the
system's cache. Medians, and the least and most of all rounds.

start
    processor seconds (user and system) that do not depend on the length: what the line through both lengths says of
    none.
a minute
    processor seconds for each further minute of audio: the slope of that line.
cold
    processor seconds per minute of audio of the longer file, start included.
memory
    the largest resident memory of the process and its children, in MB, for each length.
first result
    seconds from the start of the process to the first line of its output, for each length. What hears a whole file at
    once has none before its end.

A ratio is the peer's figure over moodring's: above 1, moodring is ahead. Processor seconds and memory are beside those
of `annotate`, a file to a table; the first result beside that of `stream --fast --json`, which says what it hears while
it hears it. `--cores 1` binds every process to one core: what spins on a second one while it waits costs less so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from model.errors import MoodringError
from scripts.benchmarks.peers.environments import (
    LIBROSA,
    OPENSMILE,
    VIBENET,
    Peer,
    environment_python,
    moodring_python,
)
from streamer.composer import compose
from training.feature_cache import default_folder
from training.tables import DataError

_LOOK_EVERY = 0.01
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH")
"""What this benchmark's own process is started with, and no user's is."""
_ANNOTATE, _STREAM = "moodring annotate", "moodring stream"
_PEERS = (VIBENET, OPENSMILE, LIBROSA)


@dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes
    ----------
    cpu : float
        Processor seconds, user and system, with its children.
    memory : float
        The largest resident memory in MB, its children's included.
    first : float
        Seconds to the first line of its output.
    """

    cpu: float
    memory: float
    first: float


@dataclass(frozen=True)
class Costs:
    """What one program took in one round, for both lengths; see the module's text for what they mean.

    Attributes
    ----------
    short, long : Run
    minutes : tuple of float
        The two lengths.
    """

    short: Run
    long: Run
    minutes: tuple[float, float]

    @property
    def slope(self) -> float:
        """Processor seconds per minute of audio."""
        return (self.long.cpu - self.short.cpu) / (self.minutes[1] - self.minutes[0])

    @property
    def start(self) -> float:
        """Processor seconds for no audio."""
        return self.short.cpu - self.slope * self.minutes[0]

    @property
    def cold(self) -> float:
        """Processor seconds per minute of the longer file, start included."""
        return self.long.cpu / self.minutes[1]


COLUMNS: dict[str, Callable[[Costs], float]] = {
    "start, CPU s": lambda costs: costs.start,
    "a minute, CPU s": lambda costs: costs.slope,
    "cold, CPU s a minute": lambda costs: costs.cold,
    "memory, short": lambda costs: costs.short.memory,
    "memory, long": lambda costs: costs.long.memory,
    "first result, short": lambda costs: costs.short.first,
    "first result, long": lambda costs: costs.long.first,
}


def measure(command: Sequence[str], cores: set[int] | None) -> Run:
    """Run a program to its end.

    Parameters
    ----------
    command : sequence of str
    cores : set of int or None
        What it may run on; None for all.

    Raises
    ------
    DataError
        If it fails, or says nothing.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _THREADS}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
        )
        ended = threading.Event()
        peaks = [0.0]
        looking = threading.Thread(target=_look, args=(process.pid, peaks, ended))
        looking.start()
        assert process.stdout is not None
        line = process.stdout.readline()
        first = time.perf_counter() - began
        while process.stdout.read(1 << 16):
            pass
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        looking.join()
        if process.returncode or not line:
            errors.seek(0)
            said = errors.read().strip().splitlines()
            reason = said[-1] if said else f"exit status {process.returncode}"
            raise DataError(f"{' '.join(command[:3])} failed: {reason}")
    return Run(usage.ru_utime + usage.ru_stime, peaks[0], first)


def _look(pid: int, peaks: list[float], ended: threading.Event) -> None:
    # not ru_maxrss: it begins with what the parent held when the process was forked
    while not ended.wait(_LOOK_EVERY):
        family = _family(pid)
        now = sum(_kilobytes(one, "VmRSS") for one in family)
        peaks[0] = max(peaks[0], now * 1024 / 1e6, _kilobytes(pid, "VmHWM") * 1024 / 1e6)


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in _family(int(child)))]


def _kilobytes(pid: int, field: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    _, found, rest = text.partition(f"{field}:")
    return int(rest.split()[0]) if found else 0


def write_audio(audio: Path | None, minutes: Sequence[float], folder: Path) -> list[Path]:
    """Write both lengths of a file, or of what moodring composes, as 16-bit WAV; repeat it if it is too short."""
    samples, rate = (compose(), 44100) if audio is None else soundfile.read(audio, dtype="float32", always_2d=True)
    paths = []
    for number, length in enumerate(minutes):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], np.resize(samples, (round(length * 60 * rate), samples.shape[1])), rate, "PCM_16")
    return paths


def programs(cache: Path, interpreter: str, console: Console) -> dict[str, Callable[[Path], list[str]]]:
    """Make every environment, and return by name what takes a file to its command."""
    folder = cache / "environments"

    def command(peer: Peer) -> Callable[[Path], list[str]]:
        with console.status(f"the environment of {peer.name}"):
            python = environment_python(peer, folder, interpreter)
        return lambda audio: [str(python), str(peer.cost_program), str(audio)]

    def ours(name: str, extra: str, besides: Sequence[str], *options: str) -> dict[str, Callable[[Path], list[str]]]:
        with console.status(f"the environment of moodring{extra}"):
            moodring = str(moodring_python(folder / name, extra, besides, interpreter).parent / "moodring")
        suffix = name.removeprefix("moodring").replace("-", " ")
        stream = [moodring, "stream", "--fast", "--json", "--publish", "tcp://127.0.0.1:*", *options]
        return {
            _ANNOTATE + suffix: lambda audio: [moodring, "annotate", "--quiet", "--jobs", "1", *options, str(audio)],
            _STREAM + suffix: lambda audio: [*stream, str(audio)],
        }

    return {
        **ours("moodring", "", []),
        **ours("moodring-large", "[torch]", ["musicnn==0.1.0"], "--model", "large"),
        **{peer.name: command(peer) for peer in _PEERS},
    }


def ratio(costs: dict[str, list[Costs]], name: str, column: str) -> str:
    """Return a peer's figure over moodring's: the median over rounds, or nothing for moodring's own."""
    if name.startswith("moodring"):
        return ""
    beside = costs[_STREAM if column.startswith("first") else _ANNOTATE]
    value = COLUMNS[column]
    return f"{statistics.median(value(a) / value(b) for a, b in zip(costs[name], beside, strict=True)):.2f}"


def table(costs: dict[str, list[Costs]]) -> Table:
    """Lay out medians, spreads, and ratios to moodring."""
    laid = Table("", *COLUMNS)
    for name, rounds in costs.items():
        cells = []
        for column, value in COLUMNS.items():
            values = sorted(map(value, rounds))
            digits = 0 if column.startswith("memory") else 3 if "minute" in column else 2
            cell = f"{statistics.median(values):.{digits}f}\n({values[0]:.{digits}f}–{values[-1]:.{digits}f})"
            over = ratio(costs, name, column)
            cells.append(f"{cell}\n{over} ×" if over else cell)
        laid.add_row(name, *cells, end_section=True)
    return laid


def run(options: argparse.Namespace) -> None:
    """Do everything.

    Raises
    ------
    MoodringError
        If something is missing or fails.
    """
    console = Console(stderr=True)
    short, long = options.minutes
    commands = programs(options.cache, options.python, console)
    cores = None if options.cores is None else set(sorted(os.sched_getaffinity(0))[: options.cores])
    costs: dict[str, list[Costs]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="moodring-cost-") as work:
        paths = write_audio(options.audio, options.minutes, Path(work))
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                with console.status(f"round {number} of {options.rounds}: {name}"):
                    runs = [measure(command(path), cores) for path in paths]
                if number > 0:
                    costs[name].append(Costs(*runs, (short, long)))
    if options.json is not None:
        rounds = {name: [{n: value(c) for n, value in COLUMNS.items()} for c in of] for name, of in costs.items()}
        options.json.write_text(json.dumps({"minutes": [short, long], "rounds": rounds}, indent=1))
    output = Console() if sys.stdout.isatty() else Console(width=160)
    output.print(f"{short:g} and {long:g} minutes of audio, {options.rounds} rounds; × is the peer's over moodring's")
    output.print(table(costs))


def main() -> None:
    """Run the benchmark."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="scripts/benchmarks/peers/run cost", description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, help="what is heard (default: what moodring composes)")
    lengths = {"type": float, "nargs": 2, "default": (1.0, 5.0), "metavar": ("SHORT", "LONG")}
    parser.add_argument("--minutes", **lengths, help="lengths of it (default 1 and 5)")
    parser.add_argument("--rounds", type=int, default=5, help="of which medians are taken (default 5)")
    parser.add_argument("--cores", type=int, help="bind every process to so many cores (default: none is bound)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures there")
    cache = default_folder() / "peers"
    parser.add_argument("--cache", type=Path, default=cache, help=f"environments (default {cache})")
    parser.add_argument("--python", default="", help="makes the environments (default: python3.11 or python3.12)")
    options = parser.parse_args()
    if not 0 < options.minutes[0] < options.minutes[1]:
        parser.error("--minutes: the second must be longer than the first")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.cores is not None and options.cores < 1:
        parser.error("--cores must be at least 1")
    try:
        run(options)
    except (MoodringError, OSError, soundfile.SoundFileError) as error:
        sys.exit(f"peers: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
