"""Networks trained on more and more of the development songs, and what each of them reaches on held-out clips."""

from __future__ import annotations

import concurrent.futures
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from rich.console import Console

from model.checkpoint import load_checkpoint
from model.network import NetworkParameters
from training.air_features import rooms_of_each
from training.audio import SOUND_FONT
from training.clips import DEVELOPMENT, EVALUATION, Clip
from training.cross_running import ReportOptions
from training.curve_plots import learning_figure
from training.drawing import make_folder, save_figure
from training.feature_cache import FeatureCache, default_folder
from training.figures.learning import CurvePoint, learning_layouts
from training.figures.measuring import measure
from training.figures.report import write_markdown
from training.held_out import Material
from training.processes import worker_pool
from training.recipe import Recipe, adapted_recipe
from training.report import write_json
from training.tables import DataError
from training.tracks import Tracks
from training.trainer import train
from training.workspace import Workspace, progress_bar, room_cache

SHARES = (Fraction(1, 8), Fraction(1, 4), Fraction(1, 2), Fraction(1))
"""Of every data set's development songs."""

Groups = dict[str, frozenset[str]]
"""Data set to groups of clips."""


def draw_groups(clips: Mapping[str, Sequence[Clip]], share: Fraction, seed: int) -> Groups:
    """Draw a share of every data set's development groups.

    Parameters
    ----------
    clips : mapping
        Clips by data set.
    share : Fraction
        At most 1; at least one group of each data set is drawn.
    seed : int
        A larger share with the same seed has all groups of a smaller one.

    Returns
    -------
    dict
        Groups by data set, without those that have no development clips.
    """
    drawn = {}
    for name, of_set in clips.items():

        def place(group: str, name: str = name) -> bytes:
            return hashlib.sha256(f"{seed}/{name}/{group}".encode()).digest()

        if groups := sorted({clip.group for clip in of_set if clip.part == DEVELOPMENT}, key=place):
            drawn[name] = frozenset(groups[: max(math.ceil(share * len(groups)), 1)])
    return drawn


def learning_curve(
    material: Material,
    network: NetworkParameters,
    recipe: Recipe,
    seed: int = 0,
    jobs: int = 1,
    advanced: Callable[[int], None] = lambda steps: None,
) -> list[CurvePoint]:
    """Train a network on each of `SHARES` of the songs, and measure it on the held-out clips.

    Parameters
    ----------
    material : Material
    network : NetworkParameters
    recipe : Recipe
    seed : int
        Of the draw of songs and of every training.
    jobs : int
        Trainings at the same time.
    advanced : callable
        Called with the number of steps that were taken since the last call.

    Returns
    -------
    list of CurvePoint
        In the order of `SHARES`.

    Raises
    ------
    DataError
        If there is nothing to train on, or a data set's clips are too short.
    """
    trained_on = {name: material.clips.get(name, []) for name, count in recipe.windows_per_step.items() if count > 0}
    drawn = [draw_groups(trained_on, share, seed) for share in SHARES]
    if jobs > 1:
        tracks: dict[int, Tracks] = {}
        arguments = material, network, recipe, seed
        with worker_pool(min(jobs, len(SHARES)), "trains a network", _start_worker, *arguments) as pool:
            futures = {pool.submit(_work, groups): i for i, groups in enumerate(drawn)}
            for future in concurrent.futures.as_completed(futures):
                tracks[futures[future]] = future.result()
                advanced(recipe.steps)
    else:
        tracks = {
            i: _held_out_tracks(material, network, recipe, seed, groups, lambda step, loss: advanced(1))
            for i, groups in enumerate(drawn)
        }
    return [
        CurvePoint(share, {name: len(some) for name, some in groups.items()}, measure(tracks[i], material.clips))
        for i, (share, groups) in enumerate(zip(SHARES, drawn, strict=True))
    ]


def _held_out_tracks(
    material: Material,
    network: NetworkParameters,
    recipe: Recipe,
    seed: int,
    groups: Groups,
    stepped: Callable[[int, float], None] = lambda step, loss: None,
) -> Tracks:
    samplers = material.samplers(
        list(groups),
        lambda clip: clip.part == DEVELOPMENT and clip.group in groups[clip.dataset],
        recipe.room_share,
    )
    trained = train(samplers, material.parameters, network, recipe, seed, stepped=stepped, not_music=material.not_music)
    return material.tracks(trained, lambda clip: clip.part == EVALUATION)


def run_learning_curve(
    path: Path | None,
    folder: Path,
    options: ReportOptions,
    *,
    steps: int | None = None,
    rooms: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
) -> None:
    """Train a checkpoint's network anew on more and more songs, show what each reaches, and write what is asked for.

    The checkpoint's ear, if it has one, stays as it is.

    Raises
    ------
    MoodringError
        If data or the checkpoint are missing or malformed, or something cannot be written.
    """
    options.check()
    console = Console()
    checkpoint = load_checkpoint(path)
    workspace = Workspace.open(folder, jobs, console)
    if not any(clip.part == EVALUATION for clips in workspace.clips.values() for clip in clips):
        raise DataError(f'"{folder}" has no held-out clips')
    recipe = adapted_recipe(steps, rooms)
    network = checkpoint.network.network_parameters
    where, frontend, font = cache or default_folder(), checkpoint.frontend, sound_font or SOUND_FONT
    material = workspace.material(
        FeatureCache(where, frontend, font, checkpoint.ear),
        network.window,
        rooms=room_cache(where, frontend, rooms_of_each(recipe.rooms), font, checkpoint.ear),
        trained_on=lambda clip: clip.part == DEVELOPMENT and recipe.windows_per_step.get(clip.dataset, 0) > 0,
    )
    torch.set_num_threads(1)
    with progress_bar(console) as progress:
        task = progress.add_task("training on more and more songs", total=len(SHARES) * recipe.steps)
        points = learning_curve(material, network, recipe, seed, jobs, lambda count: progress.advance(task, count))
    tables = learning_layouts(points)
    for table in tables:
        console.print(table.to_rich())
    if options.markdown is not None:
        write_markdown(options.markdown, tables)
    if options.json is not None:
        content = {"model": checkpoint.name, "recipe": recipe.to_json(), "seed": seed}
        write_json(options.json, {**content, "learning_curve": [point.to_json() for point in points]})
    if options.plots is not None:
        make_folder(options.plots)
        drawn = save_figure(learning_figure(points, checkpoint.name), options.plots / "learning-curve")
        console.print(f"drew {drawn[0]}", soft_wrap=True, highlight=False, markup=False)


_worker: tuple[Material, NetworkParameters, Recipe, int]


def _start_worker(material: Material, network: NetworkParameters, recipe: Recipe, seed: int) -> None:
    global _worker
    _worker = material, network, recipe, seed
    torch.set_num_threads(1)


def _work(groups: Groups) -> Tracks:
    return _held_out_tracks(*_worker, groups)
