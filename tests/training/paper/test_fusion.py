from __future__ import annotations

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the fusion needs scikit-learn (pip install moodring[train])")

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR

from training.paper.fusion import Fusion, Regressor, cross_fitted


def noisy(songs: int, frames: int, networks: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give what noisy networks say of songs, the second half of them mostly noise, and the songs' labels."""
    random = np.random.default_rng(seed)
    labels = [random.uniform(-0.5, 0.5, (1, 2)) + random.normal(0, 0.1, (frames, 2)) for _ in range(songs)]
    noise = np.where(np.arange(networks) < networks / 2, 0.1, 0.6)[:, None]
    outputs = [song[:, None] + noise * random.normal(size=(frames, networks, 2)) for song in labels]
    return [o.astype(np.float32) for o in outputs], [song.astype(np.float32) for song in labels]


def rmse(estimates: list[np.ndarray], labels: list[np.ndarray]) -> np.ndarray:
    return np.sqrt(np.mean((np.concatenate(estimates) - np.concatenate(labels)) ** 2, axis=0))


@pytest.mark.parametrize(("frames", "networks"), [(300, 6), (80, 2)])
def test_it_says_what_scikit_learn_says(frames: int, networks: int) -> None:
    outputs, labels = noisy(1, frames, networks)
    x, y = outputs[0][..., 0].astype(np.float64), labels[0][:, 0].astype(np.float64)
    ours = Regressor.fit(x, y, seed=5)

    z = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)
    machine = SVR(kernel="poly", degree=3, gamma=1 / networks, coef0=1.0, C=1e-2, epsilon=0.05).fit(z, y)
    network = MLPRegressor(
        hidden_layer_sizes=(14,), activation="tanh", alpha=1.0, early_stopping=True, max_iter=500, random_state=5
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(z, y)
    heard = np.random.default_rng(1).normal(0, 1, (50, networks))
    standardised = (heard - ours.mean) / ours.std
    np.testing.assert_allclose(ours.mean, x.mean(axis=0))
    expected = (machine.predict(standardised) + network.predict(standardised)) / 2
    np.testing.assert_allclose(ours.predict(heard), expected, atol=1e-9, rtol=0)


def test_it_is_better_than_the_mean_of_uneven_networks() -> None:
    outputs, labels = noisy(12, 60, 6)
    fusion = Fusion.fit(outputs[:8], labels[:8], 0)
    fused = [fusion.predict(song) for song in outputs[8:]]
    assert all(values.dtype == np.float32 and values.shape == (60, 2) for values in fused)
    assert (rmse(fused, labels[8:]) < 0.8 * rmse([song.mean(axis=1) for song in outputs[8:]], labels[8:])).all()


def test_valence_and_arousal_are_fused_apart() -> None:
    outputs, labels = noisy(4, 40, 3)
    fusion = Fusion.fit(outputs, labels, 0)
    other = [song.copy() for song in outputs]
    for song in other:
        song[..., 1] = 0.9
    np.testing.assert_array_equal(fusion.predict(other[0])[:, 0], fusion.predict(outputs[0])[:, 0])
    assert not np.allclose(fusion.predict(other[0])[:, 1], fusion.predict(outputs[0])[:, 1])


def test_the_seed_alone_decides() -> None:
    outputs, labels = noisy(3, 40, 2)
    once, again, other = (Fusion.fit(outputs, labels, seed).predict(outputs[0]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_no_song_is_estimated_by_a_fusion_that_was_fitted_to_it() -> None:
    outputs, labels = noisy(3, 8, 2)
    before = cross_fitted(outputs, labels, 0)
    for number in (0, 2):
        changed = [song + 0.4 * (i == number) for i, song in enumerate(labels)]
        np.testing.assert_array_equal(cross_fitted(outputs, changed, 0)[number], before[number])
        assert [values.shape for values in before] == [(8, 2)] * 3


def test_a_single_song_gets_the_mean_of_the_networks() -> None:
    outputs, labels = noisy(1, 30, 4)
    (only,) = cross_fitted(outputs, labels, 0)
    np.testing.assert_array_equal(only, outputs[0].mean(axis=1))


@pytest.mark.parametrize("frames", [1, 4, 6, 30])
def test_few_frames_and_constant_networks_are_no_obstacle(frames: int) -> None:
    outputs, labels = noisy(3, frames, 2)
    for song in outputs:
        song[:, 1] = 0.25
    assert np.isfinite(np.concatenate(cross_fitted(outputs, labels, 0))).all()
