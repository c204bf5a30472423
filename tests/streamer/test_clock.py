from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.clock import StreamClock

BLOCK = 0.05
UTC = 1.8e9


def _run(clock: StreamClock, seconds: float, drift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Feed blocks that come up to 60 ms late; give the clock's time and the true time of every frame's end."""
    random = np.random.default_rng(seed)
    told, true = [], []
    for index in range(1, round(seconds / BLOCK) + 1):
        position = index * BLOCK
        captured = UTC + position * (1 + drift)
        clock.observe(position, captured + random.uniform(0, 0.06))
        if index % 10 == 0:
            told.append(clock.time(position))
            true.append(captured)
    return np.array(told), np.array(true)


@settings(max_examples=20, deadline=None)
@given(drift=st.floats(-1e-4, 1e-4), seed=st.integers(0, 1000))
def test_a_drifting_sound_card_is_followed(drift: float, seed: int) -> None:
    told, true = _run(StreamClock(), 1800, drift, seed)
    assert (np.diff(told) > 0).all()
    assert np.abs(told - true)[20:].max() < 0.02


def test_uneven_arrival_does_not_show() -> None:
    told, _ = _run(StreamClock(), 600, 0.0)
    np.testing.assert_allclose(np.diff(told), 0.5, atol=3e-3)


def test_a_clock_that_is_set_back_does_not_make_time_go_backwards() -> None:
    clock = StreamClock()
    told = []
    for index in range(1, 1200):
        position = index * 0.5
        clock.observe(position, UTC + position - (3600 if index > 600 else 0))
        told.append(clock.time(position))
    assert (np.diff(told) > 0).all()


def test_a_jump_forward_is_followed_at_once() -> None:
    clock = StreamClock()
    for index in range(1, 200):
        position = index * 0.5
        clock.observe(position, UTC + position + (100 if index > 100 else 0))
        clock.time(position)
    assert clock.time(100.0) == pytest.approx(UTC + 200.0)


def test_no_time_before_the_first_arrival() -> None:
    with pytest.raises(ValueError, match="no arrival"):
        StreamClock().time(0.0)
