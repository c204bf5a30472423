"""What moodring takes of a small machine: disk, memory, start and processor, with ONNX Runtime and with torch.

    python scripts/benchmarks/edge.py [--runs 5] [--hours 0.5] [--folder FOLDER]

Makes an environment of each install, ``moodring`` and ``moodring[torch]``, with the pinned versions (minutes; FOLDER
keeps them), and measures both in turn, so that what else the machine does falls on both. The first run of each is not
counted: it reads files into the system's cache.

disk
    what ``pip install --no-compile`` put into the environment, without pip and setuptools, and the bytecode that Python
    has written of what was used since; below the table, with the bytecode of everything, which pip makes by default.
first estimate
    seconds from the start of the process to the first estimate, the frame's 0.5 s taken off: a pipe is given a second
    of audio at once. The status ``running`` comes before it.
resident
    the largest resident memory while a stream is tracked, once it has heard more than the model looks back over.
CPU
    processor seconds per hour of one stream, from a pipe at many times its pace, without the start.
live
    processor seconds per hour of one stream in real time, from one minute of it after the first ten seconds: what
    waiting costs besides.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from process_usage import cpu_seconds

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLS = {"onnx": "", "torch": "[torch]"}
AIMS = {"disk": 150.0, "resident": 120.0, "first estimate": 1.0, "CPU": 20.0, "live": 20.0}
"""Of the install without torch: MB, seconds, and processor seconds an hour."""
_RATE = 22050
_FRAME = 0.5
# so that the first start keeps its bytecode, as it does for a user
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_NOT_COUNTED = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
_LIVE_SECONDS = 60.0
_WARM = 150.0
"""Seconds of audio after which the memory of a stream is full."""


def make_environment(folder: Path, extra: str) -> Path:
    """Install moodring from this tree into a fresh environment, and return its Python."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pins = REPOSITORY / "scripts" / "constraints.txt"
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        subprocess.run(
            [*install, "--constraint", str(pins), f"{REPOSITORY}{extra}"],
            check=True,
            env={**os.environ, "PIP_BUILD_CONSTRAINT": str(pins)},
        )
    return python


