"""The commands `moodring train` and `moodring evaluate`. Importing this module is cheap; running a command is not."""

from __future__ import annotations

import os
from pathlib import Path

import click

_DATA = click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with any of vgmidi, emomusic, emotify, 4q, emopia, or your own music (see training/DATA.md).",
)
_CACHE = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder for features.  [default: $MOODRING_CACHE, $XDG_CACHE_HOME/moodring or ~/.cache/moodring]",
)
_SOUND_FONT = click.option(
    "--sound-font", type=click.Path(path_type=Path), help="What MIDI is rendered with.  [default: FluidR3_GM.sf2]"
)
_JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one per core",
    help="Processes that compute features.",
)


@click.command()
@_DATA
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Checkpoint to write (.safetensors)."
)
@click.option("--name", help="Name of the model, which its estimates carry.  [default: the output's, less its suffix]")
@click.option(
    "--window", type=click.IntRange(2, 600), default=20, show_default=True, help="Frames the network hears at once."
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of training.  [default: the recipe's]")
@click.option("--seed", type=int, default=0, show_default=True, help="What everything random follows from.")
@click.option(
    "--validation-fold",
    type=click.IntRange(1, 4),
    help="Hold this fold of the development clips out too, and measure on it instead of on the evaluation clips: "
    "for making choices.",
)
@click.option("--licence", default="", help="Terms of use to note in the checkpoint.")
@_CACHE
@_SOUND_FONT
@_JOBS
def train(
    folder: Path,
    output: Path,
    name: str | None,
    window: int,
    steps: int | None,
    seed: int,
    validation_fold: int | None,
    licence: str,
    cache: Path | None,
    sound_font: Path | None,
    jobs: int,
) -> None:
    """Train a network on labelled music, measure it, and write a checkpoint.

    The defaults are the recipe of the checkpoint that moodring ships.
    """
    from training.running import run_training

    run_training(
        folder,
        output,
        name=name or output.stem,
        window=window,
        steps=steps,
        seed=seed,
        validation_fold=validation_fold,
        licence=licence,
        cache=cache,
        sound_font=sound_font,
        jobs=jobs,
    )


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@_DATA
@click.option(
    "--lag",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Describe the moment that lies so far back.",
)
@click.option("--baseline", is_flag=True, help="Also fit and measure a linear model on the development clips.")
@click.option(
    "--worst", type=click.IntRange(min=0), default=0, help="Also list so many clips per data set, worst first."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
@_CACHE
@_SOUND_FONT
@_JOBS
def evaluate(
    checkpoint: Path | None,
    folder: Path,
    lag: float,
    baseline: bool,
    worst: int,
    json_path: Path | None,
    cache: Path | None,
    sound_font: Path | None,
    jobs: int,
) -> None:
    """Measure CHECKPOINT (or the one that moodring ships) on the held-out clips of labelled music."""
    from training.running import run_evaluation

    run_evaluation(
        checkpoint,
        folder,
        lag=lag,
        baseline=baseline,
        worst=worst,
        json_path=json_path,
        cache=cache,
        sound_font=sound_font,
        jobs=jobs,
    )
