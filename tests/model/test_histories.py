"""Histories of several lengths that are estimated at once are estimated as each is by itself."""

from __future__ import annotations

import numpy as np
import pytest

from model.checkpoint import Checkpoint


def _histories(checkpoint: Checkpoint, lengths: list[int]) -> list[np.ndarray]:
    samples = np.random.default_rng(0).normal(0, 0.1, (checkpoint.history, 11025)).astype(np.float32)
    samples *= np.linspace(0.001, 1, len(samples), dtype=np.float32)[:, None]  # the loudest comes last
    rows = checkpoint.features(samples, [checkpoint.memory()] * len(samples))
    return [rows[:length] for length in lengths]


@pytest.mark.parametrize("lag", [0, 1, 9, 10, 11, 30])
def test_estimated_at_once_or_one_by_one(checkpoint: Checkpoint, lag: int) -> None:
    lengths = [n for n in (1, 12, 19, 20, 21, 40, 40, 41, 50, 119, 120, 120) if n > lag]
    histories = _histories(checkpoint, lengths)
    at_once = checkpoint.estimate_histories(histories, lag)
    assert len(at_once) == len(histories)
    for history, (values, stds) in zip(histories, at_once, strict=True):
        alone, std_alone = checkpoint.estimate_with_std(history[None], lag)
        np.testing.assert_allclose(values, alone[0], atol=1e-6)
        assert stds is not None
        assert std_alone is not None
        np.testing.assert_allclose(stds, std_alone[0], atol=1e-6)


def test_no_histories(checkpoint: Checkpoint) -> None:
    assert checkpoint.estimate_histories([]) == []
