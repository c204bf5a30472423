from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from scripts.benchmarks.bad_peers import shake_hands, subscription
from streamer.endpoints import EndpointError
from streamer.last_values import REPEAT_INTERVAL, REPEATS_AT_ONCE, REPEATS_PER_SECOND
from streamer.messages import Estimate, MessageError, Mood, Status, encode
from streamer.outbox import QUEUE_LENGTH, Outbox
from streamer.publisher import MAXIMUM_ENDED_STREAMS, Publisher, PublisherStatistics
from streamer.subscriber import PublisherSilent, Subscriber

ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)  # after a failure, too: one that is collected with its sockets open hangs


def _estimate(stream: str, sequence: int) -> Estimate:
    return Estimate(
        stream, sequence, 1.0, sequence / 2, 0.1, 0.2, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m"
    )


def test_another_process_gets_every_message_in_order() -> None:
    program = """
import json, sys
from streamer.subscriber import Subscriber
with Subscriber(sys.argv[1], until_ended=True, timeout=20) as subscriber:
    subscriber.receive()
    print("ready", flush=True)
    print(json.dumps([estimate.sequence for estimate in subscriber]))
"""
    with Publisher(ANY_PORT) as publisher:
        publisher.set_status("song", "starting")
        process = subprocess.Popen(
            [sys.executable, "-c", program, publisher.endpoint], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for sequence in range(500):
            publisher.publish(_estimate("song", sequence))
        publisher.set_status("song", "ended", reason="end of input")
        output, _ = process.communicate(timeout=20)
    assert json.loads(output) == list(range(500))


def test_a_late_subscriber_gets_the_last_value_of_each_topic() -> None:
    with Publisher(ANY_PORT) as publisher:
        for stream in ("mic1", "mic10"):
            publisher.set_status(stream, "running")
            for sequence in range(3):
                publisher.publish(_estimate(stream, sequence))
        with Subscriber(publisher.endpoint) as everything:
            newest: dict[str, int] = {}
            while newest != {"mic1": 2, "mic10": 2} or set(everything.statuses) != {"mic1", "mic10"}:
                message = everything.receive()
                if isinstance(message, Estimate):
                    newest[message.stream] = message.sequence
        with Subscriber(publisher.endpoint, "mic1") as one:
            heard = [one.receive() for _ in range(3)]
        assert {message.stream for message in heard} == {"mic1"}


def test_a_second_late_subscriber_gets_it_too() -> None:
    with Publisher(ANY_PORT) as publisher:
        publisher.publish(_estimate("a", 7))
        with Subscriber(publisher.endpoint) as first, Subscriber(publisher.endpoint) as second:
            assert next(first).sequence == 7
            assert next(second).sequence == 7


def test_statuses_come_once_a_second_without_gaps() -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "running")
        statuses = [subscriber.receive() for _ in range(3)]
        assert isinstance(statuses[0], Status)
        sequences = [status.sequence for status in statuses]
        assert sequences == list(range(sequences[0], sequences[0] + 3))
        assert 0.8 < statuses[2].time - statuses[1].time < 1.3


def test_a_heartbeat_that_is_almost_due_leaves_with_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.publisher.HEARTBEAT_INTERVAL", 3600.0)
    monkeypatch.setattr("streamer.publisher.HEARTBEAT_LEEWAY", 3600.0)
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint, timeout=10) as subscriber:
        publisher.set_status("a", "running")
        publisher.publish(_estimate("a", 0))
        newest = -1
        while isinstance(message := subscriber.receive(), Status):
            newest = max(newest, message.sequence)
        while not isinstance(message, Status) or message.sequence <= newest:
            message = subscriber.receive()


def test_a_vanished_publisher_is_reported_and_a_new_one_found() -> None:
    publisher = Publisher(ANY_PORT)
    endpoint = publisher.endpoint
    with Subscriber(endpoint, timeout=1.5) as subscriber:
        publisher.publish(_estimate("a", 0))
        publisher.set_status("a", "failed", reason="the cable was pulled")
        assert next(subscriber).sequence == 0
        while "a" not in subscriber.statuses:
            subscriber.receive()
        publisher.close()
        with pytest.raises(PublisherSilent, match="said failed: the cable was pulled"):
            next(subscriber)
        with Publisher(endpoint) as publisher:
            publisher.publish(_estimate("a", 3))
            assert next(subscriber).sequence == 3


def test_latest_skips_what_queued_up() -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        assert subscriber.latest() is None
        publisher.set_status("a", "running")
        subscriber.receive()
        for sequence in range(50):
            publisher.publish(_estimate("a", sequence))
        newest = None
        while newest is None or newest.sequence < 49:
            newest = subscriber.latest(timeout=5)
        assert subscriber.latest() is None
    with pytest.raises(PublisherSilent), Subscriber("tcp://127.0.0.1:1") as alone:
        alone.latest(timeout=0.1)


