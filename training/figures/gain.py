"""How much outputs change when the same music comes louder or softer, beside what else is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.figures.comparison import output_change
from training.figures.labelled import ClipsByDataSet
from training.figures.measuring import RESAMPLES, SetFigures
from training.tracks import Tracks

GOAL_GAIN = -20.0
"""In dB: what the goal of the output change is about."""


@dataclass(frozen=True)
class GainFigures:
    """The output change that a gain makes.

    Attributes
    ----------
    gain : float
        In dB.
    changes : list of SetFigures
        See `training.figures.comparison.output_change`.
    """

    gain: float
    changes: list[SetFigures]

    @property
    def note(self) -> str:
        """What the figures are of, for a table's notes."""
        goal = "" if self.gain == GOAL_GAIN else f"; the goal is for one of {GOAL_GAIN:g} dB"
        return f"Output change: mean absolute difference over all frames for a gain of {self.gain:+g} dB{goal}."

    def beside(self, results: Sequence[SetFigures]) -> list[SetFigures]:
        """Return other figures of the same clips with these behind them."""
        changes = {(one.dataset, one.kind): one.figures for one in self.changes}
        return [replace(one, figures=[*one.figures, *changes.get((one.dataset, one.kind), [])]) for one in results]


def measure_gain(
    tracks: Tracks, changed: Tracks, gain: float, clips: ClipsByDataSet, resamples: int = RESAMPLES
) -> GainFigures:
    """Measure how much outputs change with a gain.

    Parameters
    ----------
    tracks, changed : Tracks
        Of the same clips, without and with the gain.
    gain : float
        In dB.
    clips : mapping
        Clips by data set.
    resamples : int
        Draws for the intervals.

    Returns
    -------
    GainFigures

    Raises
    ------
    DataError
        If tracks and clips do not fit together.
    """
    return GainFigures(gain, output_change(tracks, changed, clips, resamples))
