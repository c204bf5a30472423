from __future__ import annotations

import itertools

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


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_a_day_of_a_sound_card_that_is_off_by_100_ppm(drift: float) -> None:
    blocks = 24 * 3600 * 10
    random = np.random.default_rng(0)
    # in pairs, as sound servers deliver, a little late at random, and once in a while very late
    delay = random.uniform(0, 0.05, blocks) + np.where(random.random(blocks) < 0.01, random.uniform(0, 1.0, blocks), 0)
    delay[::2] += 0.05
    positions = np.arange(1, blocks + 1) / 10
    captured = UTC + positions * (1 + drift)
    arrivals = np.maximum.accumulate(captured + delay)
    clock, told = StreamClock(), []
    for index, (position, arrival) in enumerate(zip(positions.tolist(), arrivals.tolist(), strict=True), 1):
        clock.observe(position, arrival)
        if index % 5 == 0:
            told.append(clock.time(position))
    assert np.diff(told).min() > 0
    errors = np.abs(np.array(told) - captured[4::5])
    assert errors[20:].max() < 0.02
    assert abs(24 * 3600 * drift) > 8, "a clock that only counted would be seconds off by now"


DIFFERENCES = st.one_of(st.floats(-0.1, 0.1), st.floats(-10, 10), st.floats(-1e6, 1e6))


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.floats(1e-3, 30), st.floats(0, 30), st.lists(DIFFERENCES, max_size=4)), min_size=2, max_size=60
    )
)
def test_time_never_goes_backwards_whatever_the_system_clock_does(
    steps: list[tuple[float, float, list[float]]],
) -> None:
    clock = StreamClock()
    clock.observe(0.0, UTC)
    position, told = 0.0, [clock.time(0.0)]
    for passed, lost, differences in steps:
        if lost > 1:
            position += lost
            clock.resume(position)
        for difference in differences:
            clock.observe(position, UTC + position + difference)
        position += passed
        told.append(clock.time(position))
    assert all(earlier <= later for earlier, later in itertools.pairwise(told))


@settings(max_examples=100)
@given(drift=st.floats(-1e-4, 1e-4), error=st.floats(-0.5, 0.5), waited=st.floats(0, 3.0), seed=st.integers(0, 1000))
def test_after_a_loss_time_is_right_within_seconds(drift: float, error: float, waited: float, seed: int) -> None:
    """The length of the loss is wrong by `error`, and the first seconds after it come at once, `waited` late."""
    clock = StreamClock()
    before, _ = _run(clock, 60, drift, seed)
    random = np.random.default_rng(seed)
    lost = 10.0 + error
    begin = 60 + lost
    clock.resume(begin)
    told, true = [], []
    for index in range(1, round(20 / BLOCK) + 1):
        position = begin + index * BLOCK
        captured = UTC + (position - error) * (1 + drift)
        late = max(0.0, waited - index * BLOCK)
        clock.observe(position, captured + late + random.uniform(0, 0.03))
        if index % 10 == 0:
            told.append(clock.time(position))
            true.append(captured)
    errors = np.abs(np.array(told) - np.array(true))
    assert told[0] > before[-1]
    assert (np.diff(told) > 0).all()
    settled = 4 + int(max(0.0, waited - 2) / 0.25)
    assert errors[settled + 1 :].max() < 0.02


@settings(max_examples=50)
@given(drift=st.floats(-1e-4, 1e-4), seed=st.integers(0, 1000))
def test_time_stays_right_over_a_loss_of_known_length(drift: float, seed: int) -> None:
    clock, random = StreamClock(), np.random.default_rng(seed)
    errors = []
    for index in range(1, 2400):
        position = index * BLOCK + (7.0 if index > 1200 else 0.0)
        if index == 1201:
            clock.resume(position - BLOCK)
        captured = UTC + position * (1 + drift)
        clock.observe(position, captured + random.uniform(0, 0.06))
        if index % 10 == 0:
            errors.append(abs(clock.time(position) - captured))
    assert max(errors[20:]) < 0.02


def test_what_was_observed_before_a_loss_does_not_count_after_it() -> None:
    clock = StreamClock()
    clock.observe(0.5, UTC + 0.5)
    assert clock.time(0.5) == UTC + 0.5
    clock.resume(10.5)
    assert clock.time(10.75) == UTC + 10.75, "nothing is known of it yet"
    clock.observe(11.0, UTC + 10.9)
    assert clock.time(11.0) == pytest.approx(UTC + 10.9, abs=1e-6), "an early arrival always counts"
    clock.resume(20.0)
    clock.observe(20.5, UTC + 20.8)
    assert clock.time(20.5) == pytest.approx(UTC + 20.4, abs=1e-6), "late arrivals prove nothing yet"
    clock.observe(22.5, UTC + 22.8)
    assert clock.time(22.5) == pytest.approx(UTC + 22.8, abs=1e-6), "now they do"
    clock.observe(23.0, UTC + 23.1)
    assert clock.time(23.0) == pytest.approx(UTC + 23.1, abs=1e-6), "and so do early ones"
