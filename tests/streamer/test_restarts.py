"""A tracker that is killed and started again: what its subscribers notice of it."""

from __future__ import annotations

import time

from streamer.messages import Status
from streamer.publisher import Publisher
from streamer.subscriber import Subscriber

ANY_PORT = "tcp://127.0.0.1:*"


def _statuses(subscriber: Subscriber, count: int) -> list[Status]:
    statuses: list[Status] = []
    while len(statuses) < count:
        message = subscriber.receive(timeout=20)
        if isinstance(message, Status):
            statuses.append(message)
    return statuses


def test_a_status_tells_when_its_run_began() -> None:
    before = time.time()
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "starting")
        publisher.set_status("a", "running")
        publisher.set_status("a", "stalled")
        publisher.set_status("a", "ended")
        statuses = _statuses(subscriber, 1)
        while statuses[-1].state != "ended":
            statuses += _statuses(subscriber, 1)
    assert {status.started for status in statuses} == {statuses[0].started}
    assert statuses[0].started is not None
    assert before - 0.001 <= statuses[0].started <= statuses[0].time


def test_a_stream_that_begins_again_in_the_same_publisher_is_a_new_run() -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "running")
        (first,) = _statuses(subscriber, 1)
        publisher.set_status("a", "ended")
        publisher.set_status("a", "failed", reason="and its display broke")
        publisher.set_status("a", "starting")
        ended, failed, second = _statuses(subscriber, 3)
    assert first.started == ended.started == failed.started
    assert first.started is not None
    assert second.started is not None
    assert second.started > first.started
    assert second.sequence == first.sequence + 3
