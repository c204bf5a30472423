"""The command `moodring search`: the paper's choice of hyperparameters (section 3.5), with Optuna.

A tree-structured Parzen estimator proposes values, beginning with those that the paper found best. Every trial trains
the CRNN with the same seed on the same songs, and its score is what early stopping minimises: the mean of valence's and
arousal's RMSE on the development songs that are held out. The evaluation songs play no part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from training.paper.configuration import Configuration, configure, write_toml
from training.paper.fitting import Epoch
from training.paper.layout import Layout, Section, number
from training.paper.material import Request, read_division
from training.paper.runs import describe, hash_songs
from training.paper.songs import Division, Song
from training.paper.study import completed, finished, open_study, repair, require_optuna, seeded_sampler, study_errors
from training.paper.systems import Told, train_system
from training.tables import DataError
from training.workspace import progress_bar

if TYPE_CHECKING:
    import optuna

SEARCHED_SYSTEMS = ("crnn", "crnn-nb")
_LAYERS = (1, 2, 3)
_UNITS = (8, 16, 32, 64)
_WEIGHTS = (1.0, 0.1, 0.01, 0.001, 0.0001)
SPACE: dict[str, tuple[int, ...] | tuple[float, ...]] = {
    "conv_layers": _LAYERS,
    "conv_filters": _UNITS,
    "fc_layers": _LAYERS,
    "fc_units": _UNITS,
    "gru_layers": _LAYERS,
    "gru_units": _UNITS,
    "dropout": (0.25, 0.5, 0.75),
    "l1": _WEIGHTS,
    "l2": _WEIGHTS,
    "batch_size": (16, 32, 64, 128),
}
"""Values that are tried, by `Configuration`'s attribute."""
_PARAMETERS = "parameters"
_SHOWN = 5


def search(
    request: Request,
    study: Path,
    output: Path,
    trials: int = 50,
    seed: int = 0,
    choices: Mapping[str, Any] | None = None,
) -> None:
    """Search the CRNN's hyperparameters on a folder's development songs; see `search_songs`.

    Parameters
    ----------
    request : Request
    study, output, trials, seed, choices
        See `search_songs`.

    Raises
    ------
    MoodringError
        If the data are missing or malformed, a package is missing, or something cannot be written.
    """
    console = Console()
    configuration = _start(choices or {}, output)
    development = read_division(request, configuration.features, console).development
    search_songs(development, study, output, trials, seed, choices or {}, console)


def search_songs(
    development: Sequence[Song],
    path: Path,
    output: Path,
    trials: int,
    seed: int,
    choices: Mapping[str, Any],
    console: Console,
) -> None:
    """Search the CRNN's hyperparameters; print the best and write the very best as a configuration.

    The search can be stopped at any time, by Ctrl-C or by force, and the same call goes on with it: the trial that was
    being trained is trained anew. Stopped or not, it tries the same values.

    Parameters
    ----------
    development : sequence of Song
        Some of them are held out.
    path : Path
        SQLite file of the study.
    output : Path
        TOML file that `read_toml` reads. Written at the end, and on Ctrl-C if any trial is complete by then.
    trials : int
        To be finished in all, those of earlier calls and those that were pruned included.
    seed : int
        Everything random follows from it.
    choices : mapping
        Of `Configuration`, where it is to differ from the paper's. What is chosen of `SPACE` is not searched.
    console : Console

    Raises
    ------
    DataError
        If the study or the output cannot be used, there are too few songs, nothing is left to search, or no trial
        could be trained to its end.
    MoodringError
        If Optuna is missing.
    KeyboardInterrupt
        Passed on.
    """
    configuration = _start(choices, output)
    if len(development) < 2:
        raise DataError(f"the search needs at least 2 development songs, and there are {len(development)}")
    searched = _searched(choices)
    fixed = {name: value for name, value in configuration.to_json().items() if name not in searched}
    made_for = {**fixed, "seed": seed, "songs": hash_songs(Division(list(development), []))}
    study = open_study(path, made_for)
    with study_errors(path):
        try:
            _train_trials(study, development, configuration, searched, trials, seed, console)
        except KeyboardInterrupt:
            if completed(study):
                _report(completed(study), configuration, output, console)
            raise
        best = completed(study)
    if not best:
        raise DataError("no trial could be trained to its end: try a smaller learning_rate")
    _report(best, configuration, output, console)


