"""What one run came to, as a JSON file; and what several runs of one configuration come to together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.paper.scores import Figure, Scores
from training.report import write_json
from training.tables import DataError

SYSTEM_NAMES = {
    "crnn": "CRNN",
    "crnn-nb": "CRNN_NB",
    "dblstm-fusion": "DBLSTM fusion",
    "ensemble": "ensemble over sequence lengths",
}
"""By the name in a configuration, in the order of the paper's table 2; the ensemble is not in the paper."""


@dataclass(frozen=True)
class RunResult:
    """One training of one system and how well it does.

    Attributes
    ----------
    system, features : str
        As in `training.paper.configuration.Configuration`.
    sequence_length : int or None
        Frames; None where several are used together, as by the fusion and the ensemble.
    seed : int
        Of the run.
    parameter_count : int
        Of all its networks together.
    epochs : int
        How many were trained.
    seconds : float
        How long that took.
    validation, evaluation : Scores
        Of development songs that were held out, and of the evaluation songs.
    """

    system: str
    features: str
    sequence_length: int | None
    seed: int
    parameter_count: int
    epochs: int
    seconds: float
    validation: Scores
    evaluation: Scores

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {**vars(self), "validation": self.validation.to_json(), "evaluation": self.evaluation.to_json()}

    @classmethod
    def from_json(cls, content: Any) -> RunResult:
        """Read what `to_json` gives.

        Raises
        ------
        ValueError
            If it is something else.
        """
        kinds: dict[str, Any] = {"system": str, "features": str, "sequence_length": (int, type(None))}
        kinds |= {"seed": int, "parameter_count": int, "epochs": int, "seconds": (int, float)}
        if not isinstance(content, dict):
            raise ValueError("a run must be an object")
        for name, kind in kinds.items():
            if name not in content:
                raise ValueError(f"{name} is missing")
            if not isinstance(content[name], kind) or isinstance(content[name], bool):
                raise ValueError(f"{name} cannot be {str(content[name])[:40]}")
        validation, evaluation = (Scores.from_json(content.get(part)) for part in ("validation", "evaluation"))
        return cls(**{name: content[name] for name in kinds}, validation=validation, evaluation=evaluation)


def write_run(path: Path, run: RunResult) -> None:
    """Write a run's result, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    write_json(path, run.to_json())


def read_run(path: Path) -> RunResult:
    """Read what `write_run` has written.

    Raises
    ------
    DataError
        If the file cannot be read, or holds something else.
    """
    try:
        return RunResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except (ValueError, RecursionError) as error:
        raise DataError(f'"{path}" is not the result of a run: {" ".join(str(error).split())}') from error


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over runs.

    Attributes
    ----------
    mean : float
    deviation : float or None
        With Bessel's correction; None for a single run.
    """

    mean: float
    deviation: float | None

    @classmethod
    def over(cls, values: Sequence[float]) -> Spread:
        """Take both of at least one value."""
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), deviation)


def spreads(figures: Sequence[Figure]) -> tuple[Spread, Spread, Spread]:
    """Return the spread of one figure's valence, arousal and average over at least one run."""
    columns = [[f.valence for f in figures], [f.arousal for f in figures], [f.average for f in figures]]
    return Spread.over(columns[0]), Spread.over(columns[1]), Spread.over(columns[2])


def select(
    runs: Sequence[RunResult],
    system: str,
    features: str | None = None,
    sequence_length: int | None = None,
) -> list[RunResult]:
    """Return the runs of a system, in order of their seeds; of all features and sequence lengths where None."""
    chosen = [run for run in runs if run.system == system]
    if features is not None:
        chosen = [run for run in chosen if run.features == features]
    if sequence_length is not None:
        chosen = [run for run in chosen if run.sequence_length == sequence_length]
    return sorted(chosen, key=lambda run: run.seed)


def validation_error(run: RunResult) -> float:
    """Return what runs are chosen by: RMSE of the validation songs, averaged over songs, then over dimensions."""
    return run.validation.song_averaged_rmse.average


def best_configuration(runs: Sequence[RunResult], system: str) -> list[RunResult]:
    """Return the runs of the system's features and sequence length with the least mean `validation_error`.

    The evaluation songs have no say in it. An empty list if the system has no run.
    """
    groups: dict[tuple[str, int | None], list[RunResult]] = {}
    for run in select(runs, system):
        groups.setdefault((run.features, run.sequence_length), []).append(run)
    return min(groups.values(), key=lambda group: float(np.mean([validation_error(run) for run in group])), default=[])
