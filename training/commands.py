"""The commands that train and measure networks. Importing this module is cheap; running a command is not."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training import options
from training.paper.names import SYSTEMS

if TYPE_CHECKING:
    from training.cross_running import ReportOptions

LIVE = "live"


@click.command()
@options.DATA
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Checkpoint to write (.safetensors)."
)
@click.option(
    "--system",
    type=click.Choice((LIVE, *SYSTEMS)),
    help="live: the recipe of the checkpoint that moodring ships; the others: the paper's systems (see "
    "training/RESULTS.md).  [default: live, or what --config says]",
)
@options.FEATURES_OPTION
@options.SEQUENCE_LENGTH
@options.EPOCHS
@options.CONFIG
@click.option("--resume", is_flag=True, help="Go on with a training that was interrupted.")
@click.option("--name", help="Name of the model, which its estimates carry.  [default: the output's, less its suffix]")
@click.option(
    "--ear",
    "ear_name",
    help="live: what hears beside the features: none, musicnn (as in the bundled large model), distilled (a small ear "
    "that musicnn teaches first, as in the bundled default), or a checkpoint whose ear it is (a file, or default or "
    "large for a bundled one).  [default: none]",
)
@options.unlabelled("live: ")
@click.option(
    "--notes",
    type=click.Path(path_type=Path),
    help='live: what hears the notes of a frame, from "moodring teach-notes".  [default: the file that moodring ships]',
)
@click.option("--window", type=click.IntRange(2, 600), help="live: frames the network hears at once.  [default: 20]")
@click.option("--crnn", is_flag=True, default=None, help="live: put the paper's CRNN beside the summary.")
@click.option("--steps", type=click.IntRange(min=1), help="live: steps of training.  [default: the recipe's]")
@options.rooms("live: ")
@options.SEED
@click.option(
    "--validation-fold",
    type=click.IntRange(1, 4),
    help="live: hold this fold of the development clips out too, and measure on it instead of on the evaluation clips: "
    "for making choices.",
)
@click.option("--licence", default="", help="Terms of use to note in the checkpoint.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="live: processes that train together, with a share of each batch; on a GPU each, if there are as many.  "
    "[default: 1; below torchrun, those that it has started]",
)
@options.material_options
def train(
    material: options.MaterialOptions,
    folder: Path,
    output: Path,
    system: str | None,
    features: str | None,
    sequence_length: int | None,
    epochs: int | None,
    config: Path | None,
    resume: bool,
    name: str | None,
    ear_name: str | None,
    unlabelled: Path | None,
    notes: Path | None,
    window: int | None,
    crnn: bool | None,
    steps: int | None,
    rooms: int | None,
    seed: int,
    validation_fold: int | None,
    licence: str,
    processes: int | None,
) -> None:
    """Train a network on labelled music, measure it, and write a checkpoint.

    The defaults are the recipe of the checkpoint that moodring ships. With --system or --config, one of the systems
    that the paper describes or compares with.

    \b
    Examples:
      moodring train --data FOLDER -o mine.safetensors --ear default
      moodring train --data FOLDER -o large.safetensors --ear musicnn
      moodring train --data DEAM -o crnn.safetensors --system crnn --sequence-length 20
      moodring train --data DEAM -o best.safetensors --config best.toml --resume
    """
    from model.network_parameters import validate_model_name

    name = validate_model_name(name or output.stem)  # now, and not when the training is done
    of_live = {
        "--ear": ear_name,
        "--unlabelled": unlabelled,
        "--notes": notes,
        "--window": window,
        "--crnn": crnn,
        "--steps": steps,
        "--rooms": rooms,
        "--validation-fold": validation_fold,
        "--processes": processes,
    }
    of_systems: dict[str, Any] = {
        "--features": features,
        "--sequence-length": sequence_length,
        "--epochs": epochs,
        "--development-ids": material.development_ids,
        "--evaluation-ids": material.evaluation_ids,
        "--skip-bad": material.skip_bad or None,
    }
    if unlabelled is not None and ear_name != "distilled":
        raise click.UsageError("--unlabelled is for --ear distilled")
    if system == LIVE or (system is None and config is None):
        _refuse(of_systems, f"is for the paper's systems: add --system {'|'.join(SYSTEMS)}")
        if config is not None:
            raise click.UsageError("--config is for the paper's systems, not for --system live")
        from training.running import run_training

        run_training(
            folder,
            output,
            name=name,
            ear_name=ear_name or "none",
            unlabelled=unlabelled,
            notes=notes,
            window=window or 20,
            crnn=bool(crnn),
            steps=steps,
            rooms=rooms,
            seed=seed,
            resume=resume,
            validation_fold=validation_fold,
            licence=licence,
            cache=material.cache,
            sound_font=material.sound_font,
            jobs=material.jobs,
            processes=processes or 1,
        )
        return
    _refuse(of_live, "is for --system live")
    if "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise click.UsageError("torchrun (RANK and WORLD_SIZE are set) is for --system live")
    from training.paper.configuration import choose
    from training.paper.running import make_request, run_system_training

    choices = choose(config, system=system, features=features, sequence_length=sequence_length, epochs=epochs)
    run_system_training(
        make_request(folder, **vars(material)),
        output,
        choices,
        name=name,
        seed=seed,
        resume=resume,
        licence=licence,
    )


@click.command("teach-notes")
@click.option(
    "--unlabelled", required=True, type=click.Path(path_type=Path), help="Folder with music; needs no labels."
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="File to write (.safetensors).")
@options.SEED
@options.CACHE
@options.SOUND_FONT
@options.JOBS
def teach_notes(
    unlabelled: Path, output: Path, seed: int, cache: Path | None, sound_font: Path | None, jobs: int
) -> None:
    """Teach a small network to hear the notes of a frame, from music without labels.

    The teacher is the transcriber basic-pitch, which needs none of what its package asks for:
    pip install --no-deps basic-pitch==0.4.0

    \b
    Example:
      moodring teach-notes --unlabelled FOLDER -o notes.safetensors
    """
    from training.note_running import run_note_teaching

    run_note_teaching(unlabelled, output, seed=seed, cache=cache, sound_font=sound_font, jobs=jobs)


def _refuse(values: dict[str, Any], reason: str) -> None:
    for option, value in values.items():
        if value is not None:
            raise click.UsageError(f"{option} {reason}")


@click.command()
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@options.DATA
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
@click.option(
    "--cross-validate",
    is_flag=True,
    help="Train the checkpoint's network anew on four fifths of the songs, five times, and measure the others.",
)
@click.option(
    "--learning-curve",
    is_flag=True,
    help="Train the checkpoint's network anew on an eighth, a quarter, half and all of the development songs, and "
    "measure each on the held-out clips.",
)
@click.option(
    "--room",
    help="Hear the clips through a simulated loudspeaker, room and microphone: living room, club or hall.",
)
@click.option(
    "--snr", type=float, default=20.0, show_default=True, help="With --room: power of the music over the noise, in dB."
)
@click.option(
    "--gain",
    type=click.FloatRange(-60, 20),
    help="Also hear the clips with this gain, in dB, and tell how much estimates change: -20 for the goal.",
)
@click.option("--steps", type=click.IntRange(min=1), help="With trainings: steps of each.")
@options.rooms("With trainings: ")
@options.unlabelled("With --cross-validate: ")
@click.option("--seed", type=click.IntRange(0, 2**28), default=0, help="With trainings: what they follow from.")
@options.report_options
@options.material_options
def evaluate(
    material: options.MaterialOptions,
    report: ReportOptions,
    checkpoint: Path | None,
    folder: Path,
    lag: float,
    baseline: bool,
    worst: int,
    cross_validate: bool,
    learning_curve: bool,
    room: str | None,
    snr: float,
    gain: float | None,
    steps: int | None,
    rooms: int | None,
    unlabelled: Path | None,
    seed: int,
) -> None:
    """Measure CHECKPOINT (or the one that moodring ships) on the held-out clips of labelled music.

    What can be streamed is measured as a live stream would hear it; the paper's other systems in sequences, as the
    paper does.

    \b
    Examples:
      moodring evaluate --data FOLDER --baseline --worst 5
      moodring evaluate large --data FOLDER --plots plots --markdown figures.md
      moodring evaluate large --data FOLDER --cross-validate --tracks large.safetensors --plots plots
      moodring evaluate large --data FOLDER --learning-curve --plots plots
    """
    from training.datasets.deam_splits import split
    from training.paper.system_file import is_system_file

    trains = cross_validate or learning_curve
    if unlabelled is not None and not cross_validate:
        raise click.UsageError("--unlabelled is for --cross-validate")
    if checkpoint is not None and is_system_file(checkpoint):
        if lag or baseline or worst or gain is not None:
            raise click.UsageError("--lag, --baseline, --worst and --gain are for models that can be streamed")
        if trains or report.plots or report.markdown or report.tracks or report.against:
            raise click.UsageError(
                "--cross-validate, --learning-curve, --plots, --markdown, --tracks and --against are for models that "
                "can be streamed"
            )
        from training.paper.running import make_request, run_system_evaluation

        request = make_request(folder, **vars(material))
        run_system_evaluation(checkpoint, request, report.json)
        return
    if trains:
        mode = "--cross-validate" if cross_validate else "--learning-curve"
        if cross_validate and learning_curve:
            raise click.UsageError("--cross-validate and --learning-curve do not go together")
        if lag or baseline or worst or room or gain is not None:
            raise click.UsageError(f"--lag, --baseline, --worst, --room and --gain do not go with {mode}")
        if learning_curve and (report.tracks or report.against or report.allowance):
            raise click.UsageError("--tracks, --against and --allowance do not go with --learning-curve")
        from training.cross_running import run_cross_validation
        from training.learning_curve import run_learning_curve

        run = partial(run_cross_validation, unlabelled=unlabelled) if cross_validate else run_learning_curve
        run(
            checkpoint,
            folder,
            report,
            steps=steps,
            rooms=rooms,
            seed=seed,
            cache=material.cache,
            sound_font=material.sound_font,
            jobs=material.jobs,
        )
        return
    if steps is not None or rooms is not None:
        raise click.UsageError("--steps and --rooms are for --cross-validate and --learning-curve")
    if gain is not None and (room or lag):
        raise click.UsageError("--room and --lag do not go with --gain, which is measured in itself and at zero lag")
    from training.running import run_evaluation

    run_evaluation(
        checkpoint,
        folder,
        lag=lag,
        baseline=baseline,
        worst=worst,
        report=report,
        room=room,
        snr=snr,
        gain=gain,
        deam_split=split(material.split_name, material.development_ids, material.evaluation_ids),
        skip_bad=material.skip_bad,
        cache=material.cache,
        sound_font=material.sound_font,
        jobs=material.jobs,
    )