def _start(choices: Mapping[str, Any], output: Path) -> Configuration:
    """Refuse early what would come to nothing, and return the configuration to begin with."""
    require_optuna()
    configuration = configure(choices)
    if configuration.system not in SEARCHED_SYSTEMS:
        raise DataError(f"the search is for {' and '.join(SEARCHED_SYSTEMS)}, not for {configuration.system}")
    if not _searched(choices):
        raise DataError(f"nothing is left to search, for the configuration fixes all of {', '.join(SPACE)}")
    if output.is_dir() or not output.parent.is_dir():
        reason = "it is a folder" if output.is_dir() else "its folder is not there"
        raise DataError(f'cannot write "{output}": {reason}')
    return configuration


def _searched(choices: Mapping[str, Any]) -> list[str]:
    return [name for name in SPACE if name not in choices]


def _train_trials(
    study: optuna.Study,
    development: Sequence[Song],
    configuration: Configuration,
    searched: Sequence[str],
    trials: int,
    seed: int,
    console: Console,
) -> None:
    from optuna.distributions import BaseDistribution, CategoricalDistribution

    torch.set_num_threads(1)  # one thread, so that the same seed gives the same score
    space: dict[str, BaseDistribution] = {name: CategoricalDistribution(SPACE[name]) for name in searched}
    repair(study, {name: getattr(configuration, name) for name in searched})
    with progress_bar(console) as progress:
        whole = progress.add_task("trials", total=trials)
        current = progress.add_task("", total=configuration.epochs)

        while (count := finished(study)) < trials:
            progress.reset(current, description=f"trial {count + 1}")
            best = completed(study)
            progress.update(
                whole, completed=count, description=f"trials, best {best[0].value:.4f}" if best else "trials"
            )
            study.sampler = seeded_sampler(seed, count)
            trial = study.ask(space)
            told = partial(_show, progress, current)
            _train(study, trial, development, replace(configuration, **trial.params), seed, told)


def _show(progress: Progress, task: TaskID, part: str, epoch: Epoch) -> None:
    progress.update(task, completed=epoch.number, description=describe(part, epoch))


def _train(
    study: optuna.Study,
    trial: optuna.Trial,
    development: Sequence[Song],
    configuration: Configuration,
    seed: int,
    told: Told,
) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    best = math.inf

    def tell(part: str, epoch: Epoch) -> None:
        nonlocal best
        best = min(best, epoch.score)
        trial.report(best, epoch.number)
        told(part, epoch)
        if trial.should_prune():
            raise TrialPruned

    try:
        system = train_system(configuration, development, seed, told=tell)
    except (TrialPruned, DataError):  # songs suffice and no state is kept: the error says that training diverged
        study.tell(trial, state=TrialState.PRUNED)
        return
    trial.set_user_attr(_PARAMETERS, system.parameter_count)
    study.tell(trial, best)


def _report(
    best: Sequence[optuna.trial.FrozenTrial], configuration: Configuration, output: Path, console: Console
) -> None:
    shown = best[:_SHOWN]
    figures = [
        ["score", *(number(trial.values[0], 4) for trial in shown)],
        ["parameters", *(str(trial.user_attrs[_PARAMETERS]) for trial in shown)],
    ]
    values = [[name, *(f"{trial.params[name]:g}" for trial in shown)] for name in SPACE if name in shown[0].params]
    note = "The score is the mean of valence's and arousal's RMSE on the development songs that were held out."
    layout = Layout(
        f"Best of {len(best)} trials, {configuration.features}, {configuration.sequence_length} frames",
        ["", *(f"trial {trial.number + 1}" for trial in shown)],
        [Section("result", figures), Section("configuration", values)],
        [note],
    )
    console.print(layout.to_rich())
    write_toml(output, replace(configuration, **best[0].params))
    console.print(f"wrote {output}", soft_wrap=True, highlight=False, markup=False)
