"""musicnn beside a slow computation that follows the layers one by one, padded as they are in TensorFlow."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import model.musicnn
from model.ear import COLUMNS, MEL_BANDS
from model.errors import MoodringError
from model.musicnn import NETWORKS, MusicnnEar, MusicnnError
from model.tensorflow_checkpoint import read_tensors
from tests.model.ears_for_tests import plain_frontend, sounds

needs_musicnn = pytest.mark.skipif(
    find_spec("musicnn") is None, reason="musicnn is not installed (pip install --no-deps musicnn==0.1.0)"
)


@pytest.fixture(scope="module")
def ear() -> MusicnnEar:
    return MusicnnEar(plain_frontend())


class Slow:
    """One network, in float64, from TensorFlow's tensors."""

    def __init__(self, network: str) -> None:
        spec = find_spec("musicnn")
        assert spec is not None
        assert spec.submodule_search_locations
        self.tensors = read_tensors(Path(spec.submodule_search_locations[0]) / network)

    def get(self, name: str) -> np.ndarray:
        return self.tensors[name].astype(np.float64)

    def normalise(self, x: np.ndarray, number: int) -> np.ndarray:
        name = "batch_normalization" + (f"_{number}" if number else "")
        gamma, beta, mean, variance = (
            self.get(f"{name}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def convolve(self, picture: np.ndarray, number: int, before: int, after: int) -> np.ndarray:
        """Shape (columns, bands) to (columns, positions, filters), padded with zeros in time only."""
        name = "conv2d" + (f"_{number}" if number else "")
        kernel = self.get(f"{name}/kernel")[:, :, 0]
        padded = np.pad(picture, ((before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2])
        rows = [np.tensordot(windows[t], kernel, axes=([1, 2], [0, 1])) for t in range(len(windows))]
        return np.maximum(np.stack(rows) + self.get(f"{name}/bias"), 0)

    def channels(self, logmel: np.ndarray) -> np.ndarray:
        """Shape (columns, bands) to (columns, 753)."""
        picture = self.normalise(logmel[..., None], 0)[..., 0]
        padding = [(3, 3), (3, 3), (63, 64), (31, 32), (15, 16)]
        front = np.concatenate(
            [self.normalise(self.convolve(picture, i, *pads), i + 1).max(axis=1) for i, pads in enumerate(padding)],
            axis=1,
        )
        first, second, third = (
            lambda x, number=number: self.normalise(self.convolve(x, number, 3, 3)[:, 0], number + 1)
            for number in (5, 6, 7)
        )
        one = first(front)
        two = second(one) + one
        three = third(two) + two
        return np.concatenate([front, one, two, three], axis=1)

    def penultimate(self, maxima: np.ndarray, means: np.ndarray) -> np.ndarray:
        pooled = self.normalise(np.stack([maxima, means], axis=-1).ravel(), 9)
        return self.normalise(np.maximum(pooled @ self.get("dense/kernel") + self.get("dense/bias"), 0), 10)


@needs_musicnn
@pytest.mark.parametrize("number", range(len(NETWORKS)), ids=NETWORKS)
def test_inner_columns_are_those_of_a_padded_patch(ear: MusicnnEar, number: int) -> None:
    random = np.random.default_rng(number)
    frames = ear.shape.context + 1
    spectrograms = random.uniform(0, 4, (frames, COLUMNS, MEL_BANDS)).astype(np.float32)
    slow = Slow(NETWORKS[number]).channels(spectrograms.reshape(-1, MEL_BANDS).astype(np.float64))
    # what lies 73 columns behind the newest ones, which the longest filters and the residual layers need
    expected = slow[frames * COLUMNS - 73 - COLUMNS : frames * COLUMNS - 73]
    with torch.inference_mode():
        pooled = ear.convolve(torch.from_numpy(spectrograms)[None])[0, 0].numpy()
    of_network = pooled[number * 1506 : (number + 1) * 1506]
    np.testing.assert_allclose(of_network[:753], expected.max(axis=0), atol=2e-3, rtol=1e-3)
    np.testing.assert_allclose(of_network[753:], expected.mean(axis=0), atol=2e-3, rtol=1e-3)


@needs_musicnn
def test_what_is_said_is_the_layer_before_the_tags(ear: MusicnnEar) -> None:
    random = np.random.default_rng(2)
    pooled = random.uniform(-1, 2, (1, ear.shape.span, 3012)).astype(np.float32)
    with torch.inference_mode():
        said = ear.read_out(torch.from_numpy(pooled))[0].numpy()
    for number, network in enumerate(NETWORKS):
        part = pooled[0, :, number * 1506 : (number + 1) * 1506].astype(np.float64)
        expected = Slow(network).penultimate(part[:, :753].max(axis=0), part[:, 753:].mean(axis=0))
        np.testing.assert_allclose(said[200 * number : 200 * (number + 1)], expected, atol=1e-3, rtol=1e-3)


@needs_musicnn
def test_streams_in_batches_equal_one_stream_as_a_whole_and_gain_does_not_matter(ear: MusicnnEar) -> None:
    music, other = sounds(7, 3), sounds(7, 4)
    whole = ear.hear(music, [ear.memory()] * 7)
    assert whole.shape == (7, 400)
    memory, beside = ear.memory(), ear.memory()
    said = []
    for cut in (slice(0, 1), slice(1, 5), slice(5, 7)):
        frames = np.stack([music[cut], other[cut]], axis=1).reshape(-1, music.shape[1])
        said.append(ear.hear(frames, [memory, beside] * (len(frames) // 2))[::2])
    np.testing.assert_allclose(np.concatenate(said), whole, atol=1e-4)
    quiet = ear.hear(music * np.float32(0.1), [ear.memory()] * 7)
    np.testing.assert_allclose(quiet, whole, atol=1e-2)
    assert whole.std(axis=0).max() > 0.1


@needs_musicnn
def test_one_network_alone_says_the_same(ear: MusicnnEar) -> None:
    alone = MusicnnEar(plain_frontend(), [NETWORKS[1]])
    music = sounds(2)
    both = ear.hear(music, [ear.memory()] * 2)
    np.testing.assert_allclose(alone.hear(music, [alone.memory()] * 2), both[:, 200:], atol=1e-4)
    assert alone.digest() != ear.digest()


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model.musicnn._load.cache_clear()
    monkeypatch.setattr("model.musicnn.find_spec", lambda name: None)
    with pytest.raises(MusicnnError) as refused:
        MusicnnEar(plain_frontend())
    assert str(refused.value) == (
        "this model hears with the package musicnn, which is missing: pip install --no-deps musicnn==0.1.0"
    )
    model.musicnn._load.cache_clear()


def test_another_package_of_that_name_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.musicnn._load.cache_clear()
    other = ModuleSpec("musicnn", None, is_package=True)
    other.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("model.musicnn.find_spec", lambda name: other)
    with pytest.raises(MoodringError, match=r"^cannot read the TensorFlow checkpoint in .*MSD_musicnn.*$"):
        MusicnnEar(plain_frontend())
    monkeypatch.setattr("model.musicnn.read_tensors", lambda folder: {"dense/bias": np.zeros(7, np.float32)})
    with pytest.raises(MusicnnError, match=r"is not of musicnn 0\.1\.0; install it with pip"):
        MusicnnEar(plain_frontend())
    model.musicnn._load.cache_clear()


@needs_musicnn
def test_tensorflow_is_not_needed() -> None:
    assert "tensorflow" not in sys.modules
    assert "musicnn" not in sys.modules
