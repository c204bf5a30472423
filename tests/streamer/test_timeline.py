from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.live import PIPE_PROGRESS, PIPE_SETTLING, PIPE_UNEVENNESS
from streamer.recorder import PROGRESS, SETTLING, UNEVENNESS
from streamer.timeline import Timeline

BLOCK = 0.02
DELAYS = st.lists(st.floats(0, 0.8 * PROGRESS), min_size=400, max_size=400)
"""How much later than it was recorded each block comes."""


def _microphone(delays: list[float], start: float = 100.0) -> tuple[Timeline, float]:
    """Give a timeline that has heard blocks at their own pace, and the position that it has come to."""
    timeline = Timeline(UNEVENNESS, SETTLING, PROGRESS)
    for i, delay in enumerate(delays, 1):
        assert timeline.observe(i * BLOCK, start + i * BLOCK + delay) == 0.0
    return timeline, len(delays) * BLOCK


@settings(max_examples=40)
@given(delays=DELAYS, lost=st.floats(UNEVENNESS + 0.1, 1e5))
def test_what_stays_late_is_missing_once(delays: list[float], lost: float) -> None:
    before, after = delays[:200], delays[200:]
    timeline, position = _microphone(before)
    missing = 0.0
    decided = []
    for delay in after:
        position += BLOCK
        verdict = timeline.observe(position + missing, 100.0 + position + lost + delay)
        if verdict is not None and verdict > 0:
            missing += verdict
            decided.append(position)
    assert len(decided) == 1
    assert missing == pytest.approx(lost, abs=PROGRESS)
    # each further fall of lateness by `PROGRESS` begins the wait anew, and delays do not vary by so much
    assert decided[0] - 200 * BLOCK <= SETTLING + 3 * BLOCK + PROGRESS


@settings(max_examples=40)
@given(delays=DELAYS, stopped=st.floats(0.1, 60), speed=st.floats(2.0, 1000.0))
def test_a_backlog_is_not_missing(delays: list[float], stopped: float, speed: float) -> None:
    timeline, position = _microphone(delays[:100])
    start = 100.0 + position
    now = start + stopped
    while position + 100.0 < now:
        position += BLOCK
        now += BLOCK / speed
        assert not timeline.observe(position, now)
    for delay in delays[100:]:
        position += BLOCK
        assert not timeline.observe(position, 100.0 + position + delay)


@settings(max_examples=10)
@given(delays=DELAYS, parts_per_million=st.integers(-200, 200))
def test_a_sound_cards_own_clock_is_followed(delays: list[float], parts_per_million: int) -> None:
    timeline = Timeline(UNEVENNESS, SETTLING, PROGRESS)
    drift = 1 + parts_per_million / 1e6
    for i in range(20 * len(delays)):
        position = (i + 1) * 0.5
        assert timeline.observe(position, position * drift + delays[i % len(delays)]) == 0.0
    assert timeline.origin == pytest.approx(position * (drift - 1), abs=PROGRESS + 0.01)


def test_where_something_is_known_to_be_missing_no_lateness_is_tolerated() -> None:
    timeline, position = _microphone([0.0] * 50)
    verdicts = []
    for _ in range(30):
        position += BLOCK
        verdicts.append(timeline.observe(position, 100.0 + position + 0.1, strict=True))
        if verdicts[-1]:
            break
    assert verdicts[-1] == pytest.approx(0.1)
    assert set(verdicts[:-1]) == {None}


def _pipe() -> Timeline:
    return Timeline(PIPE_UNEVENNESS, PIPE_SETTLING, PIPE_PROGRESS)


@given(paused=st.floats(PIPE_UNEVENNESS + 0.1, 1e4))
def test_what_a_pipe_brings_at_its_own_pace_after_a_pause_is_new_again(paused: float) -> None:
    timeline = _pipe()
    for i in range(1, 100):
        timeline.observe(0.5 * i, 10 + 0.5 * i)
    for i in range(100, 110):
        late = timeline.observe(0.5 * i, 10 + paused + 0.5 * i)
        if late:
            timeline.shift(late)
            break
    assert (i - 100) * 0.5 <= PIPE_SETTLING + 0.5
    assert timeline.origin == pytest.approx(10 + paused)


@given(stopped=st.floats(PIPE_UNEVENNESS + 0.1, 600))
def test_what_waited_in_a_pipe_is_not_new(stopped: float) -> None:
    timeline = _pipe()
    for i in range(1, 100):
        timeline.observe(0.5 * i, 10 + 0.5 * i)
    now = 10 + 50 + stopped
    i = 100
    while 10 + 0.5 * i < now:
        now += 0.02
        assert not timeline.observe(0.5 * i, now)
        i += 1
    assert timeline.origin == pytest.approx(10)
