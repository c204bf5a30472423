"""A publisher that sends whatever it likes: at `decode`, at a real socket, and at ``moodring watch``."""

from __future__ import annotations

import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.fuzzing.running import resident_kilobytes
from scripts.benchmarks.fuzzing.wire import BETWEEN, WireTarget
from streamer.messages import (
    LARGEST_COUNT,
    LONGEST_TEXT,
    MAXIMUM_BODY_BYTES,
    Estimate,
    MessageError,
    Mood,
    Status,
    decode,
    encode,
    to_json,
)
from streamer.subscriber import PublisherSilent, Subscriber
from streamer.view import plain_line
from tests.fuzzing import survives

WATCH = [sys.executable, "-m", "streamer.cli", "watch"]
ESTIMATE = Estimate("a", 0, 1.0, 0.5, 0.1, -0.2, None, None, Mood(0.1, -0.2), "tracking", -20.0, 0.0, "m")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def test_thousands_of_damaged_messages(tmp_path: Path) -> None:
    survives("wire", 5000, tmp_path)


@given(changes=st.dictionaries(st.sampled_from(list(json.loads(to_json(ESTIMATE)))), ANYTHING, min_size=1))
def test_a_message_with_anything_in_its_fields_is_refused_or_right(changes: dict[str, object]) -> None:
    fields = {**json.loads(to_json(ESTIMATE)), **changes}
    try:
        message = decode([b"emotion/a/", json.dumps(fields).encode()])
    except MessageError:
        return
    assert isinstance(message, Estimate)
    for value in (message.valence, message.arousal, message.mood.valence, message.mood.arousal):
        assert value is None or -1 <= value <= 1
    decode(encode(message))
    plain_line(message)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position", 1e308),
        ("position", 10**300),
        ("time", 1e13),
        ("loudness", -1e300),
        ("lag", 1e99),
        ("valence_std", 1e300),
        ("sequence", LARGEST_COUNT + 1),
        ("sequence", 10**4000),
        ("version", True),
        ("version", 1.0),
    ],
)
def test_numbers_that_could_not_be_shown_are_refused(field: str, value: object) -> None:
    fields = {**json.loads(to_json(ESTIMATE)), field: value}
    with pytest.raises(MessageError):
        decode([b"emotion/a/", json.dumps(fields).encode()])


@pytest.mark.parametrize("depth", [100, 300, 900, 980, 1000, 5000])
def test_nesting_is_refused_at_every_depth(depth: int) -> None:
    for field in ("version", "stream", "mood", "state"):
        body = f'{{"{field}": {"[" * depth}{"]" * depth}}}'
        with pytest.raises(MessageError):
            decode([b"emotion/a/", body.encode()])


@contextmanager
def publisher() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with context.socket(zmq.XPUB) as sender:
            sender.setsockopt(zmq.LINGER, 0)
            sender.setsockopt(zmq.SNDHWM, 0)
            sender.setsockopt(zmq.XPUB_VERBOSE, 1)
            sender.setsockopt(zmq.RCVTIMEO, 20_000)
            port = sender.bind_to_random_port("tcp://127.0.0.1")
            yield sender, f"tcp://127.0.0.1:{port}"
    finally:
        context.term()


def await_subscriptions(sender: zmq.Socket[bytes], topics: int = 2) -> None:
    while topics:
        topics -= sender.recv()[:1] == b"\x01"  # and not that someone has gone


def test_long_texts_are_cut_off() -> None:
    status = decode(encode(Status("a", 0, 1.0, "failed", 0.0, "é" * 10_000)))
    assert isinstance(status, Status)
    assert status.reason == "é" * LONGEST_TEXT


def test_a_subscriber_hears_the_valid_among_thousands_of_others() -> None:
    target = WireTarget()
    chance = random.Random(3)
    with publisher() as (sender, endpoint), Subscriber(endpoint, timeout=20) as subscriber:
        await_subscriptions(sender)
        heard = 0
        for batch in range(30):
            for _ in range(100):
                frames = target.make(chance).split(BETWEEN)
                # what is larger ends the connection, which the next test is about
                if frames[0].startswith((b"emotion/", b"status/")) and max(map(len, frames)) <= MAXIMUM_BODY_BYTES:
                    sender.send_multipart(frames[:5])
            sender.send_multipart(encode(Estimate(**{**vars(ESTIMATE), "stream": "valid", "sequence": batch})))
            while True:
                message = subscriber.receive()
                if isinstance(message, Estimate) and message.stream == "valid":
                    assert message.sequence == heard
                    heard += 1
                    break
        assert heard == 30
        assert subscriber.refused > 1000


