from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.last_values import (
    MAXIMUM_PREFIXES,
    REPEAT_INTERVAL,
    REPEATS_AT_ONCE,
    REPEATS_PER_SECOND,
    LastValues,
)

TOPICS = [b"emotion/mic1/", b"emotion/mic10/", b"status/mic1/", b"status/mic10/"]


def _values() -> LastValues:
    values = LastValues()
    for stream in ("mic1", "mic10"):
        for kind in ("emotion", "status"):
            for body in (b"older", b"newer"):
                values.remember(stream, [f"{kind}/{stream}/".encode(), body])
    return values


def _topics(taken: list[list[bytes]]) -> list[bytes]:
    assert all(body == b"newer" for _, body in taken)
    return sorted(topic for topic, _ in taken)


def test_the_first_is_answered_at_once_and_further_ones_together() -> None:
    values = _values()
    assert values.due == math.inf
    assert values.take_due(0.0) == []
    values.ask(b"emotion/mic1/", 5.0)
    assert values.due == 5.0
    assert _topics(values.take_due(5.0)) == [b"emotion/mic1/"]
    values.ask(b"status/mic1", 5.01)
    values.ask(b"status/mic1", 5.02)
    values.ask(b"status/mic10/", 5.03)
    values.ask(b"status/mic10/x", 5.03)
    assert values.take_due(5.04) == []
    assert values.due == 5.0 + REPEAT_INTERVAL
    assert _topics(values.take_due(values.due)) == [b"status/mic1/", b"status/mic10/"]
    assert values.take_due(100.0) == []


@given(st.lists(st.tuples(st.floats(0, 0.05), st.sampled_from([b"", b"e", b"status/mic10/", b"x"])), max_size=200))
def test_everybody_is_answered_soon_and_nobody_more_often_than_agreed(asked: list[tuple[float, bytes]]) -> None:
    values, now, answers = _values(), 0.0, list[float]()
    waiting: dict[bytes, float] = {}
    for pause, prefix in asked:
        until = now + pause
        while values.due <= until:
            now = values.due
            taken = [topic for topic, _ in values.take_due(now)]
            for wanted, since in waiting.items():
                assert now - since <= max(REPEAT_INTERVAL, 1 / REPEATS_PER_SECOND) + 1e-9
                assert all(topic in taken for topic in TOPICS if topic.startswith(wanted))
            waiting.clear()
            answers.append(now)
        now = until
        values.ask(prefix, now)
        waiting.setdefault(prefix, now)
    assert not waiting or values.due <= now + 1 / REPEATS_PER_SECOND + 1e-9
    assert all(later - earlier >= REPEAT_INTERVAL - 1e-9 for earlier, later in pairwise(answers))
    assert len(answers) <= REPEATS_AT_ONCE + (answers[-1] if answers else 0.0) * REPEATS_PER_SECOND + 1


def test_what_has_left_since_the_last_asked_is_not_repeated() -> None:
    values = _values()
    values.ask(b"", 0.0)
    values.take_due(0.0)
    values.ask(b"emotion/", 0.01)
    values.ask(b"status/", 0.02)
    values.remember("mic1", [b"emotion/mic1/", b"newer"])
    values.remember("mic1", [b"status/mic1/", b"newer"])
    values.ask(b"status/", 0.03)
    assert _topics(values.take_due(1.0)) == [b"emotion/mic10/", b"status/mic1/", b"status/mic10/"]
    values.ask(b"emotion/mic1/", 2.0)
    assert _topics(values.take_due(2.0)) == [b"emotion/mic1/"]


def test_so_many_that_everything_is_repeated() -> None:
    values = _values()
    for number in range(3 * MAXIMUM_PREFIXES):
        values.ask(b"%d" % number, 0.0)
    assert len(values.take_due(0.0)) == 4


def test_a_stream_that_has_gone() -> None:
    values = _values()
    values.forget("mic1")
    values.forget("never heard of")
    values.ask(b"", 0.0)
    assert _topics(values.take_due(0.0)) == [b"emotion/mic10/", b"status/mic10/"]
    assert len(values) == 2
