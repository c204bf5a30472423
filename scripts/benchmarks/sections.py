"""How well a report's sections find the joins of medleys, for several values of what counts as like mood.

    python scripts/benchmarks/sections.py --data FOLDER [--medleys 8] [--clips 12]

FOLDER holds 4Q, as training/DATA.md has it: thirty-second clips of recordings, each with its quadrant; the bundled
models were trained on most of them. A medley is a
row of clips whose quadrants differ from one to the next. A join counts as found if a section begins within
`BEFORE` seconds before and `AFTER` after it, one section for each; a real one is a join at which the mean of the
settled estimates moves by 0.2 or more. All other beginnings of sections are extra. Joins and extra ones are counted
over all medleys; the delay is the median of those found.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import csv
import random
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from rich.console import Console
from rich.table import Table

from model.estimator import Estimator
from model.loading import load_model
from streamer.report import sections
from streamer.report.curve import Curve, hear_file

RATE = 22050
BEFORE, AFTER = 4.0, 16.0
REAL = 0.2
VALUES = (0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2)


class Medley(NamedTuple):
    """What was heard of a medley, its length, its joins in seconds, and how far the mood moves at each."""

    curve: Curve
    duration: float
    joins: list[float]
    moves: list[float]


def make_medley(data: Path, clips: int, seed: int, model: Estimator) -> Medley:
    """Join clips at random and track them."""
    rows = list(csv.DictReader((data / "labels.csv").open(encoding="utf-8")))
    choice = random.Random(seed)
    parts: list[np.ndarray] = []
    quadrant = ""
    while len(parts) < clips:
        row = choice.choice(rows)
        path = next((data / "audio").glob(f"{row['clip']}.*"), None)
        if path is None or row["quadrant"] == quadrant:
            continue
        quadrant = row["quadrant"]
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        parts.append(soxr.resample(samples.mean(axis=1), rate, RATE))
    joins = np.cumsum([len(part) / RATE for part in parts])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "medley.wav")
        soundfile.write(path, np.concatenate(parts), RATE)
        heard = hear_file(str(path), model)
    curve = heard.curve
    means = [_mean(curve, end - 18, end - 2) for end in joins]
    moves = [float(np.hypot(*(one - other))) for one, other in pairwise(means)]
    return Medley(curve, heard.duration, joins[:-1].tolist(), moves)


def _mean(curve: Curve, begin: float, end: float) -> np.ndarray:
    part = slice(curve.index(begin), curve.index(end))
    return np.array([np.nanmean(curve.valence[part]), np.nanmean(curve.arousal[part])])


def count(medleys: list[Medley], like: float) -> tuple[int, int, int, int, int, float]:
    """Return real joins found, real joins, others found, others, extra beginnings, and the median delay."""
    sections.LIKE = like  # type: ignore[misc]
    found = {True: 0, False: 0}
    joins = {True: 0, False: 0}
    extra = 0
    delays = []
    for medley in medleys:
        begins = [one.start for one in sections.find_sections(medley.curve, medley.duration)[1:]]
        for join, move in zip(medley.joins, medley.moves, strict=True):
            near = [begin for begin in begins if -BEFORE <= begin - join <= AFTER]
            joins[move >= REAL] += 1
            if near:
                begins.remove(near[0])
                found[move >= REAL] += 1
                delays.append(near[0] - join)
        extra += len(begins)
    delay = statistics.median(delays) if delays else float("nan")
    return found[True], joins[True], found[False], joins[False], extra, delay


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of 4Q")
    parser.add_argument("--medleys", type=int, default=8)
    parser.add_argument("--clips", type=int, default=12)
    arguments = parser.parse_args()
    model = load_model()
    used = sections.LIKE
    medleys = [make_medley(arguments.data, arguments.clips, seed, model) for seed in range(arguments.medleys)]
    table = Table(
        title=f"{len(medleys)} medleys of {arguments.clips} clips; reports use {used:g}", title_justify="left"
    )
    for heading in ("like mood", "real joins found", "others found", "extra", "delay"):
        table.add_column(heading, justify="right")
    for like in VALUES:
        real, reals, other, others, extra, delay = count(medleys, like)
        table.add_row(f"{like:g}", f"{real} of {reals}", f"{other} of {others}", str(extra), f"{delay:.1f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