def test_strangers_messages_are_passed_over(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    socket = context.socket(zmq.XPUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    with Subscriber(f"tcp://127.0.0.1:{port}") as subscriber:
        socket.recv()
        socket.recv()
        socket.send_multipart([b"emotion/a/", b"not json"])
        socket.send_multipart([b"emotion/a/", b"{}", b"third"])
        socket.send_multipart(encode(_estimate("a", 1)))
        assert next(subscriber).sequence == 1
        assert subscriber.refused == 2


def test_closing_sends_what_was_queued_and_frees_the_port() -> None:
    publisher = Publisher(ANY_PORT)
    with Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "running")
        subscriber.receive()
        for sequence in range(200):
            publisher.publish(_estimate("a", sequence))
        publisher.close()
        publisher.close()
        assert [next(subscriber).sequence for _ in range(200)] == list(range(200))
    with Publisher(publisher.endpoint):
        pass


def test_another_subscriber_repeats_nothing_for_the_first() -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as first:
        publisher.publish(_estimate("a", 0))
        assert next(first).sequence == 0
        with Subscriber(publisher.endpoint) as second:
            assert next(second).sequence == 0  # so the last value has been sent to all once more
        publisher.publish(_estimate("a", 1))
        assert next(first).sequence == 1


def test_a_forgotten_subscriber_does_not_hang() -> None:
    program = """
import gc
from streamer.subscriber import Subscriber
subscriber = Subscriber("tcp://127.0.0.1:9")
subscriber.myself = subscriber  # found by the garbage collector only
del subscriber
gc.collect()
Subscriber("tcp://127.0.0.1:9")
kept = Subscriber("tcp://127.0.0.1:9")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_subscriber_that_never_reads_holds_nobody_up(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as good:
        stuck = context.socket(zmq.SUB)
        stuck.setsockopt(zmq.RCVHWM, 1)
        stuck.connect(publisher.endpoint)
        stuck.subscribe(b"")
        publisher.set_status("a", "running")
        good.receive()
        for sequence in range(5000):
            publisher.publish(_estimate("a", sequence))
            if sequence % 100 == 99:
                assert [next(good).sequence for _ in range(100)] == list(range(sequence - 99, sequence + 1))


def test_peers_that_come_and_go_repeat_little_for_the_others() -> None:
    with Publisher(ANY_PORT) as publisher, zmq.Context() as context, context.socket(zmq.SUB) as good:
        publisher.publish(_estimate("a", 0))
        good.connect(publisher.endpoint)
        good.subscribe(b"emotion/")
        assert good.poll(10_000)
        began, visits = time.monotonic(), 0
        while time.monotonic() < began + 1.0 or visits < 10:
            with shake_hands(publisher.endpoint) as visitor:
                visitor.sendall(subscription(b"emotion/") + subscription(b"emotion/a/"))
                visitor.settimeout(10)
                assert b"emotion/a/" in visitor.recv(4096)  # it gets its last value nevertheless
            visits += 1
        heard = 0
        while good.poll(200):
            good.recv_multipart()
            heard += 1
        assert heard <= REPEATS_AT_ONCE + (time.monotonic() - began) * REPEATS_PER_SECOND + 1


def test_a_late_subscriber_gets_its_last_value_soon_while_others_come_and_go() -> None:
    with Publisher(ANY_PORT) as publisher:
        publisher.publish(_estimate("a", 7))
        waits = []
        for _ in range(9):
            with shake_hands(publisher.endpoint) as late:
                late.settimeout(10)
                asked = time.monotonic()
                late.sendall(subscription(b"emotion/"))
                assert b"emotion/a/" in late.recv(4096)
                waits.append(time.monotonic() - asked)
        assert sorted(waits)[4] < 2 * REPEAT_INTERVAL


def test_streams_that_have_ended_are_forgotten_in_time() -> None:
    with Publisher(ANY_PORT) as publisher:
        publisher.set_status("first", "running")
        for number in range(3 * MAXIMUM_ENDED_STREAMS):
            publisher.publish(_estimate(f"s{number}", 0))
            publisher.set_status(f"s{number}", "ended")
        for number in range(MAXIMUM_ENDED_STREAMS):
            publisher.publish(_estimate(f"without{number}", 0))
        publisher.set_status("again", "ended")
        publisher.set_status("again", "running")
        deadline = time.monotonic() + 20
        while publisher.statistics().sent < 1 + 7 * MAXIMUM_ENDED_STREAMS + 2:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        with Subscriber(publisher.endpoint) as late:
            heard = set[str]()
            while not {"first", "again"} <= heard or len(heard) < MAXIMUM_ENDED_STREAMS + 1:
                assert time.monotonic() < deadline
                heard.add(late.receive().stream)
            heard |= {late.receive().stream for _ in range(2)}  # a second later there is nothing but their statuses
        # "again" had ended for a moment, and taken the place of one of the others
        assert len(heard - {"first", "again"}) == MAXIMUM_ENDED_STREAMS - 1


def test_statistics() -> None:
    with Publisher(ANY_PORT) as publisher:
        assert publisher.statistics() == PublisherStatistics(0, 0, 0, 0, 0)
        with Subscriber(publisher.endpoint) as subscriber:
            publisher.publish(_estimate("a", 0))
            publisher.set_status("a", "ended")
            assert next(subscriber).sequence == 0
            while "a" not in subscriber.statuses:
                subscriber.receive()
            assert publisher.statistics() == PublisherStatistics(1, 2, 0, 0, 0)
    assert publisher.statistics().sent == 2


def test_a_publisher_that_is_held_up_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.outbox.PATIENCE", 0.2)
    with zmq.Context() as context:
        outbox: Outbox[int] = Outbox(context)
        for number in range(QUEUE_LENGTH):
            outbox.put(number)
        began = time.monotonic()
        for _ in range(QUEUE_LENGTH):
            outbox.put(-1)
        assert 0.2 <= time.monotonic() - began < 5.0  # waited once, not every time
        assert outbox.dropped == QUEUE_LENGTH
        assert len(caplog.records) == 1
        assert outbox.take() == list(range(QUEUE_LENGTH))
        outbox.put(7)
        assert outbox.take() == [7]
        assert outbox.empty
        outbox.close()
        outbox.close_entry()


def test_a_taken_port() -> None:
    with Publisher(ANY_PORT) as publisher, pytest.raises(EndpointError, match="already in use"):
        Publisher(publisher.endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:5588",
        "tcp://127.0.0.1",
        "tcp://:5588",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:port",
        "udp://127.0.0.1:5588",
        "ipc://",
        "",
        "tcp://127.0.0.1:5588\nx",
    ],
)
def test_malformed_endpoints(endpoint: str) -> None:
    with pytest.raises(EndpointError, match="is not an endpoint"):
        Publisher(endpoint)
    with pytest.raises(EndpointError, match="is not an endpoint"):
        Subscriber(endpoint)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "192.168.1.5", "[::]", "eth0", "localhost.example.org"])
def test_open_endpoints_need_leave(host: str) -> None:
    with pytest.raises(EndpointError, match=r"open to the network, unencrypted.*--insecure"):
        Publisher(f"tcp://{host}:*")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "tcp://127.1.2.3:*", "tcp://lo:*", "tcp://localhost:*"])
def test_loopback_needs_none(endpoint: str) -> None:
    Publisher(endpoint).close()


def test_ipc(tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path}/moodring.sock") as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.publish(_estimate("a", 0))
        assert next(subscriber).sequence == 0


def test_ipc_does_not_push_another_publisher_out(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/moodring.sock"
    with Publisher(endpoint) as first, Subscriber(endpoint) as subscriber:
        with pytest.raises(EndpointError, match="already in use"):
            Publisher(endpoint)
        first.publish(_estimate("a", 0))
        assert next(subscriber).sequence == 0


def test_ipc_takes_over_what_a_dead_program_left(tmp_path: Path) -> None:
    path = tmp_path / "moodring.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Publisher(f"ipc://{path}") as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.publish(_estimate("a", 0))
        assert next(subscriber).sequence == 0


def test_ipc_removes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(b"precious")
    with pytest.raises(EndpointError, match="there is something else at that path"):
        Publisher(f"ipc://{path}")
    assert path.read_bytes() == b"precious"


def test_an_address_of_another_machine() -> None:
    with pytest.raises(EndpointError, match="names no address of this machine"):
        Publisher("tcp://203.0.113.7:5588", insecure=True)


def test_names_that_cannot_be_topics() -> None:
    with Publisher(ANY_PORT) as publisher, pytest.raises(MessageError, match="may hold only letters"):
        publisher.set_status("a/b", "running")
    with pytest.raises(MessageError):
        Subscriber(stream="a b")


def test_the_subscriber_needs_only_pyzmq() -> None:
    program = """
import sys
import streamer.subscriber
heavy = {"numpy", "torch", "soundfile", "soxr", "sounddevice", "click", "rich", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    assert time.monotonic() - started < 30
