"""How long a step of training takes on one process and on several, on music that is made up, with the recipe's batch.

Numbers of processes take turns, several times; each figure is the median of a run's steps, without the first ones, and
of the runs the least. CPU-seconds, which other programs disturb less, are the first process's: what it still has to do
itself. Beside them stands how far the losses differ.

    python scripts/benchmarks/training_processes.py [--processes 1 2] [--steps 30] [--runs 3]
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.features import FeatureParameters, FloatArray
from training.clips import DEVELOPMENT, Clip, SignLabels, StaticLabels
from training.launching import training_group
from training.recipe import Recipe, default_network
from training.sampling import WindowSampler
from training.trainer import train

FIRST_STEPS = 5
"""Memory and connections are set up in these."""
CLIPS, FRAMES = 60, 120
EAR_COLUMNS = 250


def sampler(signs: bool, seed: int) -> WindowSampler:
    """Return a sampler of clips of a minute that sound like noise."""
    parameters = FeatureParameters()
    random = np.random.default_rng(seed)
    columns = parameters.feature_count + EAR_COLUMNS
    features: list[FloatArray] = [random.normal(-40, 10, (FRAMES, columns)).astype(np.float32) for _ in range(CLIPS)]
    values = random.uniform(-1, 1, (CLIPS, 2))
    labels = [
        SignLabels(1 if v > 0 else -1, 1 if a > 0 else -1) if signs else StaticLabels(float(v), float(a))
        for v, a in values
    ]
    clips = [Clip("noise", str(i), str(i), Path(f"{i}.wav"), DEVELOPMENT, label) for i, label in enumerate(labels)]
    return WindowSampler(clips, features, parameters.frame_duration)


def run(processes: int, recipe: Recipe) -> tuple[float, float, list[float]]:
    """Train; return seconds and CPU-seconds of this process per step, and the losses."""
    samplers = {name: sampler(name in ("4q", "emopia"), i) for i, name in enumerate(recipe.windows_per_step)}
    moments: list[tuple[float, float]] = []
    losses = []

    def stepped(step: int, loss: float) -> None:
        moments.append((time.perf_counter(), time.process_time()))
        losses.append(loss)

    with training_group(processes) as group:
        network = default_network(ear_columns=EAR_COLUMNS)
        train(samplers, FeatureParameters(), network, recipe, 0, stepped, not_music=sampler(False, 99), group=group)
    steps = np.diff(moments[FIRST_STEPS:], axis=0)
    return statistics.median(steps[:, 0].tolist()), statistics.median(steps[:, 1].tolist()), losses


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.steps < FIRST_STEPS + 2:
        parser.error(f"--steps must be {FIRST_STEPS + 2} at least")
    torch.set_num_threads(1)
    recipe = replace(Recipe(), steps=options.steps)
    seconds: dict[int, list[float]] = {count: [] for count in options.processes}
    worked: dict[int, list[float]] = {count: [] for count in options.processes}
    curves = {}
    for _ in range(options.runs):
        for count in options.processes:
            taken, cpu, curves[count] = run(count, recipe)
            seconds[count].append(taken)
            worked[count].append(cpu)
    first = options.processes[0]
    windows = sum(recipe.windows_per_step.values()) + recipe.not_music_windows
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{windows} windows a step, {os.cpu_count()} cores, load {load:.1f}")
    print(f"processes  s per step  of {first}'s  CPU s of the first  of {first}'s  losses differ by, relatively")
    for count in options.processes:
        difference = max(abs(a - b) / abs(b) for a, b in zip(curves[count], curves[first], strict=True))
        least, work = min(seconds[count]), min(worked[count])
        shares = least / min(seconds[first]), work / min(worked[first])
        print(f"{count:9}  {least:10.3f}  {shares[0]:6.2f}  {work:18.3f}  {shares[1]:6.2f}  {difference:.1e}")


if __name__ == "__main__":
    main()
