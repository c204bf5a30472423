"""Options that several of the training commands share. Importing this module is cheap."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from training.paper.names import FEATURES

DATA = click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with labelled music (see training/DATA.md).",
)
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="What everything random follows from.",
)


def rooms(where: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option that says in how many rooms music is heard; `where` it counts begins its help."""
    return click.option(
        "--rooms",
        type=click.IntRange(0, 1000),
        help=f"{where}hear each clip in one of so many simulated rooms, amid noise, too, so that microphones' sound is "
        "known; 0 for none.  [default: the recipe's]",
    )


def unlabelled(where: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option that says where music without labels is; `where` it counts begins its help."""
    return click.option(
        "--unlabelled",
        type=click.Path(path_type=Path),
        help=f"{where}folder with more music to distil the ear from; needs no labels.",
    )


FEATURES_OPTION = click.option(
    "--features",
    type=click.Choice(FEATURES),
    help="logmel: log-mel energies; opensmile: the paper's 260 baseline features (from DEAM's own tables, or with the "
    "package opensmile, which is for non-commercial use only).",
)
SEQUENCE_LENGTH = click.option(
    "--sequence-length",
    type=click.IntRange(2, 600),
    help="Frames of 500 ms that a network hears at once.  [default: 10]",
)
EPOCHS = click.option("--epochs", type=click.IntRange(min=1), help="At most so many.  [default: 150]")
CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with any settings of a system; options on the command line take precedence.",
)
CACHE = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder for features.  [default: $MOODRING_CACHE, $XDG_CACHE_HOME/moodring or ~/.cache/moodring]",
)
SOUND_FONT = click.option(
    "--sound-font", type=click.Path(path_type=Path), help="What MIDI is rendered with.  [default: FluidR3_GM.sf2]"
)
JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one per core",
    help="Processes at work at the same time.",
)

_MATERIAL = (
    click.option(
        "--split",
        "split_name",
        type=click.Choice(["mediaeval2015", "deam"]),
        default="mediaeval2015",
        show_default=True,
        help="For DEAM: development on the 431 excerpts of MediaEval 2015 or on all excerpts; evaluation on 2001-2058.",
    ),
    click.option(
        "--development-ids",
        type=click.Path(path_type=Path),
        help="For DEAM: file with the development songs, one id per line.",
    ),
    click.option(
        "--evaluation-ids",
        type=click.Path(path_type=Path),
        help="For DEAM: file with the evaluation songs, one id per line.",
    ),
    click.option("--skip-bad", is_flag=True, help="Go on without the songs that something is wrong with."),
    CACHE,
    SOUND_FONT,
    JOBS,
)

_REPORT = (
    click.option("--json", type=click.Path(path_type=Path), help="Write the figures to this file, too."),
    click.option(
        "--plots",
        type=click.Path(path_type=Path, file_okay=False),
        help="Draw scatter plots, the best and worst songs, errors by genre, accuracy by lag and reliability (with "
        "--learning-curve: that) into this folder.",
    ),
    click.option("--markdown", type=click.Path(path_type=Path), help="Write tables with 95 % intervals to this file."),
    click.option(
        "--tracks",
        type=click.Path(path_type=Path),
        help="Keep what is said of every clip in this file (.safetensors); a cross-validation that finds it there "
        "measures it instead of training.",
    ),
    click.option(
        "--against",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Compare with these tracks of another model or program, song by song.",
    ),
    click.option(
        "--allowance",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="How far below the goals figures may stay: 0.05 for the small default model.",
    ),
)
_REPORT_NAMES = ("tracks", "against", "plots", "markdown", "json", "allowance")


@dataclass(frozen=True)
class MaterialOptions:
    """What all training commands have in common: which songs are for what, and where their features come from.

    Attributes
    ----------
    split_name : str
        A built-in split of DEAM.
    development_ids, evaluation_ids : Path or None
        Files of ids that take the place of its parts.
    skip_bad : bool
        Go on without the songs that something is wrong with.
    cache, sound_font : Path or None
        Folder for features, and what MIDI is rendered with; the usual ones if None.
    jobs : int
        Processes at work at the same time.
    """

    split_name: str
    development_ids: Path | None
    evaluation_ids: Path | None
    skip_bad: bool
    cache: Path | None
    sound_font: Path | None
    jobs: int


def material_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `MaterialOptions` to a command, which gets them as its first argument."""

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        material = MaterialOptions(**{field.name: arguments.pop(field.name) for field in fields(MaterialOptions)})
        command(material, **arguments)

    for option in reversed(_MATERIAL):
        wrapper = option(wrapper)
    return wrapper


def report_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `training.cross_running.ReportOptions` to a command, which gets them as ``report``."""

    @wraps(command)
    def wrapper(*material: MaterialOptions, **arguments: Any) -> None:
        from training.cross_running import ReportOptions

        report = ReportOptions(**{name: arguments.pop(name) for name in _REPORT_NAMES})
        command(*material, report=report, **arguments)

    for option in reversed(_REPORT):
        wrapper = option(wrapper)
    return wrapper
