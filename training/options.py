"""Options that several of the training commands share. Importing this module is cheap."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from training.paper.names import FEATURES

Function = TypeVar("Function", bound=Callable[..., Any])

DATA = click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with labelled music (see training/DATA.md).",
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
SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="What everything random follows from.",
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

_SPLIT = (
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
)


def split_options(function: Function) -> Function:
    """Add the options that say which songs are for what."""
    for option in reversed(_SPLIT):
        function = option(function)
    return function
