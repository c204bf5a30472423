"""How standard deviations must be changed, so that intervals cover the labels that they should.

A network learns its standard deviations from how far it is off on the music it is trained on, which it knows too well,
and some of it better than other. Its left-out music tells by how much more they must be, and how far they may differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from model.features import FloatArray
from model.summary import LARGEST_STD, SMALLEST_STD
from training.figures.labelled import SIGNS, ClipsByDataSet, label_tracks
from training.metrics import Array
from training.tracks import Tracks

LEVELS = (0.68, 0.95)
EXPONENTS = (0.25, 1.0)
"""Differences between standard deviations may shrink, on a logarithmic scale to a quarter: more would say nothing of
the music any more. They may not grow: what little music is left out does not tell so much."""
_SMALLEST_RATIO = 1e-3
_NO_BETTER = 1e-9


@dataclass(frozen=True)
class SpreadCalibration:
    """A change of standard deviations: to a power, times a factor.

    Attributes
    ----------
    scale, exponent : tuple of float
        Each for valence and arousal.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    exponent: tuple[float, float] = (1.0, 1.0)

    def apply(self, stds: FloatArray) -> FloatArray:
        """Change standard deviations, shape (n, 2), and keep them within what a network gives."""
        changed = np.asarray(self.scale) * stds ** np.asarray(self.exponent)
        kept: FloatArray = np.clip(changed, SMALLEST_STD, LARGEST_STD).astype(np.float32)
        return kept


def calibrate_spread(tracks: Tracks, clips: ClipsByDataSet) -> SpreadCalibration:
    """Find the change that standard deviations need.

    The exponent is that of the greatest likelihood of the labels under normal distributions. The scale is then what
    makes intervals cover what they should: the geometric mean over `LEVELS`, because errors are not quite normal and
    one factor must serve both. Data sets count alike in both, because one model must serve all.

    Parameters
    ----------
    tracks : Tracks
        Of clips that their predictor was not trained on, with standard deviations.
    clips : mapping
        Clips by data set; those with signs say nothing of distances, and are passed over.

    Returns
    -------
    SpreadCalibration
        One that changes nothing if there are no clips with labels on a scale.

    Raises
    ------
    DataError
        If tracks and clips do not fit together; see `training.figures.labelled.label_tracks`.
    """
    errors, stds = [], []
    for labelled in label_tracks(tracks, clips):
        if labelled.kind == SIGNS or not labelled.has_stds:
            continue
        rows = [row for fold in labelled.by_group() for row in fold]
        errors.append(np.concatenate([np.abs(row.labels - row.values) for row in rows]))
        stds.append(np.concatenate([row.stds for row in rows if row.stds is not None]))
    if not errors:
        return SpreadCalibration()
    both = [_calibrate([e[:, i] for e in errors], [s[:, i] for s in stds]) for i in (0, 1)]
    return SpreadCalibration(*((one, other) for one, other in zip(*both, strict=True)))


def _calibrate(errors: list[Array], stds: list[Array]) -> tuple[float, float]:
    """Return scale and exponent of one dimension from absolute errors and standard deviations of each data set."""

    def unlikelihood(exponent: float) -> float:
        # the scale of the greatest likelihood is known for every exponent, which leaves the exponent to be found
        variance = np.mean([np.mean((e / s**exponent) ** 2) for e, s in zip(errors, stds, strict=True)])
        logs = np.mean([np.mean(np.log(s)) for s in stds])
        return float(0.5 * np.log(max(variance, _SMALLEST_RATIO**2)) + exponent * logs)

    exponent = float(optimize.minimize_scalar(unlikelihood, bounds=EXPONENTS, method="bounded").x)
    if unlikelihood(EXPONENTS[1]) <= unlikelihood(exponent) + _NO_BETTER:
        exponent = EXPONENTS[1]  # which the search comes close to, but does not reach
    widths = stats.norm.ppf((1 + np.asarray(LEVELS)) / 2)
    reached = [np.quantile(e / s**exponent, LEVELS) / widths for e, s in zip(errors, stds, strict=True)]
    return float(np.exp(np.mean(np.log(np.maximum(reached, _SMALLEST_RATIO))))), exponent
