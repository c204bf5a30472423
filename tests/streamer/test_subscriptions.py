from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.subscriptions import (
    BYTES_AT_ONCE,
    BYTES_PER_SECOND,
    LONGEST_TOPIC,
    MAXIMUM_SUBSCRIPTIONS,
    MAXIMUM_TOPIC_BYTES,
    MESSAGES_AT_ONCE,
    MESSAGES_PER_SECOND,
    Account,
)

TOPICS = st.binary(max_size=3)


def _account() -> Account:
    return Account(now=0.0)


@given(st.lists(st.tuples(st.booleans(), TOPICS), max_size=MESSAGES_AT_ONCE))
def test_it_counts_what_is_subscribed_to(messages: list[tuple[bool, bytes]]) -> None:
    account, live = _account(), set[bytes]()
    for subscribe, topic in messages:
        account.take(bytes([subscribe]) + topic, now=0.0)
        (live.add if subscribe else live.discard)(topic)
        assert account.topic_bytes == sum(map(len, live))


def test_cancelling_what_was_never_subscribed_to_makes_no_room() -> None:
    account = _account()
    for number in range(MAXIMUM_SUBSCRIPTIONS):
        assert account.take(f"\x01{number}".encode(), now=number) == ""
        assert account.take(f"\x00never {number}".encode(), now=number) == ""
    assert "256 topics" in account.take(b"\x01one more", now=1e6)


def test_as_many_topics_as_allowed_and_no_more() -> None:
    account = _account()
    for number in range(MAXIMUM_SUBSCRIPTIONS):
        assert account.take(f"\x01{number}".encode(), now=0.0) == ""
        assert account.take(f"\x01{number}".encode(), now=0.0) == ""  # again, which is still one
    assert "256 topics" in account.take(b"\x01one more", now=1e6)


def test_as_many_bytes_as_allowed_and_no_more() -> None:
    account = _account()
    length = 64
    for number in range(MAXIMUM_TOPIC_BYTES // length):
        assert account.take(b"\x01" + str(number).zfill(length).encode(), now=0.0) == ""
    assert "4096 bytes" in account.take(b"\x01x", now=0.0)


def test_the_longest_topic_of_the_protocol_and_no_longer_one() -> None:
    longest = f"emotion/{'n' * 100}/".encode()
    assert len(longest) == LONGEST_TOPIC
    assert _account().take(b"\x01" + longest, now=0.0) == ""
    assert "110 bytes" in _account().take(b"\x01" + longest + b"x", now=0.0)


@pytest.mark.parametrize("per_second", [1, 60, 64, 120, 1000])
def test_the_rate_that_goes_on(per_second: int) -> None:
    account, seconds = _account(), 20
    offences = [account.take(b"\x01a", now=number / per_second) for number in range(seconds * per_second)]
    assert any(offences) == (seconds * per_second > MESSAGES_AT_ONCE + seconds * MESSAGES_PER_SECOND)


def test_what_arrives_without_becoming_a_message() -> None:
    account = _account()
    assert account.receive(BYTES_AT_ONCE, now=0.0) == ""
    assert account.receive(BYTES_AT_ONCE, now=1.0) == ""
    assert account.receive(BYTES_AT_ONCE + BYTES_PER_SECOND, now=1.0) == ""
    assert "bytes" in account.receive(BYTES_AT_ONCE + BYTES_PER_SECOND + 1, now=1.0)


@given(st.binary())
def test_any_message_is_counted_or_refused(message: bytes) -> None:
    account = _account()
    assert isinstance(account.take(message, now=0.0), str)
    assert 0 <= account.topic_bytes <= LONGEST_TOPIC
