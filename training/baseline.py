"""Ridge regression on a window's statistics: what a network must beat to be worth its trouble."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.features import FloatArray
from model.network import EmotionNetwork
from training.sampling import WindowSampler

_WINDOWS_PER_SET = 4000
_PENALTY = 1000.0
_SEED = 0
_SIGN_VALUE = 0.25


class RidgeBaseline:
    """Linear in the mean and the standard deviation, over the window, of the inputs that a network takes.

    Fitted to windows of the data sets, as many of each; signs count as values of plus or minus 0.25.

    Parameters
    ----------
    network : EmotionNetwork
        Gives the inputs and the window's length; its weights are not used.
    samplers : mapping
        Where windows come from, by the name of the data set.
    """

    def __init__(self, network: EmotionNetwork, samplers: Mapping[str, WindowSampler]) -> None:
        self._network = network
        generator = torch.Generator().manual_seed(_SEED)
        statistics, targets = [], []
        for sampler in samplers.values():
            windows, labels = sampler.draw(_WINDOWS_PER_SET, network.network_parameters.window, generator)
            statistics.append(self._statistics(windows))
            mean = labels.nanmean(dim=1).numpy().astype(np.float64)
            targets.append(mean * _SIGN_VALUE if sampler.has_signs else mean)
        x, y = np.concatenate(statistics), np.concatenate(targets)
        x, y = x[~np.isnan(y[:, 0])], y[~np.isnan(y[:, 0])]
        self._mean, self._std = x.mean(axis=0), x.std(axis=0) + 1e-6
        self._offset = y.mean(axis=0)
        z = (x - self._mean) / self._std
        self._weights = np.linalg.solve(z.T @ z + _PENALTY * np.eye(z.shape[1]), z.T @ (y - self._offset))

    def estimate(self, windows: FloatArray, lag: int = 0) -> FloatArray:
        """Estimate valence and arousal of windows, shape (n, frames, feature_count); `lag` makes no difference."""
        z = (self._statistics(torch.from_numpy(windows)) - self._mean) / self._std
        estimate: FloatArray = np.clip(z @ self._weights + self._offset, -1, 1).astype(np.float32)
        return estimate

    def _statistics(self, windows: Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            inputs = self._network.inputs(windows[:, -self._network.network_parameters.window :])
            both = torch.cat([inputs.mean(dim=1), inputs.std(dim=1, correction=0)], dim=-1)
        return both.numpy().astype(np.float64)
