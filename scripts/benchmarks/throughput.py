"""How fast whole files are annotated, and that memory does not grow with their length.

Annotates a 10-minute file in this process, once loaded, several times: medians, and the shares of decoding,
resampling and framing, features, and network. Then runs ``moodring annotate`` on a short and a long file in processes
of their own and compares their peak memory.

    python scripts/benchmarks/throughput.py [--runs 5] [--hours 3]
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from model.estimator import Estimator
from model.loading import load_model
from streamer.audio_file import AudioFile
from streamer.composer import compose
from streamer.framer import Framer, frames_of
from streamer.offline import track

MOODRING = [str(Path(sys.executable).with_name("moodring"))]


def write(path: Path, seconds: float) -> Path:
    """Write the demo piece again and again until the file is so long."""
    piece = compose()
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for _ in range(round(seconds / 60)):
            file.write(piece)
    return path


def median_time(function: Callable[[], object], runs: int) -> float:
    """Return the median duration in seconds."""
    durations = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def peak_memory(path: Path, folder: Path) -> float:
    """Annotate a file in a process of its own; give its peak resident memory in MB."""
    process = subprocess.Popen([*MOODRING, "annotate", str(path), "-o", str(folder / "out.csv"), "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / 1024


def hear(checkpoint: Estimator, samples: np.ndarray) -> None:
    """Compute the features of a stream's frames, a twentieth of them at once."""
    memory = checkpoint.memory()
    for part in np.array_split(samples, 20):
        checkpoint.features(part, [memory] * len(part))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median is taken (default 5)")
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long file (default 3)")
    arguments = parser.parse_args()
    checkpoint = load_model()
    checkpoint.use_one_thread()
    parameters = checkpoint.frontend.parameters
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("10 minutes, 44.1 kHz stereo, one thread:")
        for ending in ("wav", "flac", "mp3"):
            path = write(folder / f"ten.{ending}", 600)

            def annotate(path: Path = path) -> int:
                return len(list(track(AudioFile(path), Framer(44100, parameters), checkpoint, "a")))

            def decode(path: Path = path) -> int:
                return sum(len(block.samples) for block in AudioFile(path).blocks())

            def frame(path: Path = path) -> int:
                return sum(1 for _ in frames_of(AudioFile(path), Framer(44100, parameters)))

            samples = np.stack([f.samples for f in frames_of(AudioFile(path), Framer(44100, parameters))])
            whole, decoding, framing, features = (
                median_time(function, arguments.runs)
                for function in (
                    annotate,
                    decode,
                    frame,
                    lambda samples=samples: hear(checkpoint, samples),
                )
            )
            print(
                f"  {ending:5s} {600 / whole:5.0f} x real time: decoding {decoding / whole:4.0%}, "
                f"resampling and framing {(framing - decoding) / whole:4.0%}, features {features / whole:4.0%}, "
                f"network and the rest {(whole - framing - features) / whole:4.0%}"
            )
        short = peak_memory(write(folder / "short.flac", 180), folder)
        long = peak_memory(write(folder / "long.flac", arguments.hours * 3600), folder)
        print(f"peak memory: {short:.0f} MB for 3 minutes, {long:.0f} MB for {arguments.hours:g} hours")


if __name__ == "__main__":
    main()
