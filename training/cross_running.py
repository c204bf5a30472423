"""Tracks of clips that a network was not trained on, and what is made of them: tables, plots, comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from model.checkpoint import Checkpoint, load_checkpoint
from model.ears import DistilledListener
from training.air_features import rooms_of_each
from training.audio import SOUND_FONT
from training.clips import EVALUATION, FOLDS, Clip
from training.distillation import DistillationSettings
from training.drawing import require_matplotlib
from training.ear_choice import musicnn_ear
from training.ear_distillation import unlabelled_clips, unlabelled_notes
from training.feature_cache import FeatureCache, default_folder
from training.figures.comparison import compare
from training.figures.gain import GainFigures
from training.figures.genres import read_genres
from training.figures.layouts import comparison_layout
from training.figures.properties import Descriptions, describe_clips
from training.figures.report import cross_figures, write_markdown
from training.fold_ears import FoldDistillation, FoldEarMaterials, both_of
from training.held_out import Fold, Material, Materials, cross_validate
from training.not_music import not_music
from training.plots import draw_plots
from training.recipe import Recipe, adapted_recipe
from training.report import write_json
from training.tables import DataError
from training.tracks import Tracks, read_tracks, write_tracks
from training.workspace import Workspace, progress_bar, room_cache

LAGS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0)
"""Seconds for which held-out clips are estimated anew, beside zero."""
EAR_OF_EACH_FOLD = "distilled for each fold"
"""What the notes of a cross-validation say of its ear if each fold's is distilled from what the fold is trained on."""


@dataclass(frozen=True)
class ReportOptions:
    """Where measured tracks go.

    Attributes
    ----------
    tracks : Path or None
        File for what was said of every clip; with a cross-validation, it is read if it is there.
    against : sequence of Path
        Files of other predictors' tracks to compare with.
    plots, markdown, json : Path or None
        Folder for plots, files for the tables.
    allowance : float
        How far below the goals a model may stay.
    """

    tracks: Path | None = None
    against: Sequence[Path] = ()
    plots: Path | None = None
    markdown: Path | None = None
    json: Path | None = None
    allowance: float = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.tracks or self.against or self.plots or self.markdown or self.json)

    @property
    def detailed(self) -> bool:
        """Whether something is to be written that tells where the error is."""
        return bool(self.plots or self.markdown or self.json)

    def check(self) -> None:
        """Fail now with what would otherwise fail after hours of training.

        Raises
        ------
        DataError
            If plots cannot be drawn, a folder is missing, or other tracks cannot be read.
        """
        if self.plots is not None:
            require_matplotlib()
        for written in (self.tracks, self.markdown, self.json):
            if written is not None and not written.parent.is_dir():
                raise DataError(f'there is no folder "{written.parent}" to write to')
        for other in self.against:
            read_tracks(other)


