"""What an archive costs: the processor's time and the storage per hour of MP3, by one process and by Ray.

Both track the same files, MP3 at a constant 192 kbit/s, one at a time, in turn; the rows are compared. Files of one
second, mostly start, are tracked by each as well and taken off. CPU-seconds are those of all processes, a cluster's
own included, looked at until they end (Linux). The files are copies, which pack well in one Parquet file together;
of the archive's, each has the rows of one track, so that its size is an upper bound.

    python scripts/benchmarks/archive.py [--files 16] [--minutes 4] [--runs 2]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import soundfile
from process_usage import cpu_seconds

from streamer.composer import compose

MOODRING = [sys.executable, "-m", "streamer.cli"]
RATE = 44100
SETTING_OF_192_KBIT = 0.44
_LOOK_EVERY = 0.1
ENGINES = {"one process": ["--jobs", "1"], "Ray, one processor": ["--engine", "ray", "--jobs", "1"]}


def write_music(folder: Path, files: int, seconds: int) -> None:
    """Write the demo piece as often as it takes, and copies of that: encoding takes longer than tracking."""
    folder.mkdir()
    piece = compose()
    song = np.tile(piece, (seconds * RATE // len(piece) + 1, 1))[: seconds * RATE]
    first = folder / "0000.mp3"
    soundfile.write(first, song, RATE, bitrate_mode="CONSTANT", compression_level=SETTING_OF_192_KBIT)
    for number in range(1, files):
        shutil.copyfile(first, folder / f"{number:04d}.mp3")


def annotate(music: Path, output: Path, options: list[str]) -> tuple[float, float]:
    """Run the command; return its seconds and CPU-seconds."""
    began = time.perf_counter()
    run = subprocess.Popen([*MOODRING, "annotate", music, "-o", output, "--quiet", "--restart", *options])
    used: dict[int, float] = {}
    while run.poll() is None:
        for pid in below(run.pid):
            with suppress(OSError, IndexError):
                used[pid] = cpu_seconds(pid)
        time.sleep(_LOOK_EVERY)
    assert run.returncode == 0
    return time.perf_counter() - began, sum(used.values())


def below(pid: int) -> list[int]:
    """Return a process and all that it started, and these."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=16, help="files (default 16)")
    parser.add_argument("--minutes", type=int, default=4, help="length of each (default 4)")
    parser.add_argument("--runs", type=int, default=2, help="runs of which the least counts (default 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_music(folder / "music", arguments.files, arguments.minutes * 60)
        write_music(folder / "second", 2, 1)
        hours = arguments.files * arguments.minutes / 60
        stored = sum(file.stat().st_size for file in (folder / "music").iterdir())
        print(f"{arguments.files} files of {arguments.minutes} minutes, {stored / hours / 1e6:.1f} MB an hour of audio")
        outputs = dict(zip(ENGINES, (folder / "mood.parquet", folder / "archive"), strict=True))
        costs: dict[str, list[tuple[float, float, float, float]]] = {engine: [] for engine in ENGINES}
        for _ in range(arguments.runs):
            for engine, options in ENGINES.items():
                start = annotate(folder / "second", outputs[engine], options)
                costs[engine].append((*start, *annotate(folder / "music", outputs[engine], options)))
        for engine, runs in costs.items():
            start_s, start_cpu, all_s, all_cpu = (min(column) for column in zip(*runs, strict=True))
            print(
                f"  {engine}: {(all_cpu - start_cpu) / hours:.2f} CPU-s an hour of audio and {start_cpu:.1f} to start; "
                f"{all_s:.1f} s, {start_s:.1f} to start"
            )
        order = [("file", "ascending"), ("position", "ascending")]
        whole = pyarrow.parquet.read_table(outputs["one process"]).sort_by(order)
        archive = pyarrow.dataset.dataset(folder / "archive" / "rows", partitioning="hive").to_table()
        assert archive.drop_columns(["part"]).sort_by(order).equals(whole)
        files = list((folder / "archive").rglob("*.parquet"))
        print(
            f"  rows equal; {whole.num_rows / hours:.0f} rows an hour of audio; Parquet an hour of audio: "
            f"{outputs['one process'].stat().st_size / hours / 1e3:.0f} kB in one file, "
            f"{sum(file.stat().st_size for file in files) / hours / 1e3:.0f} kB in the archive's {len(files)}"
        )


if __name__ == "__main__":
    main()
