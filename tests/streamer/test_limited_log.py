from __future__ import annotations

import logging

import pytest

from streamer.limited_log import INTERVAL, MAXIMUM_LINES, LimitedLog
from tests.streamer.keyring import Log


@pytest.fixture
def log() -> Log:
    return Log()


def _limited(log: Log, now: list[float]) -> LimitedLog:
    logger = logging.Logger("strangers")
    logger.addHandler(log)
    return LimitedLog(logger, lambda: now[0])


def test_the_same_is_said_once_per_interval(log: Log) -> None:
    now = [0.0]
    limited = _limited(log, now)
    for _ in range(1000):
        limited.warning("him", "he is here")
    assert log.lines == ["he is here"]
    now[0] = INTERVAL
    limited.warning("him", "he is here again")
    assert log.lines == ["he is here", "he is here again"]


def test_many_different_ones_are_counted(log: Log) -> None:
    now = [0.0]
    limited = _limited(log, now)
    for number in range(MAXIMUM_LINES + 480):
        limited.warning(str(number), f"{number} is here")
    assert log.lines == [f"{number} is here" for number in range(MAXIMUM_LINES)]
    now[0] = INTERVAL + 1
    limited.warning("him", "100% of %s")
    assert log.lines[MAXIMUM_LINES:] == ["480 more like these in the last 61 s", "100% of %s"]
