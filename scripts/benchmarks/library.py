"""How long a folder takes to annotate, beside the least that it could take; and its memory.

The floor decodes every file, resamples it, and computes the same FFTs and filterbank products in one batched call per
file, on as many processes; beside it stands the same with 32 frames per call, which fit into the cache. Each figure is
the least of several runs, floors and command in turn: seconds, and CPU-seconds of all processes, which other programs
disturb less. What the command takes for files of one second, mostly imports, is said apart. Memory is the
largest sum, over the command and its processes, of what each has for itself and its share of what it has in common with
others (Linux: PSS).

    python scripts/benchmarks/library.py [--files 24] [--minutes 4] [--jobs 1 2] [--runs 3]
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import multiprocessing
import multiprocessing.pool
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr

from model.ear import FFT_HOP, FFT_WINDOW, MEL_BANDS
from model.features import periodic_hann
from model.loading import load_model
from model.note_spectrum import NoteSpectrum
from streamer.composer import compose

MOODRING = [sys.executable, "-m", "streamer.cli"]
ENDINGS = ("flac", "mp3", "ogg", "wav")
_LOOK_EVERY = 0.05
_FRAMES_AT_ONCE = 32


def write_library(folder: Path, files: int, minutes: float) -> float:
    """Write variations of the demo piece in several formats; return how many seconds they are in all."""
    folder.mkdir()
    piece = compose()
    for number in range(files):
        song = np.roll(piece, number * 44100 * 3, axis=0)
        with soundfile.SoundFile(folder / f"{number:04d}.{ENDINGS[number % len(ENDINGS)]}", "w", 44100, 2) as file:
            for _ in range(round(minutes * 6)):
                file.write(song[: 44100 * 10])
                song = np.roll(song, -44100 * 10, axis=0)
    return files * round(minutes * 6) * 10.0


class Floor:
    """The least work that a file takes."""

    def __init__(self) -> None:
        frontend = load_model().frontend
        self.parameters = frontend.parameters
        self.mel = np.ascontiguousarray(frontend.mel_filterbank.T)
        self.notes = NoteSpectrum(self.parameters.frame_length, self.parameters.sample_rate)
        self.ear = np.ones((FFT_WINDOW // 2 + 1, MEL_BANDS), np.float32)
        self.tapers = [periodic_hann(n) for n in (self.parameters.fft_window, self.parameters.frame_length, FFT_WINDOW)]

    def __call__(self, path: Path, frames_at_once: int | None) -> None:
        """Decode, resample and transform a file."""
        p = self.parameters
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate, p.sample_rate, "HQ")
        frames = mono[: len(mono) // p.frame_length * p.frame_length].reshape(-1, p.frame_length)
        for start in range(0, len(frames), frames_at_once or len(frames)):
            self._transform(frames[start : start + (frames_at_once or len(frames))])

    def _transform(self, frames: np.ndarray) -> None:
        p = self.parameters
        columns = np.lib.stride_tricks.sliding_window_view(frames, p.fft_window, axis=1)[:, :: p.fft_hop]
        np.matmul(_power(columns * self.tapers[0]), self.mel)
        self.notes.bands(_power(frames * self.tapers[1]))
        columns = np.lib.stride_tricks.sliding_window_view(frames, FFT_WINDOW, axis=1)[:, ::FFT_HOP]
        np.matmul(_power(columns * self.tapers[2]), self.ear)


def _power(tapered: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(tapered)
    return spectrum.real**2 + spectrum.imag**2


_floor: Floor


def _start_floor() -> None:
    global _floor
    _floor = Floor()


def _take_floor(work: tuple[Path, int | None]) -> float:
    began = time.process_time()
    _floor(*work)
    return time.process_time() - began


def run_floor(pool: multiprocessing.pool.Pool, folder: Path, frames_at_once: int | None) -> tuple[float, float]:
    """Return the seconds, and the CPU-seconds, that the floor takes in processes that are ready."""
    began = time.perf_counter()
    cpu = sum(pool.imap_unordered(_take_floor, [(path, frames_at_once) for path in sorted(folder.iterdir())]))
    return time.perf_counter() - began, cpu


def annotate(path: Path, jobs: int, folder: Path, look: bool = False) -> tuple[float, float, float]:
    """Run the command; return its seconds, CPU-seconds, and its peak memory in MB if it shall be looked at."""
    began, cpu_before = time.perf_counter(), _cpu_of_children()
    command = [*MOODRING, "annotate", str(path), "-o", str(folder / "out.csv"), "--quiet", "--jobs", str(jobs)]
    process = subprocess.Popen(command)
    peak = 0.0
    while look and process.poll() is None:
        peak = max(peak, sum(map(_memory, [process.pid, *_children(process.pid)])))
        time.sleep(_LOOK_EVERY)
    assert process.wait() == 0
    return time.perf_counter() - began, _cpu_of_children() - cpu_before, peak


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    except (OSError, StopIteration):
        return 0.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=24, help="files in the folder (default 24)")
    parser.add_argument("--minutes", type=float, default=4.0, help="length of each (default 4)")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="processes (default 1 and 2)")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the quickest counts (default 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = write_library(folder / "library", arguments.files, arguments.minutes)
        write_library(folder / "few", 4, arguments.minutes)
        write_library(folder / "long", 4, arguments.minutes * 3)
        second = folder / "second"
        second.mkdir()
        for number in range(4):
            soundfile.write(second / f"{number}.wav", compose()[:44100], 44100)
        print(f"{arguments.files} files of {arguments.minutes:g} minutes, {seconds / 3600:.1f} hours in all")
        quickest = {}
        for jobs in arguments.jobs:
            times: dict[str, list[tuple[float, ...]]] = {name: [] for name in ("floor", "cached", "start", "whole")}
            with multiprocessing.get_context("spawn").Pool(jobs, _start_floor) as pool:
                run_floor(pool, second, None)
                for _ in range(arguments.runs):
                    times["floor"].append(run_floor(pool, folder / "library", None))
                    times["cached"].append(run_floor(pool, folder / "library", _FRAMES_AT_ONCE))
                    times["start"].append(annotate(second, jobs, folder))
                    times["whole"].append(annotate(folder / "library", jobs, folder))
            least = {name: [min(column) for column in zip(*runs, strict=True)] for name, runs in times.items()}
            quickest[jobs] = least["whole"][0]
            print(f"  {jobs} jobs, {seconds / quickest[jobs]:.0f} x real time:")
            for place, unit in enumerate(("s", "CPU-s")):
                floor, cached, start, whole = (least[name][place] for name in ("floor", "cached", "start", "whole"))
                print(
                    f"    floor {floor:.1f} {unit} ({cached:.1f} in the cache), annotate {whole:.1f} of which "
                    f"{start:.1f} to start: {(whole - start) / floor:.2f} x the floor once started "
                    f"({(whole - start) / cached:.2f} x), {whole / floor:.2f} x in all ({whole / cached:.2f} x)"
                )
        base = arguments.jobs[0]
        for jobs in arguments.jobs[1:]:
            print(f"  {jobs} jobs: {quickest[base] / quickest[jobs]:.2f} x as fast as {base}")
        for jobs in arguments.jobs:
            peaks = [annotate(folder / which, jobs, folder, look=True)[2] for which in ("few", "library", "long")]
            print(
                f"  {jobs} jobs: peak memory {peaks[0]:.0f} MB for 4 files, {peaks[1]:.0f} MB for {arguments.files}, "
                f"{peaks[2]:.0f} MB for 4 that are three times as long"
            )


if __name__ == "__main__":
    main()