def run_cross_validation(
    path: Path | None,
    folder: Path,
    options: ReportOptions,
    *,
    steps: int | None = None,
    rooms: int | None = None,
    unlabelled: Path | None = None,
    seed: int = 0,
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
) -> None:
    """Train a checkpoint's network anew on four fifths of the songs, five times, and measure each fifth.

    A distilled ear is distilled anew as well, from the same four fifths, and from unlabelled music if there is any;
    any other ear is taken as it is.

    Raises
    ------
    MoodringError
        If data or the checkpoint are missing or malformed, something cannot be written, or there is no ear to be
        distilled from unlabelled music.
    """
    options.check()
    console = Console()
    checkpoint = load_checkpoint(path)
    if unlabelled is not None and not isinstance(checkpoint.ear, DistilledListener):
        raise DataError(f'the model "{checkpoint.name}" has no distilled ear: --unlabelled is for those that have')
    more_music = unlabelled_clips(unlabelled)
    workspace = Workspace.open(folder, jobs, console)
    recipe = adapted_recipe(steps, rooms)
    parameters = checkpoint.network.network_parameters
    notes = {
        "model": checkpoint.name,
        "recipe": recipe.to_json(),
        "network": parameters.to_json(),
        **_ear_notes(checkpoint, more_music),
        "seed": seed,
        "labels": {name: dataset.label_hash() for name, dataset in workspace.datasets.items()},
    }
    # as it will be read back: without tuples
    notes = json.loads(json.dumps(notes))
    if options.tracks is not None and options.tracks.is_file():
        tracks, of = read_tracks(options.tracks)
        if of != notes:
            raise DataError(f'"{options.tracks}" is of another model, recipe or labels; remove it to measure anew')
    else:
        materials = _materials(
            checkpoint, workspace, recipe, more_music, cache or default_folder(), sound_font or SOUND_FONT, seed, jobs
        )
        torch.set_num_threads(1)
        with progress_bar(console) as progress:
            task = progress.add_task("folds", total=FOLDS)
            tracks = cross_validate(materials, parameters, recipe, seed, jobs, lambda _: progress.advance(task))
        if options.tracks is not None:
            write_tracks(options.tracks, tracks, notes)
    described = None
    if options.detailed:
        plain = FeatureCache(cache or default_folder(), checkpoint.frontend, sound_font or SOUND_FONT)
        rows = {name: workspace.features(name, workspace.clips[name], plain) for name in tracks}
        described = describe_clips(workspace.clips, rows, checkpoint.frontend.parameters)
    report(workspace, tracks, {}, checkpoint.name, console, options, described=described)


def _ear_notes(checkpoint: Checkpoint, unlabelled: Sequence[Clip]) -> dict[str, Any]:
    if isinstance(checkpoint.ear, DistilledListener):
        return {
            "ear": EAR_OF_EACH_FOLD,
            "ear_network": checkpoint.ear.network.parameters_.to_json(),
            "distillation": DistillationSettings().to_json(),
            **unlabelled_notes(unlabelled),
        }
    return {"ear": None if checkpoint.ear is None else checkpoint.ear.digest().hex()}


def _materials(
    checkpoint: Checkpoint,
    workspace: Workspace,
    recipe: Recipe,
    unlabelled: Sequence[Clip],
    cache: Path,
    sound_font: Path,
    seed: int,
    jobs: int,
) -> Materials:
    ear, frontend = checkpoint.ear, checkpoint.frontend
    window = checkpoint.network.network_parameters.window
    folds = Fold.all_of(recipe)
    rooms = rooms_of_each(recipe.rooms)

    def is_trained_on(clip: Clip) -> bool:
        return any(fold.is_trained_on(clip) for fold in folds)

    if not isinstance(ear, DistilledListener):
        return workspace.material(
            FeatureCache(cache, frontend, sound_font, ear),
            window,
            rooms=room_cache(cache, frontend, rooms, sound_font, ear),
            trained_on=is_trained_on,
        )
    distillation = FoldDistillation(
        musicnn_ear(), cache, DistillationSettings(), ear.network.parameters_, seed, sound_font, rooms, unlabelled
    )
    clips = {
        name: used
        for name, of_set in workspace.clips.items()
        if (used := [c for c in of_set if is_trained_on(c) or any(fold.is_left_out(c) for fold in folds)])
    }
    every = [clip for of_set in clips.values() for clip in of_set]
    music = [clip for clip in every if is_trained_on(clip)]
    heard_times = 1 if rooms is None else 2
    with progress_bar(workspace.console) as progress:
        total = len(every) + heard_times * len(music) + 2 * len(unlabelled)
        heard = progress.add_task("what ears look at, and what musicnn hears", total=total)
        distillation.fill(every, music, jobs, lambda count: progress.advance(heard, count))
    plain = FeatureCache(cache, frontend, sound_font)
    features = {name: workspace.features(name, of_set, plain) for name, of_set in clips.items()}
    of_rooms = room_cache(cache, frontend, rooms, sound_font)
    in_rooms = {} if of_rooms is None else workspace.in_rooms(clips, of_rooms, is_trained_on)
    with progress_bar(workspace.console) as progress:
        taught = progress.add_task("distilling the folds' ears", total=len(folds) * distillation.settings.steps)
        ears = distillation.ears(folds, clips, jobs, lambda count: progress.advance(taught, count))
    with progress_bar(workspace.console) as progress:
        progress.add_task("features of what is not music", total=None)
        silent = both_of(not_music(frontend.parameters, shortest=window), frontend, distillation.teacher.frontend)
    return FoldEarMaterials(
        clips,
        features,
        silent,
        ears,
        distillation.spectrograms,
        frontend.parameters,
        in_rooms,
        distillation.room_spectrograms,
    )