def test_a_frame_that_is_too_large_is_never_taken_into_memory() -> None:
    with publisher() as (sender, endpoint), Subscriber(endpoint, timeout=20) as subscriber:
        await_subscriptions(sender)
        before = resident_kilobytes()
        body = bytes(64 << 20)
        sender.send_multipart([b"emotion/a/", body], copy=False)
        with pytest.raises(PublisherSilent):
            subscriber.receive(timeout=3)  # it is cut off, and comes back
        await_subscriptions(sender)
        after = resident_kilobytes()
        sender.send_multipart(encode(ESTIMATE))
        assert subscriber.receive() == ESTIMATE
        # the body itself is in this process, once
        assert after - before < 100 * 1024
        sender.send_multipart([b"emotion/a/", b" " * MAXIMUM_BODY_BYTES])
        sender.send_multipart(encode(Estimate(**{**vars(ESTIMATE), "sequence": 1})))
        assert subscriber.receive().sequence == 1
        assert subscriber.refused == 1


def test_a_publisher_that_claims_a_terabyte_is_left() -> None:
    """A peer that speaks ZMTP 3.0 up to the length of a frame (rfc.zeromq.org/spec/23)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        with Subscriber(f"tcp://127.0.0.1:{port}", timeout=0.2) as subscriber:
            before = resident_kilobytes()
            connection, _ = server.accept()
            with connection:
                connection.settimeout(20)
                connection.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
                properties = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 3) + b"PUB"
                connection.sendall(b"\x04" + bytes([len(properties)]) + properties)
                connection.sendall(b"\x01\x0aemotion/a/")
                connection.sendall(b"\x02" + struct.pack(">Q", 1 << 40) + bytes(1000))
                with suppress(ConnectionResetError):
                    while connection.recv(1000):
                        pass
            with pytest.raises(PublisherSilent):
                subscriber.receive()
            assert resident_kilobytes() - before < 50 * 1024


@pytest.mark.parametrize("garbage", [b"", b"GET / HTTP/1.0\r\n\r\n", bytes(range(256)) * 40, b"\xff" + bytes(63) * 9])
def test_a_peer_that_is_no_publisher_is_only_silence(garbage: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        with Subscriber(f"tcp://127.0.0.1:{server.getsockname()[1]}", timeout=0.3) as subscriber:
            connection, _ = server.accept()
            with connection:
                with suppress(OSError):
                    connection.sendall(garbage)
                with pytest.raises(PublisherSilent):
                    subscriber.receive()


HOSTILE_REASON = "\x1b]0;title\x07\x1b[2J\r\n\u202egnp.exe" + "x" * 5000


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_watch_shows_a_hostile_publisher_without_being_steered(options: list[str]) -> None:
    target = WireTarget()
    chance = random.Random(4)
    with publisher() as (sender, endpoint):
        watching = subprocess.Popen(
            [*WATCH, endpoint, "--until-ended", "--stream", "a", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            await_subscriptions(sender)
            sender.send_multipart(encode(Status("a", 0, time.time(), "running", 0.0, HOSTILE_REASON)))
            sender.send_multipart(encode(Estimate(**{**vars(ESTIMATE), "model": HOSTILE_REASON})))
            for _ in range(500):
                frames = target.make(chance).split(BETWEEN)
                if frames[0].startswith((b"emotion/a/", b"status/a/")) and max(map(len, frames)) <= MAXIMUM_BODY_BYTES:
                    sender.send_multipart(frames[:5])
            sender.send_multipart(encode(Estimate(**{**vars(ESTIMATE), "sequence": 1, "model": "end"})))
            sender.send_multipart(encode(Status("a", 9, time.time(), "ended", 0.0, HOSTILE_REASON)))
            output, errors = watching.communicate(timeout=60)
        finally:
            watching.kill()
            watching.wait()
    assert (watching.returncode, errors) == (0, b"")
    lines = output.decode().splitlines()
    assert lines
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()][:3]
    if options:
        assert json.loads(lines[-1])["model"] == "end"


def test_a_publisher_with_endless_streams_takes_no_memory() -> None:
    with publisher() as (sender, endpoint):
        watching = subprocess.Popen([*WATCH, endpoint, "--until-ended"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            await_subscriptions(sender)
            # all that was heard of has ended only at the end
            sender.send_multipart(encode(Status("last", 0, time.time(), "running", 0.0, "")))
            for number in range(6000):
                sender.send_multipart(encode(Status(f"s{number}", 0, time.time(), "ended", 0.0, "x" * 1000)))
                if number % 100 == 0:
                    assert watching.stdout is not None
                    while (
                        b"last running" not in (line := watching.stdout.readline())
                        and f"s{number} ".encode() not in line
                    ):
                        pass
            peak = _memory(watching.pid)
            sender.send_multipart(encode(Status("last", 1, time.time(), "ended", 0.0, "")))
            _, errors = watching.communicate(timeout=60)
        finally:
            watching.kill()
            watching.wait()
    assert (watching.returncode, errors) == (0, b"")
    assert peak < 100 * 1024


def _read_until(watching: subprocess.Popen[bytes], text: str) -> None:
    assert watching.stdout is not None
    for line in watching.stdout:
        if line.startswith(text.encode()):
            return
    pytest.fail("it ended")


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        pytest.skip("no /proc")
    return int(status.read_text().partition("VmRSS:")[2].split()[0])
