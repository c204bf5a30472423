from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Estimate, MessageError, Mood, Status, decode, encode

UNIT = st.one_of(st.none(), st.floats(-1, 1).map(lambda value: round(value, 4)))
ESTIMATES = st.builds(
    Estimate,
    stream=st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True),
    sequence=st.integers(0, 10**9),
    time=st.floats(0, 4e9).map(lambda value: round(value, 6)),
    position=st.floats(0, 1e7).map(lambda value: round(value, 6)),
    valence=UNIT,
    arousal=UNIT,
    valence_std=st.none(),
    arousal_std=st.floats(0, 2).map(lambda value: round(value, 4)),
    mood=st.builds(Mood, UNIT, UNIT),
    state=st.sampled_from(["warming", "tracking", "silence"]),
    loudness=st.floats(-200, 60).map(lambda value: round(value, 1)),
    lag=st.sampled_from([0.0, 0.5, 9.5]),
    model=st.text(max_size=50),
)
STATUSES = st.builds(
    Status,
    stream=st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True),
    sequence=st.integers(0, 10**9),
    time=st.floats(0, 4e9).map(lambda value: round(value, 6)),
    state=st.sampled_from(["starting", "running", "stalled", "ended", "failed"]),
    dropped=st.floats(0, 1e6).map(lambda value: round(value, 6)),
    reason=st.text(max_size=100),
    invalid=st.integers(0, 10**9),
    started=st.none() | st.floats(0, 4e9).map(lambda value: round(value, 6)),
)
ESTIMATE = Estimate("a", 0, 1.0, 0.5, 0.1, -0.2, None, None, Mood(0.1, -0.2), "tracking", -20.0, 0.0, "m")


@given(message=st.one_of(ESTIMATES, STATUSES))
def test_what_is_encoded_is_decoded(message: Estimate | Status) -> None:
    assert decode(encode(message)) == message


def test_the_topic_ends_with_a_slash() -> None:
    assert encode(replace(ESTIMATE, stream="mic1"))[0] == b"emotion/mic1/"
    assert encode(Status("mic1", 0, 0.0, "running", 0.0, ""))[0] == b"status/mic1/"


def test_unknown_fields_are_ignored() -> None:
    topic, body = encode(ESTIMATE)
    assert decode([topic, json.dumps({**json.loads(body), "colour": "blue"}).encode()]) == ESTIMATE


def test_a_status_without_the_newer_fields_is_understood() -> None:
    topic, body = encode(Status("a", 0, 0.0, "running", 0.0, "", 5, 1.5))
    fields = json.loads(body)
    del fields["invalid"], fields["started"]
    decoded = decode([topic, json.dumps(fields).encode()])
    assert isinstance(decoded, Status)
    assert decoded.invalid == 0
    assert decoded.started is None


@pytest.mark.parametrize("started", ["now", -1, True, 10**400])
def test_a_start_that_is_no_time_is_refused(started: object) -> None:
    topic, body = encode(Status("a", 0, 0.0, "running", 0.0, ""))
    with pytest.raises(MessageError):
        decode([topic, json.dumps({**json.loads(body), "started": started}).encode()])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("version", None),
        ("stream", "b"),
        ("stream", "a/b"),
        ("stream", ""),
        ("sequence", -1),
        ("sequence", 1.5),
        ("sequence", True),
        ("time", "now"),
        ("time", 10**400),
        ("position", None),
        ("valence", 1.01),
        ("valence", "high"),
        ("arousal", [0.1]),
        ("valence_std", -0.1),
        ("mood", None),
        ("mood", {"valence": 7, "arousal": 0}),
        ("state", "happy"),
        ("state", ["tracking"]),
        ("loudness", None),
        ("lag", -1),
        ("model", 3),
    ],
)
def test_fields_out_of_range_are_refused(field: str, value: object) -> None:
    topic, body = encode(ESTIMATE)
    with pytest.raises(MessageError):
        decode([topic, json.dumps({**json.loads(body), field: value}).encode()])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_lacks_are_refused(number: str) -> None:
    topic, body = encode(ESTIMATE)
    with pytest.raises(MessageError):
        decode([topic, body.replace(b'"position": 0.5', f'"position": {number}'.encode())])


@given(frames=st.lists(st.binary(max_size=200), max_size=4))
def test_garbage_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(MessageError):
        decode(frames)


@given(body=st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)))
def test_other_json_is_refused(body: object) -> None:
    with pytest.raises(MessageError):
        decode([b"emotion/a/", json.dumps(body).encode()])


@pytest.mark.parametrize("body", [b"[" * 60_000, b"x" * 70_000, b"\xff\xfe", b""])
def test_hostile_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        decode([b"emotion/a/", body])


def test_what_is_not_finite_is_never_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(replace(ESTIMATE, valence=math.nan))
