"""What the commands do, from folders to checkpoints and tables. Parameters are those of the commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from model.checkpoint import Checkpoint, load_checkpoint
from model.ear import Ear
from model.ears import DistilledListener
from training.air import find_room
from training.air_features import AirPath, AirPathOfEach, rooms_of_each
from training.altered_sound import AlteredFeatureCache
from training.audio import SOUND_FONT
from training.baseline import RidgeBaseline
from training.clips import DEVELOPMENT, EVALUATION, Clip, fold_of
from training.cross_running import ReportOptions, run_held_out_report
from training.datasets.deam_splits import Split
from training.distillation import DistillationSettings
from training.distributed import Place
from training.ear_choice import DISTILLED, find_ear, musicnn_ear
from training.ear_distillation import distil_ear, unlabelled_clips, unlabelled_notes
from training.feature_cache import FeatureCache, default_folder
from training.figures.gain import measure_gain
from training.figures.layouts import goals_layout
from training.gain_features import WithGain
from training.held_out import CALIBRATION_FOLD, calibrate
from training.launching import training_group
from training.note_file import read_notes
from training.rank import work
from training.recipe import Recipe, adapted_recipe, default_network
from training.report import as_json, as_tables, worst_clips
from training.state import state_beside
from training.tables import DataError
from training.tracking import Estimate
from training.trainer import train
from training.workspace import Workspace, progress_bar, room_cache, training_frontend


def run_training(
    folder: Path,
    output: Path,
    *,
    name: str,
    ear_name: str = "none",
    unlabelled: Path | None = None,
    notes: Path | None = None,
    window: int = 20,
    crnn: bool = False,
    steps: int | None = None,
    rooms: int | None = None,
    seed: int = 0,
    resume: bool = False,
    validation_fold: int | None = None,
    licence: str = "",
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
    processes: int = 1,
) -> None:
    """Train on the development clips below a folder, measure on the held-out ones, write a checkpoint.

    Raises
    ------
    MoodringError
        If data or the ear are missing or malformed, the checkpoint cannot be written, or one of several processes dies.
    """
    place = Place.of_torchrun()
    if place is not None and processes > 1:
        raise DataError("--processes starts processes of its own; torchrun has done so already: leave it out")
    if place is not None and place.rank > 0:
        work(place)
        return
    console = Console()
    state = state_beside(output, resume)
    recipe = adapted_recipe(steps, rooms)
    workspace = Workspace.open(folder, jobs, console)

    def is_for_training(clip: Clip) -> bool:
        return clip.part == DEVELOPMENT and fold_of(clip.group) != validation_fold

    def is_held_out(clip: Clip) -> bool:
        if validation_fold is None:
            return clip.part == EVALUATION
        return clip.part == DEVELOPMENT and not is_for_training(clip)

    chosen = {
        name: some
        for name, clips in workspace.clips.items()
        if recipe.windows_per_step.get(name, 0) > 0 and (some := [c for c in clips if is_for_training(c)])
    }
    if not chosen:
        raise DataError(f'"{folder}" has no clips to train on; the recipe takes {", ".join(recipe.windows_per_step)}')

    frontend = training_frontend(read_notes(notes))
    where, font = cache or default_folder(), sound_font or SOUND_FONT
    in_rooms = rooms_of_each(recipe.rooms)
    more_music = unlabelled_clips(unlabelled)
    if ear_name == DISTILLED:
        music = [clip for clips in chosen.values() for clip in clips]
        ear: Ear | None = _distil(music, more_music, where, in_rooms, font, jobs, seed, console)
    else:
        ear = find_ear(ear_name)
    features = FeatureCache(where, frontend, font, ear)
    material = workspace.material(
        features,
        window,
        list(chosen),
        rooms=room_cache(where, frontend, in_rooms, font, ear),
        trained_on=is_for_training,
    )
    samplers = material.samplers(list(chosen), is_for_training, recipe.room_share)
    parameters = default_network(
        window,
        ear_columns=0 if ear is None else ear.shape.outputs,
        small=isinstance(ear, DistilledListener),
        crnn=crnn,
    )
    torch.set_num_threads(1)
    with training_group(processes, place) as group, progress_bar(console) as progress:
        task = progress.add_task("training", total=recipe.steps)
        network = train(
            samplers,
            frontend.parameters,
            parameters,
            recipe,
            seed,
            lambda step, loss: progress.update(task, completed=step, description=f"training (loss {loss:.3f})"),
            state,
            resume,
            material.not_music,
            group,
        )
        task = progress.add_task("calibrating", total=recipe.steps)
        left_out = CALIBRATION_FOLD if validation_fold != CALIBRATION_FOLD else CALIBRATION_FOLD + 1
        calibration = calibrate(
            material,
            parameters,
            recipe,
            is_for_training,
            left_out,
            seed,
            lambda step, loss: progress.update(task, completed=step),
            group,
        )
    if network.spread is not None:
        network.spread.scale.copy_(torch.tensor(calibration.scale))
        network.spread.exponent.copy_(torch.tensor(calibration.exponent))
    means = [sampler.mean for sampler in samplers.values() if not sampler.has_signs]
    # no date and no duration: the same run gives the same file
    checkpoint = Checkpoint(
        name=name,
        frontend=frontend,
        network=network,
        ear=ear,
        training={
            "data": {
                name: {"clips": len(clips), "labels_sha256": workspace.datasets[name].label_hash()}
                for name, clips in chosen.items()
            },
            **unlabelled_notes(more_music),
            "recipe": recipe.to_json(),
            "seed": seed,
            "validation_fold": validation_fold,
            "label_mean": np.mean(means, axis=0, dtype=np.float64).round(6).tolist() if means else [0.0, 0.0],
            "torch": torch.__version__,
        },
        licence=licence,
    )
    held_out = {name: [c for c in clips if is_held_out(c)] for name, clips in workspace.clips.items()}
    results = workspace.measure(checkpoint, held_out, features)
    checkpoint.metrics = {
        "clips": EVALUATION if validation_fold is None else f"validation fold {validation_fold}",
        "lag": 0.0,
        "results": as_json(results),
    }
    checkpoint.save(output)
    state.unlink(missing_ok=True)
    for table in as_tables(results):
        console.print(table)
    console.print(f"wrote {output}", soft_wrap=True, highlight=False, markup=False)


def _distil(
    music: Sequence[Clip],
    unlabelled: Sequence[Clip],
    cache: Path,
    rooms: AirPathOfEach | None,
    sound_font: Path,
    jobs: int,
    seed: int,
    console: Console,
) -> DistilledListener:
    teacher = musicnn_ear()
    settings = DistillationSettings()
    with progress_bar(console) as progress:
        total = 2 * (len(music) + len(unlabelled)) + (0 if rooms is None else len(music))
        heard = progress.add_task("what musicnn hears", total=total)
        taught = progress.add_task("distilling an ear", total=settings.steps)
        return distil_ear(
            music,
            cache,
            teacher,
            settings,
            unlabelled=unlabelled,
            rooms=rooms,
            sound_font=sound_font,
            jobs=jobs,
            seed=seed,
            heard=lambda count: progress.advance(heard, count),
            stepped=lambda step: progress.update(taught, completed=step),
        )


def run_evaluation(
    path: Path | None,
    folder: Path,
    *,
    lag: float = 0.0,
    baseline: bool = False,
    worst: int = 0,
    report: ReportOptions | None = None,
    room: str | None = None,
    snr: float = math.inf,
    gain: float | None = None,
    deam_split: Split | None = None,
    skip_bad: bool = False,
    cache: Path | None = None,
    sound_font: Path | None = None,
    jobs: int = 1,
) -> None:
    """Measure a checkpoint on the held-out clips below a folder and print tables.

    Raises
    ------
    MoodringError
        If data or the checkpoint are missing or malformed, or the figures cannot be written.
    """
    console = Console()
    checkpoint = load_checkpoint(path)
    frames = checkpoint.frames_of_lag(lag)
    workspace = Workspace.open(folder, jobs, console, deam_split, skip_bad)
    held_out = {name: [c for c in clips if c.part == EVALUATION] for name, clips in workspace.clips.items()}
    if not any(held_out.values()):
        raise DataError(f'"{folder}" has no held-out clips')
    where = cache or default_folder(), checkpoint.frontend
    font = sound_font or SOUND_FONT
    path_of_air = None if room is None else AirPath(find_room(room), snr)
    features = room_cache(*where, path_of_air, font, checkpoint.ear) or FeatureCache(*where, font, checkpoint.ear)
    torch.set_num_threads(1)
    others: dict[str, Estimate] = {}
    if baseline:
        trained_on = Recipe().windows_per_step
        development = {
            name: [c for c in clips if c.part == DEVELOPMENT]
            for name, clips in workspace.clips.items()
            if name in trained_on
        }
        samplers = workspace.samplers(development, features)
        others["ridge regression"] = RidgeBaseline(checkpoint.network, samplers).estimate
    results = workspace.measure(checkpoint, held_out, features, frames, others)
    for result, table in zip(results, as_tables(results), strict=True):
        console.print(table)
        if worst > 0:
            console.print(worst_clips(result, worst))
    changed = None
    if gain is not None:
        altered = AlteredFeatureCache(*where, partial(WithGain, gain=gain), font, checkpoint.ear)
        ways = [workspace.tracks(checkpoint, held_out, cache) for cache in (features, altered)]
        changed = measure_gain(ways[0], ways[1], gain, held_out)
    if report is not None and report.wanted:
        noted = {"lag": lag, "results": as_json(results)}
        run_held_out_report(checkpoint, workspace, features, report, changed, noted)
    elif changed is not None:
        title = f"Output change for a gain of {changed.gain:+g} dB"
        console.print(goals_layout(changed.changes, title=title, name_missing=False, remarks=[changed.note]).to_rich())
