"""Runs with known figures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from training.paper.results import RunResult
from training.paper.scores import Figure, Scores, Yardsticks


def scores_of(valence: float, arousal: float, ccc: float = 0.5) -> Scores:
    """Pooled errors are larger by 0.01."""
    intervals = (ccc - 0.1, ccc + 0.1), (ccc - 0.2, ccc + 0.2)
    return Scores(
        songs=58,
        frames=25355,
        song_averaged_rmse=Figure(
            valence, arousal, ((valence - 0.02, valence + 0.02), (arousal - 0.03, arousal + 0.03))
        ),
        pooled_rmse=Figure(valence + 0.01, arousal + 0.01),
        pearson_r=Figure(ccc + 0.05, ccc + 0.05, intervals),
        ccc=Figure(ccc, ccc, intervals),
        within_song_r=Figure(0.25, 0.35, ((0.2, 0.3), (0.3, 0.4))),
    )


@pytest.fixture
def make_run() -> Callable[..., RunResult]:
    """Give a function that makes a run; its validation errors are those of the evaluation unless `validation` says."""

    def make(
        valence: float,
        arousal: float,
        seed: int = 0,
        system: str = "crnn",
        features: str = "opensmile",
        sequence_length: int | None = 10,
        parameter_count: int = 29876,
        validation: float | None = None,
        ccc: float = 0.5,
    ) -> RunResult:
        held_out = scores_of(valence, arousal) if validation is None else scores_of(validation, validation)
        evaluation = scores_of(valence, arousal, ccc)
        return RunResult(system, features, sequence_length, seed, parameter_count, 40, 12.5, held_out, evaluation)

    return make


@pytest.fixture
def known() -> Yardsticks:
    return Yardsticks(scores_of(0.265, 0.254, 0.0), scores_of(0.094, 0.151, 0.7))
