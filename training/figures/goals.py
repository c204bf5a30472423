"""What the project aims at: figures on songs that no choice has seen, at zero lag, streaming, level unknown.

Valence comes first. What people reach is one half of the raters against the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.figures.measuring import (
    AUC,
    CCC,
    LOWER_IS_BETTER,
    OUTPUT_CHANGE,
    QUADRANT_ACCURACY,
    QUADRANT_MACRO_F1,
    RMSE,
    SIGN_ACCURACY,
    WITHIN_SONG_R,
    Figure,
    R,
)

DEFAULT_ALLOWANCE = 0.05
"""How much worse than a goal the small default model may be."""

COVERAGE_TOLERANCES = {0.68: 0.04, 0.95: 0.03}
"""By how much the share of labels within an interval may differ from the interval's nominal share."""


@dataclass(frozen=True)
class Goal:
    """What is aimed at in one metric on one data set.

    Attributes
    ----------
    dataset : str or None
        None for every data set.
    metric : str
        As in `training.figures.measuring`.
    targets : tuple of float
        Valence and arousal, or one figure for both together: reached by what is at least as good.
    people : tuple of float or None
        What people reach, in the same order.
    """

    dataset: str | None
    metric: str
    targets: tuple[float, ...]
    people: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Target:
    """What is aimed at in one figure.

    Attributes
    ----------
    value : float
    people : float or None
        What people reach.
    lower_is_better : bool
    """

    value: float
    people: float | None
    lower_is_better: bool

    def reached(self, value: float, allowance: float = 0.0) -> bool:
        """Tell whether a figure is at least as good as the goal, or worse by no more than an allowance."""
        short = value - self.value if self.lower_is_better else self.value - value
        return short <= allowance + 1e-12


GOALS = (
    Goal("vgmidi", CCC, (0.58, 0.76), people=(0.79, 0.87)),
    Goal("vgmidi", RMSE, (0.175, 0.165), people=(0.15, 0.14)),
    Goal("vgmidi", WITHIN_SONG_R, (0.20, 0.30), people=(0.25, 0.33)),
    Goal("emotify", R, (0.62, 0.82), people=(0.58, 0.83)),
    Goal("4q", AUC, (0.89, 0.96)),
    Goal("4q", QUADRANT_MACRO_F1, (0.77,)),
    Goal("emopia", QUADRANT_ACCURACY, (0.70,)),
    Goal("emopia", SIGN_ACCURACY, (0.76, 0.92)),
    Goal(None, OUTPUT_CHANGE, (0.03, 0.03)),
)


def target_of(dataset: str, figure: Figure) -> Target | None:
    """Return the goal that a figure of a data set has, or None if it has none."""
    for goal in GOALS:
        if goal.dataset in (dataset, None) and goal.metric == figure.metric:
            place = max(figure.dimension_index, 0)
            people = None if goal.people is None else goal.people[place]
            return Target(goal.targets[place], people, goal.metric in LOWER_IS_BETTER)
    return None
