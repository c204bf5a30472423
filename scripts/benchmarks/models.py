"""What a frame of one live stream costs with each model and runtime: features, ear, network, and share of a core.

    python scripts/benchmarks/models.py [--frames 120] [--runs 5] [MODEL ...]

Each frame comes by itself, as it does live, to a stream that has heard a minute; medians of the runs' means.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import statistics
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from model.bundled import BUNDLED, bundled_onnx_path
from model.checkpoint import Checkpoint
from model.estimator import Estimator
from model.loading import ONNX_SUFFIX, RUNTIMES, Runtime, load_model
from streamer.composer import compose


def seconds_per_frame(checkpoint: Estimator, frames: np.ndarray) -> list[float]:
    """Return what a frame takes in the frontend, in the ear and in the network."""
    memory = checkpoint.memory()
    rows = list(checkpoint.features(frames, [memory] * len(frames)))
    spent = np.zeros(3)
    for frame in frames:
        began = time.perf_counter()
        checkpoint.frontend(frame[np.newaxis])
        spent[0] += time.perf_counter() - began
        began = time.perf_counter()
        row = checkpoint.features(frame[np.newaxis], [memory])[0]
        spent[1] += time.perf_counter() - began
        rows.append(row)
        window = np.stack(rows[-checkpoint.history :])[np.newaxis]
        began = time.perf_counter()
        checkpoint.estimate_with_std(window)
        spent[2] += time.perf_counter() - began
    features, both, network = spent / len(frames)
    return [features, max(0.0, both - features), network]


def runtimes(name: str) -> tuple[Runtime, ...]:
    """Return what can compute a model."""
    if name in BUNDLED:
        return RUNTIMES if bundled_onnx_path(name).exists() else ("torch",)
    return ("onnx",) if name.endswith(ONNX_SUFFIX) else ("torch",)


def count_parameters(checkpoint: Checkpoint) -> int:
    """Return how many weights a model has, with those of its ear."""
    modules = [checkpoint.network] if checkpoint.ear is None else [checkpoint.network, checkpoint.ear]
    return sum(weights.numel() for module in modules for weights in module.parameters())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=BUNDLED, help="checkpoints (default: the bundled ones)")
    parser.add_argument("--frames", type=int, default=120, help="frames per run (default 120)")
    parser.add_argument("--runs", type=int, default=5, help="runs of which the median is taken (default 5)")
    arguments = parser.parse_args()
    table = Table("model", "runtime", "parameters", "features", "ear", "network", "together", "share of a core")
    for name, runtime in ((model, one) for model in arguments.models for one in runtimes(model)):
        checkpoint = load_model(name, runtime)
        checkpoint.use_one_thread()
        p = checkpoint.frontend.parameters
        piece = compose(p.sample_rate).mean(axis=1, dtype=np.float32)
        count = len(piece) // p.frame_length
        frames = np.resize(piece[: count * p.frame_length].reshape(count, -1), (arguments.frames, p.frame_length))
        runs = [seconds_per_frame(checkpoint, frames) for _ in range(arguments.runs)]
        costs = [statistics.median(run[part] for run in runs) for part in range(3)]
        parameters = f"{count_parameters(checkpoint):,}" if isinstance(checkpoint, Checkpoint) else ""
        table.add_row(
            checkpoint.name,
            checkpoint.runtime,
            parameters,
            *(f"{1000 * cost:.2f} ms" for cost in (*costs, sum(costs))),
            f"{sum(costs) / p.frame_duration:.1%}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