def packages_of(python: Path) -> Path:
    """Return the folder of an environment's packages."""
    (packages,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return packages


def sizes_of(packages: Path) -> dict[str, float]:
    """Return the MB of each package in a folder, without pip's own."""
    sizes: dict[str, float] = {}
    for entry in packages.iterdir():
        name = entry.name.partition("-")[0].partition(".")[0].lower()
        if name in _NOT_COUNTED:
            continue
        files = [entry] if entry.is_file() else [file for file in entry.rglob("*") if file.is_file()]
        sizes[name] = sizes.get(name, 0.0) + sum(file.lstat().st_size for file in files) / 1e6
    return sizes


def sound(seconds: float) -> bytes:
    """Return 16-bit PCM of chords that change, without importing anything."""
    cycle = bytearray()
    for i in range(10 * _RATE):
        chord = (i // _RATE) % 5
        value = sum((i * step) % 100 - 50 for step in (1 + chord, 2 + chord, 3 + 2 * chord))
        cycle += (value * 100).to_bytes(2, "little", signed=True)
    return (bytes(cycle) * (int(seconds / 10) + 1))[: int(seconds * _RATE) * 2]


def start(python: Path, runtime: str, *options: str) -> subprocess.Popen[bytes]:
    """Start a stream from a pipe."""
    pipe = ["stream", "-", "--sample-rate", str(_RATE), "--channels", "1", "--publish", "tcp://127.0.0.1:*"]
    return subprocess.Popen(
        [str(python.parent / "moodring"), *pipe, "--runtime", runtime, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=_ENVIRONMENT,
    )


def measure_start(python: Path, runtime: str) -> float:
    """Return the seconds from a process's start to its first estimate, without the frame."""
    one = sound(1.0)
    began = time.perf_counter()
    with start(python, runtime, "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(one)
        process.stdin.flush()
        line = process.stdout.readline()
        took = time.perf_counter() - began
        process.stdin.close()
        process.stdout.read()
    assert json.loads(line)["position"] == _FRAME, line
    return took - _FRAME


def measure_fast(python: Path, runtime: str, seconds: float) -> tuple[float, float]:
    """Return the processor seconds of a stream that goes as fast as it can, and its largest resident memory in MB."""
    block = sound(10.0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with start(python, runtime, "--quiet", "--fast") as process:
        assert process.stdin is not None
        for _ in range(round(seconds / 10)):
            process.stdin.write(block)
        process.stdin.flush()
        peak = _peak(process.pid)
        process.stdin.close()
        while process.poll() is None:
            peak = max(peak, _peak(process.pid))
            time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, peak


def measure_live(python: Path, runtime: str) -> float:
    """Return the processor seconds per hour of a stream in real time, without its start."""
    first, rest = sound(10.0), sound(_LIVE_SECONDS)
    with start(python, runtime, "--quiet") as process:
        assert process.stdin is not None
        process.stdin.write(first)
        used, began = cpu_seconds(process.pid), time.perf_counter()
        process.stdin.write(rest)
        used, took = cpu_seconds(process.pid) - used, time.perf_counter() - began
        process.stdin.close()
    return used * 3600 / took


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 / 1e6 if lines else 0.0


def measure(python: Path, runtime: str, hours: float) -> dict[str, float]:
    """Measure an install once."""
    begun = measure_start(python, runtime)
    short, _ = measure_fast(python, runtime, _WARM)
    long, resident = measure_fast(python, runtime, _WARM + 3600 * hours)
    return {
        "first estimate": begun,
        "resident": resident,
        "CPU": (long - short) / hours,
        "live": measure_live(python, runtime),
    }


def lines(results: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Yield the table's lines: medians, spreads, the ratio and the aim."""
    yield f"{'':16s}{'onnx':>22s}{'torch':>22s}{'onnx / torch':>14s}{'aim (onnx)':>12s}"
    for name in results["onnx"][0]:
        cells, medians = [], []
        for runtime in INSTALLS:
            values = sorted(result[name] for result in results[runtime])
            medians.append(statistics.median(values))
            spread = f" ({values[0]:.2f}–{values[-1]:.2f})" if values[0] != values[-1] else ""
            cells.append(f"{medians[-1]:.2f}{spread}")
        ratio = statistics.median(
            ours[name] / theirs[name] for ours, theirs in zip(results["onnx"], results["torch"], strict=True)
        )
        reached = "reached" if medians[0] < AIMS[name] else "MISSED"
        yield f"{name:16s}{cells[0]:>22s}{cells[1]:>22s}{ratio:14.3f}{f'< {AIMS[name]:g} {reached}':>16s}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken (default 5)")
    parser.add_argument("--hours", type=float, default=0.5, help="of audio whose cost is measured (default 0.5)")
    parser.add_argument("--folder", type=Path, help="where the environments are kept (default: nowhere)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moodring-edge-") as temporary:
        folder = arguments.folder or Path(temporary)
        pythons = {name: make_environment(folder / name, extra) for name, extra in INSTALLS.items()}
        results: dict[str, list[dict[str, float]]] = {name: [] for name in INSTALLS}
        for run in range(arguments.runs + 1):
            for name, python in pythons.items():
                if run == 0:
                    measure_start(python, name)
                    continue
                disk = sum(sizes_of(packages_of(python)).values())
                results[name].append({"disk": disk, **measure(python, name, arguments.hours)})
        for line in lines(results):
            print(line)
        packages = packages_of(pythons["onnx"])
        sizes = sorted(sizes_of(packages).items(), key=lambda item: -item[1])
        print("largest of onnx, MB: " + ", ".join(f"{name} {size:.0f}" for name, size in sizes[:8]))
        compiled = Path(temporary) / "compiled"
        shutil.copytree(packages, compiled, symlinks=True)
        subprocess.run([sys.executable, "-m", "compileall", "-qq", str(compiled)], check=False)
        print(f"disk of onnx with the bytecode of everything: {sum(sizes_of(compiled).values()):.0f} MB")


if __name__ == "__main__":
    main()
