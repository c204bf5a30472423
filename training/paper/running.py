"""What `moodring train --system` and `moodring evaluate` do for the paper's systems. Parameters are the commands'."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from training.audio import SOUND_FONT
from training.datasets.deam_splits import split
from training.paper.configuration import configure
from training.paper.epoch_log import EpochLog
from training.paper.fitting import Epoch
from training.paper.material import Request, read_division
from training.paper.results import RunResult
from training.paper.runs import Run, describe, summarise
from training.paper.scores import score, yardsticks
from training.paper.songs import Division
from training.paper.streamable import as_checkpoint, is_streamable
from training.paper.system_file import read_system, write_system
from training.paper.systems import train_system
from training.paper.tables import agreement
from training.report import write_json
from training.state import state_beside
from training.tables import DataError
from training.workspace import progress_bar, training_frontend


def make_request(
    folder: Path,
    split_name: str = "mediaeval2015",
    development_ids: Path | None = None,
    evaluation_ids: Path | None = None,
    skip_bad: bool = False,
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
) -> Request:
    """Return what to read, as the command line has it.

    Raises
    ------
    DataError
        If a file of ids is malformed.
    """
    songs = split(split_name, development_ids, evaluation_ids)
    return Request(folder, songs, skip_bad, cache, sound_font or SOUND_FONT, jobs)


def run_system_training(
    request: Request,
    output: Path,
    choices: Mapping[str, Any],
    *,
    name: str,
    seed: int = 0,
    resume: bool = False,
    licence: str = "",
) -> None:
    """Train a system on the development songs, measure it on the evaluation songs, and write it.

    Beside the output, its state after every epoch is kept until it is written (``OUTPUT.state``), and a table of the
    epochs (``OUTPUT.csv``). On Ctrl-C the best epoch of a system of one network is written, and the state kept.

    Raises
    ------
    MoodringError
        If data are missing or malformed, a setting is not allowed, or something cannot be written.
    """
    console = Console()
    state = state_beside(output, resume)
    configuration = configure(choices)
    division = read_division(request, configuration.features, console)
    run = Run(configuration, seed)
    torch.set_num_threads(1)
    started = time.monotonic()
    with progress_bar(console) as progress, EpochLog(output.with_name(f"{output.name}.csv")) as log:
        task = progress.add_task(run.title, total=configuration.epochs)

        def tell(part: str, epoch: Epoch) -> None:
            log.write(part, epoch)
            progress.update(task, completed=epoch.number, description=describe(part, epoch))

        system = train_system(configuration, division.development, seed, state, resume, tell, keep_interrupted=True)
    estimates = system.estimate(division.evaluation)
    result = summarise(run, system, division, estimates, time.monotonic() - started)
    # neither date nor duration: the same run gives the same file
    training = {
        "system": configuration.to_json(),
        "seed": seed,
        "torch": torch.__version__,
        "songs": {"development": len(division.development), "evaluation": len(division.evaluation)},
        "scores": {"validation": result.validation.to_json(), "evaluation": result.evaluation.to_json()},
        "licence": licence,
    }
    if is_streamable(configuration):
        as_checkpoint(system, training_frontend(), name, training, licence).save(output)
    else:
        write_system(output, system, training)
    _show(console, result, division)
    console.print(f"wrote {output}", soft_wrap=True, highlight=False, markup=False)
    if system.interrupted:
        console.print("interrupted: the file holds the best epoch so far; --resume goes on", highlight=False)
    else:
        shutil.rmtree(state, ignore_errors=True)


def run_system_evaluation(path: Path, request: Request, json_path: Path | None = None) -> None:
    """Measure a trained system on the evaluation songs, in sequences as the paper does, and print a table.

    Raises
    ------
    MoodringError
        If the file or the data are missing or malformed, or the figures cannot be written.
    """
    console = Console()
    file = read_system(path)
    torch.set_num_threads(1)
    configuration = file.system.configuration
    division = read_division(request, configuration.features, console)
    columns = division.evaluation[0].inputs.shape[1]
    if columns != len(file.system.components[0].network.input_mean):
        raise DataError(f'"{path}" was trained on other features than these, of {columns} columns')
    scores = score([song.labels for song in division.evaluation], file.system.estimate(division.evaluation))
    run = Run(configuration, int(file.training.get("seed", 0)))
    result = RunResult(
        configuration.system,
        configuration.features,
        run.sequence_length,
        run.seed,
        file.system.parameter_count,
        0,
        0.0,
        scores,
        scores,
    )
    _show(console, result, division)
    if json_path is not None:
        write_json(json_path, {"system": configuration.to_json(), "evaluation": scores.to_json()})


def _show(console: Console, result: RunResult, division: Division) -> None:
    known = yardsticks([s.labels for s in division.development], [s.labels for s in division.evaluation])
    console.print(agreement([result], known).to_rich())
    console.print(f"{result.parameter_count:,} parameters", highlight=False)
