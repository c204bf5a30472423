"""Li et al.'s late fusion (the paper, section 4): what several networks say becomes one estimate.

For valence and for arousal apart, a support vector regression with a third-order polynomial kernel and a network with
one hidden layer of 14 nodes each map the networks' outputs to the label; their mean is the estimate. Fitted with
scikit-learn, kept and evaluated as plain arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.paper.songs import FloatArray

HIDDEN_NODES = 14
KERNEL_DEGREE = 3

_MAXIMUM_FRAMES = 6000
"""The time of a support vector regression grows with the square of the frames; more are thinned out evenly."""
_CROSS_FITS = 5
# neither these nor the network's penalty were tuned: the paper names none, and they are what seemed plausible at first
_EPSILON = 0.05
_PENALTY = 1e-2
_ITERATIONS = 500
_STOPPING_FRAMES = 20
"""With fewer, the tenth of them that stops training early would be a single frame."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Regressor:
    """One dimension's fusion, for `n` networks.

    Attributes
    ----------
    mean, std : ndarray of float64, shape (n,)
        Standardisation of the networks' outputs.
    support_vectors : ndarray, shape (vectors, n)
    dual_coefficients : ndarray, shape (vectors,)
    intercept : ndarray, shape ()
    hidden_weight, hidden_bias, output_weight, output_bias : ndarray, shapes (n, 14), (14,), (14,), ()
        The network: tanh in the hidden layer.
    """

    mean: Array
    std: Array
    support_vectors: Array
    dual_coefficients: Array
    intercept: Array
    hidden_weight: Array
    hidden_bias: Array
    output_weight: Array
    output_bias: Array

    @classmethod
    def fit(cls, outputs: Array, labels: Array, seed: int) -> Regressor:
        """Fit to frames.

        Parameters
        ----------
        outputs : ndarray, shape (frames, n)
            What each network says.
        labels : ndarray, shape (frames,)
        seed : int
            Of the network's initial weights.

        Returns
        -------
        Regressor
        """
        # slow to import, and of no use without the fusion
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor
        from sklearn.svm import SVR

        thinned = slice(None, None, -(-len(outputs) // _MAXIMUM_FRAMES))
        outputs, labels = outputs[thinned], labels[thinned]
        mean, std = outputs.mean(axis=0), outputs.std(axis=0) + 1e-6
        z = (outputs - mean) / std
        n = z.shape[1]
        machine = SVR(kernel="poly", degree=KERNEL_DEGREE, gamma=1 / n, coef0=1.0, C=_PENALTY, epsilon=_EPSILON)
        machine.fit(z, labels)
        network = MLPRegressor(
            hidden_layer_sizes=(HIDDEN_NODES,),
            activation="tanh",
            alpha=1.0,
            early_stopping=len(z) >= _STOPPING_FRAMES,
            max_iter=_ITERATIONS,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            network.fit(z, labels)
        return cls(
            mean,
            std,
            np.asarray(machine.support_vectors_),
            np.asarray(machine.dual_coef_[0]),
            np.asarray(machine.intercept_[0]),
            np.asarray(network.coefs_[0]),
            np.asarray(network.intercepts_[0]),
            np.asarray(network.coefs_[1][:, 0]),
            np.asarray(network.intercepts_[1][0]),
        )

    def predict(self, outputs: Array) -> Array:
        """Map shape (frames, n) to (frames,)."""
        z = (outputs - self.mean) / self.std
        kernel = (z @ self.support_vectors.T / z.shape[1] + 1.0) ** KERNEL_DEGREE
        by_machine = kernel @ self.dual_coefficients + self.intercept
        by_network = np.tanh(z @ self.hidden_weight + self.hidden_bias) @ self.output_weight + self.output_bias
        mean: Array = (by_machine + by_network) / 2
        return mean


@dataclass(frozen=True)
class Fusion:
    """The fusion of both dimensions."""

    valence: Regressor
    arousal: Regressor

    @classmethod
    def fit(cls, outputs: Sequence[FloatArray], labels: Sequence[FloatArray], seed: int) -> Fusion:
        """Fit to songs that the networks were not trained on.

        Parameters
        ----------
        outputs : sequence of ndarray, shape (frames, n, 2)
            By song: what each of n networks says.
        labels : sequence of ndarray, shape (frames, 2)
            By song.
        seed : int

        Returns
        -------
        Fusion
        """
        x = np.concatenate(outputs).astype(np.float64)
        y = np.concatenate(labels).astype(np.float64)
        return cls(*(Regressor.fit(x[..., i], y[:, i], seed) for i in range(2)))

    def predict(self, outputs: FloatArray) -> FloatArray:
        """Map a song's outputs, shape (frames, n, 2), to valence and arousal, shape (frames, 2)."""
        x = outputs.astype(np.float64)
        both = np.stack([self.valence.predict(x[..., 0]), self.arousal.predict(x[..., 1])], axis=1)
        return both.astype(np.float32)

    @property
    def parameter_count(self) -> int:
        """Numbers in the hidden and the output layers; support vectors are data, not parameters."""
        sides = (self.valence, self.arousal)
        return sum(s.hidden_weight.size + s.hidden_bias.size + s.output_weight.size + 1 for s in sides)


def cross_fitted(outputs: Sequence[FloatArray], labels: Sequence[FloatArray], seed: int) -> list[FloatArray]:
    """Return what fusions say of songs that each was not fitted to: for an honest figure on the very songs.

    Parameters are those of `Fusion.fit`; with a single song, the mean of the networks' outputs.
    """
    folds = min(_CROSS_FITS, len(outputs))
    estimates: list[FloatArray] = [song.mean(axis=1) for song in outputs]
    if folds < 2:
        return estimates
    for fold in range(folds):
        others = [i for i in range(len(outputs)) if i % folds != fold]
        fusion = Fusion.fit([outputs[i] for i in others], [labels[i] for i in others], seed)
        for i in range(fold, len(outputs), folds):
            estimates[i] = fusion.predict(outputs[i])
    return estimates