def run_held_out_report(
    checkpoint: Checkpoint,
    workspace: Workspace,
    features: FeatureCache,
    options: ReportOptions,
    gain: GainFigures | None = None,
    noted: Mapping[str, Any] | None = None,
) -> None:
    """Measure a checkpoint's tracks of the held-out clips, at zero lag and at `LAGS`.

    What a gain changes is reported with the rest, and what is noted stands in the JSON file, too.

    Raises
    ------
    DataError
        If something cannot be written.
    """
    if options.plots is not None:
        require_matplotlib()
    duration = checkpoint.frontend.parameters.frame_duration
    clips = {
        name: held for name, all_ in workspace.clips.items() if (held := [c for c in all_ if c.part == EVALUATION])
    }
    rows = {name: workspace.features(name, held, features) for name, held in clips.items()}
    material = Material(clips, rows, None, checkpoint.frontend.parameters)
    lags = [lag for lag in LAGS if lag < checkpoint.history * duration]
    by_lag = {}
    with progress_bar(workspace.console) as progress:
        task = progress.add_task("estimating", total=1 + len(lags))
        for lag in (0.0, *lags):
            by_lag[lag] = material.tracks(checkpoint.network, lambda _: True, checkpoint.frames_of_lag(lag))
            progress.advance(task)
    if options.tracks is not None:
        write_tracks(options.tracks, by_lag[0.0], {"model": checkpoint.name, "clips": EVALUATION})
    described = describe_clips(clips, rows, checkpoint.frontend.parameters) if options.detailed else None
    report(workspace, by_lag[0.0], by_lag, checkpoint.name, workspace.console, options, gain, noted, described)


def report(
    workspace: Workspace,
    tracks: Tracks,
    by_lag: Mapping[float, Tracks],
    name: str,
    console: Console,
    options: ReportOptions,
    gain: GainFigures | None = None,
    noted: Mapping[str, Any] | None = None,
    described: Descriptions | None = None,
) -> None:
    """Measure tracks, show the tables, and write what is asked for.

    Raises
    ------
    DataError
        If tracks and clips do not fit together, or something cannot be written.
    """
    genres = {set_name: read_genres(dataset) for set_name, dataset in workspace.datasets.items()}
    with progress_bar(console) as progress:
        progress.add_task("measuring", total=None)
        measured = cross_figures(tracks, workspace.clips, genres, by_lag, gain=gain, described=described)
        tables = measured.layouts(options.allowance)
        for path in options.against:
            theirs, _ = read_tracks(path)
            both = {set_name: theirs[set_name] for set_name in theirs if set_name in tracks}
            tables.append(comparison_layout(compare(tracks, both, workspace.clips), name, path.stem))
    for table in tables:
        console.print(table.to_rich())
    if options.markdown is not None:
        write_markdown(options.markdown, tables)
    if options.json is not None:
        write_json(options.json, {"model": name, **(noted or {}), **measured.to_json(options.allowance)})
    if options.plots is not None:
        with progress_bar(console) as progress:
            progress.add_task("drawing", total=None)
            drawn = draw_plots(tracks, workspace.clips, measured, options.plots, name)
        console.print(f"drew {len(drawn)} plots into {options.plots}", soft_wrap=True, highlight=False, markup=False)
