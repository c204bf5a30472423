"""An Optuna study in an SQLite file: opened, refused where it is another search's, repaired after a kill."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.errors import MoodringError
from training.tables import DataError

if TYPE_CHECKING:
    import optuna

_NAME = "moodring search"
_MADE_FOR = "made for"
_OPTUNA_TABLES = {"studies", "version_info"}


def require_optuna() -> None:
    """Tell early whether Optuna is there.

    Raises
    ------
    MoodringError
        If it is missing.
    """
    try:
        import optuna
    except ImportError as error:
        raise MoodringError("the search needs Optuna: install moodring[search]") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the display says what it would say of every trial


def open_study(path: Path, made_for: Mapping[str, Any]) -> optuna.Study:
    """Open the study in a file, or begin one there.

    Parameters
    ----------
    path : Path
        SQLite file.
    made_for : mapping
        What all trials share, by a name for people; JSON values. A study is taken up for the same only.

    Returns
    -------
    Study
        Minimises; prunes a trial that is worse than the median of the earlier ones at the same epoch, from the sixth
        trial and the eleventh epoch on.

    Raises
    ------
    DataError
        If the file cannot be written, is no Optuna study, or is another search's.
    """
    import optuna

    _refuse_other_files(path)
    with study_errors(path):
        try:
            # the path goes straight to SQLite, since in a URL "?", "%" and "{" would be taken for something else
            creator = partial(sqlite3.connect, path, check_same_thread=False)
            storage = optuna.storages.RDBStorage("sqlite:///study", engine_kwargs={"creator": creator})
        except RuntimeError as error:
            raise DataError(f'"{path}" was written by a version of Optuna that this one cannot go on with') from error
        names = optuna.get_all_study_names(storage)
        if names and _NAME not in names:
            raise DataError(f'"{path}" holds Optuna studies that moodring did not make')
        study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=10),
        )
        if not study.get_trials(deepcopy=False):
            study.set_user_attr(_MADE_FOR, dict(made_for))
        kept = study.user_attrs.get(_MADE_FOR, {})
    other = [name for name in {**kept, **made_for} if name not in kept or kept[name] != made_for.get(name)]
    if other:
        raise DataError(f'"{path}" is of a search with other {", ".join(other)}: name another file')
    return study


@contextmanager
def study_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a study's file into one line.

    Raises
    ------
    DataError
        In place of the database's errors, and where another process has ended the trial at hand.
    """
    from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UpdateFinishedTrialError as error:
        raise DataError(f'"{path}" is used by another search at the same time') from error
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        reason = getattr(cause, "orig", None) or cause or error
        raise DataError(f'cannot use the study "{path}": {reason}') from error


def finished(study: optuna.Study) -> int:
    """Return how many trials are done, pruned ones included."""
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def completed(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that were trained to their end, best first."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(trials, key=lambda trial: (trial.value, trial.number))


def repair(study: optuna.Study, first: Mapping[str, Any]) -> None:
    """Mark trials that were interrupted as failed, and queue their values, or at the beginning those to try first.

    Parameters
    ----------
    study : Study
        That no other process uses.
    first : mapping
        Values by name.
    """
    from optuna.trial import TrialState

    interrupted = study.get_trials(states=(TrialState.RUNNING,))
    for trial in interrupted:
        study.tell(trial.number, state=TrialState.FAIL)
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if finished(study):
        for trial in interrupted:
            study.enqueue_trial(trial.params)
    elif not waiting:
        study.enqueue_trial(dict(first))


def seeded_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """Return the sampler for a trial.

    Parameters
    ----------
    seed : int
    number : int
        Trials that are finished. A sampler of its own for each, so that a search which was interrupted tries the same
        values as one which was not.

    Returns
    -------
    BaseSampler
        Tree-structured Parzen estimator.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))


def _refuse_other_files(path: Path) -> None:
    """Refuse a file that Optuna would damage, for it adds its tables to any database."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error as error:
        raise DataError(f'"{path}" is no Optuna study: {error}') from error
    tables = {name for (name,) in rows}
    if tables and tables.isdisjoint(_OPTUNA_TABLES):
        raise DataError(f'"{path}" is no Optuna study but another SQLite database')
