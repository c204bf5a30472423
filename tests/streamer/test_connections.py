"""What a publisher's connections may do: each with a real peer that does it."""

from __future__ import annotations

import gc
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from scripts.benchmarks.bad_peers import connect, shake_hands, subscription
from streamer import connections, publisher, subscriptions
from streamer.endpoints import EndpointError
from streamer.guard import Guard
from streamer.keys import ServerKeys
from streamer.messages import Estimate, Mood
from streamer.peer_sockets import PeerSockets, connection_limit
from streamer.publisher import Publisher
from streamer.subscriber import Subscriber
from streamer.subscriptions import MAXIMUM_SUBSCRIPTIONS
from tests.conftest import REPOSITORY
from tests.streamer.bridged import free_port

ANY_PORT = "tcp://127.0.0.1:*"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are looked at as POSIX systems have them")


def _estimate(sequence: int, stream: str = "a") -> Estimate:
    return Estimate(
        stream, sequence, 1.0, sequence / 2, 0.1, 0.2, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m"
    )


def _until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def _name(connection: socket.socket) -> str:
    host, port = connection.getsockname()
    return f"{host}:{port}"


@pytest.fixture
def alone() -> Iterator[Publisher]:
    with Publisher(ANY_PORT) as publisher:
        yield publisher


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: moodring\r\n\r\n", "does not speak ZMTP 3"),
        (bytes(range(256)), "does not speak ZMTP 3"),
        (b"\xff" + bytes(8) + b"\x7f\x01\x02" + b"\0\0" + subscription(b"emotion/"), "does not speak ZMTP 3"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32), "has no key, or one where none"),
        (b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32) + b"\x04\x06\x05HELLO", "garbage"),
        (b"", "did not complete the handshake"),
    ],
)
def test_who_is_no_subscriber_is_refused_by_address(
    alone: Publisher, caplog: pytest.LogCaptureFixture, said: bytes, reason: str
) -> None:
    with connect(alone.endpoint) as stranger:
        _until(lambda: alone.statistics().connections == 1)
        stranger.sendall(said)
        if not said:
            stranger.shutdown(socket.SHUT_WR)
        _until(lambda: alone.statistics().connections == 0)
        _until(lambda: alone.statistics().refused_handshakes == 1)
        assert f"refused a connection from {_name(stranger)}" in caplog.text
        assert reason in caplog.text


def test_who_says_nothing_is_gone_soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(publisher, "HANDSHAKE_TIMEOUT", 0.2)
    with Publisher(ANY_PORT) as alone, connect(alone.endpoint) as stranger:
        stranger.settimeout(10)
        while stranger.recv(1000):
            pass  # the greeting, and then the end
        _until(lambda: alone.statistics().refused_handshakes == 1)
        assert "did not complete the handshake" in caplog.text


def test_a_subscriber_without_a_key_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "clients"
    folder.mkdir(mode=0o755)
    public, secret = zmq.curve_keypair()
    guarded = Publisher(ANY_PORT, keys=ServerKeys(public, secret, folder))
    with guarded, connect(guarded.endpoint) as stranger:
        _until(lambda: guarded.statistics().connections == 1)
        stranger.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        _until(lambda: guarded.statistics().refused_handshakes == 1)
        assert f"refused a connection from {_name(stranger)}: it has no key" in caplog.text


@pytest.mark.parametrize("size", [2000, 1 << 30, 1 << 40])
def test_a_message_without_end_is_refused_before_it_is_kept(alone: Publisher, size: int) -> None:
    with shake_hands(alone.endpoint) as stranger:
        stranger.sendall(b"\x02" + struct.pack(">Q", size))
        stranger.settimeout(10)
        assert stranger.recv(1) == b""
    _until(lambda: alone.statistics().connections == 0)


def test_strangers_cannot_fill_the_log(alone: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    for count in range(60):
        with connect(alone.endpoint) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            _until(lambda count=count: alone.statistics().refused_handshakes > count)  # type: ignore[misc]
    assert 1 <= len(caplog.records) <= 6


def _flood(alone: Publisher, messages: bytes, caplog: pytest.LogCaptureFixture, offence: str) -> None:
    with Subscriber(alone.endpoint, "a", timeout=20) as good:
        alone.publish(_estimate(0))
        assert next(good).sequence == 0
        with shake_hands(alone.endpoint) as flooder:
            address = _name(flooder)
            flooder.settimeout(0.1)
            unsent = memoryview(messages)
            while unsent and alone.statistics().disconnected_floods == 0:
                try:
                    unsent = unsent[flooder.send(unsent) :]
                except TimeoutError:
                    continue
                except OSError:
                    break  # thrown out
            _until(lambda: alone.statistics().disconnected_floods == 1)
        _until(lambda: alone.statistics().connections == 1)
        for sequence in range(1, 100):
            alone.publish(_estimate(sequence))
        assert [next(good).sequence for _ in range(99)] == list(range(1, 100))
    assert re.search(rf"disconnected {address}: it .*{offence}", caplog.text)


def test_a_flood_of_topics(alone: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    topics = b"".join(subscription(os.urandom(50).hex().encode()) for _ in range(50_000))
    before = _memory()
    _flood(alone, topics, caplog, "4096 bytes")
    assert _memory() - before < 20  # in MB; all of them take 250


def test_a_flood_of_long_topics(alone: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    _flood(alone, b"".join(subscription(b"%0200d" % i) for i in range(20_000)), caplog, "a topic of 200 bytes")


def test_a_flood_of_messages(alone: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    _flood(alone, b"\x00\x05hello" * 50_000, caplog, "more than 512 messages")


def test_a_flood_of_changes_of_mind(alone: Publisher, caplog: pytest.LogCaptureFixture) -> None:
    _flood(alone, (subscription(b"a") + b"\x00\x02\x00a") * 50_000, caplog, "more than 512 messages")


@pytest.mark.skipif(sys.platform != "linux", reason="how much has arrived is asked as Linux has it")
@pytest.mark.parametrize("part", [b"\x01\x05hello", b"\x01\xff" + bytes(255), b"\x04\x07\x04PING\0\0"])
def test_a_message_of_endless_parts(alone: Publisher, caplog: pytest.LogCaptureFixture, part: bytes) -> None:
    before = _memory()
    _flood(alone, part * (20_000_000 // len(part)), caplog, "more than 131072 bytes")
    assert _memory() - before < 80  # in MB; as parts of a message it takes 180


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries cannot be asked")
def test_the_memory_of_connections_that_have_ended_is_given_back(song: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    command = [sys.executable, "-m", "streamer.start", "stream", str(song), "--quiet", "--publish", endpoint]
    with subprocess.Popen(command, cwd=REPOSITORY) as tracker, Subscriber(endpoint, timeout=60) as subscriber:
        try:
            while next(subscriber).sequence < 2:
                pass
            before = _memory(tracker.pid)
            several = [shake_hands(endpoint) for _ in range(300)]
            for connection in several:
                connection.sendall(subscription(b"emotion/"))
            _until(lambda: _memory(tracker.pid) - before > 8)  # in MB
            for connection in several:
                connection.close()
            _until(lambda: _memory(tracker.pid) - before < 4)
        finally:
            tracker.terminate()


def test_who_subscribes_to_many_streams_is_welcome(alone: Publisher) -> None:
    topics = [f"emotion/stream{number}/" for number in range(200)]
    alone.publish(_estimate(7, "stream199"))
    with zmq.Context() as context, context.socket(zmq.SUB) as many:
        many.connect(alone.endpoint)
        for topic in topics:
            many.subscribe(topic)
        assert many.poll(10_000)
        assert many.recv_multipart()[0] == b"emotion/stream199/"
    assert alone.statistics().disconnected_floods == 0


def test_who_cancels_what_another_still_has_may_subscribe_to_more(alone: Publisher) -> None:
    half = [b"%03d" % number for number in range(MAXIMUM_SUBSCRIPTIONS // 2 + 2)]
    other_half = [b"%04d" % number for number in range(len(half))]
    alone.publish(_estimate(0))
    with shake_hands(alone.endpoint) as first, shake_hands(alone.endpoint) as second:
        first.settimeout(10)
        first.sendall(b"".join(map(subscription, [*half, b"emotion/"])))
        assert b"emotion/a/" in first.recv(4096)
        second.sendall(b"".join(map(subscription, half)))
        second.sendall(b"".join(bytes([0, len(topic) + 1, 0]) + topic for topic in half))
        second.sendall(b"".join(map(subscription, [*other_half, b"emotion/"])))
        second.settimeout(10)
        assert b"emotion/a/" in second.recv(4096)
    assert alone.statistics().disconnected_floods == 0


def test_many_who_each_subscribe_to_as_much_as_they_may(
    alone: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.guard.MAXIMUM_TOPIC_BYTES_OF_ALL", 10_000)
    crowd = []
    try:
        with Subscriber(alone.endpoint, timeout=20) as good:
            for member in range(8):
                crowd.append(shake_hands(alone.endpoint))
                crowd[-1].sendall(b"".join(subscription(b"%d %030d" % (member, i)) for i in range(100)))
            _until(lambda: alone.statistics().disconnected_floods >= 5)
            _until(lambda: alone.statistics().connections <= 4)
            alone.publish(_estimate(0))
            assert next(good).sequence == 0
            assert alone.statistics().connections >= 3
    finally:
        for one in crowd:
            one.close()
    assert "subscribed to the most" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="who is at the other end is asked as Linux has it")
def test_a_flood_from_this_machine_is_named_by_its_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    alone = Publisher(f"ipc://{tmp_path}/moodring.sock")
    with alone, zmq.Context() as context, context.socket(zmq.SUB) as flooder:
        flooder.setsockopt(zmq.LINGER, 0)
        flooder.setsockopt(zmq.SNDHWM, 0)
        flooder.connect(alone.endpoint)
        for number in range(2000):
            flooder.subscribe(f"{number}")
        _until(lambda: alone.statistics().disconnected_floods > 0)
    assert f"disconnected process {os.getpid()} of user {os.getuid()}: it subscribed to more" in caplog.text


def test_an_unforeseen_error_stops_nobody(
    alone: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscriber(alone.endpoint, timeout=20) as good:
        alone.publish(_estimate(0))
        assert next(good).sequence == 0
        monkeypatch.setattr(subscriptions.Account, "take", lambda *_: 1 / 0)
        with shake_hands(alone.endpoint) as peer:
            peer.sendall(subscription(b"emotion/"))
            _until(lambda: "ZeroDivisionError" in caplog.text)
        alone.publish(_estimate(1))
        assert next(good).sequence == 1


def test_a_descriptor_that_is_something_else_by_now_is_left_alone() -> None:
    sockets = PeerSockets()
    first, first_end = socket.socketpair()
    identity = sockets.identify(first.fileno())
    assert identity is not None
    number, descriptor = identity[0], first.fileno()
    first.close()
    assert sockets.identify(descriptor) is None
    assert not sockets.shut_down(descriptor, number)
    second, second_end = socket.socketpair()
    taken = second.fileno() if second.fileno() == descriptor else os.dup2(second.fileno(), descriptor)
    assert taken == descriptor
    assert not sockets.shut_down(descriptor, number)
    second_end.sendall(b"still open")
    assert second.recv(100) == b"still open"
    identity = sockets.identify(descriptor)
    assert identity is not None
    assert sockets.shut_down(descriptor, identity[0])
    assert second_end.recv(100) == b""
    for one in (first_end, second, second_end):
        one.close()
    sockets.close()


def test_strangers_who_come_and_go_are_forgotten_though_there_is_always_more_to_hear() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        server = context.socket(zmq.XPUB)
        connections.limit_peers(server)
        watched = connections.Connections(server)
        endpoint = f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}"

        def opened() -> int:
            watched.watch()  # and `settle` never: it is for when all has been heard
            return len(watched)

        for _ in range(100):
            with connect(endpoint):
                _until(lambda: opened() == 1)
            _until(lambda: opened() == 0)
        gc.collect()
        assert sum(type(one) is connections.Connection for one in gc.get_objects()) < 10
        watched.close()
    finally:
        context.destroy(linger=0)


def test_what_a_flooder_left_behind_is_not_its_successors() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        server = context.socket(zmq.XPUB)
        server.setsockopt(zmq.XPUB_VERBOSER, 1)
        connections.limit_peers(server)
        server.setsockopt(zmq.RCVHWM, 1000)
        watched = connections.Connections(server)
        guard = Guard(watched)
        endpoint = f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}"

        def descriptors() -> set[int]:
            server.getsockopt(zmq.EVENTS)  # lets libzmq take in what has arrived
            watched.watch()
            return {connection.descriptor for connection in watched}

        def hear() -> list[bytes | None]:
            prefixes = []
            while server.poll(300):
                prefixes.append(guard.hear(server.recv(copy=False)))
            return prefixes

        with shake_hands(endpoint) as flooder:
            _until(descriptors)
            before = descriptors()
            flooder.sendall(b"".join(subscription(b"%d" % number) for number in range(MAXIMUM_SUBSCRIPTIONS)))
            taken_in = time.monotonic() + 0.5
            _until(lambda: descriptors() and time.monotonic() > taken_in)
        _until(lambda: not descriptors())
        with shake_hands(endpoint) as successor:
            _until(descriptors)
            assert descriptors() == before  # the same number, another connection
            successor.sendall(b"".join(subscription(b"own %d" % number) for number in range(10)))
            prefixes = hear()
            watched.settle()
            assert len(prefixes) > MAXIMUM_SUBSCRIPTIONS + 10
            assert b"own 9" in prefixes
            assert guard.floods == 0
            assert len(watched) == 1
            successor.sendall(b"".join(subscription(b"more %d" % number) for number in range(300)))
            hear()
            assert guard.floods == 1
        watched.close()
    finally:
        context.destroy(linger=0)


def test_more_connections_than_descriptors() -> None:
    program = """
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from streamer.publisher import Publisher
with Publisher("tcp://127.0.0.1:*") as publisher:
    publisher.set_status("a", "running")
    print(publisher.endpoint, flush=True)
    sys.stdin.readline()
    statistics = publisher.statistics()
    print(statistics.connections, statistics.refused_handshakes, flush=True)
    sys.stdin.readline()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    endpoint = process.stdout.readline().strip()
    crowd = []
    with Subscriber(endpoint, timeout=20) as good:
        before = good.receive()
        for _ in range(200):
            crowd.append(connect(endpoint))
        with Subscriber(endpoint, timeout=20) as late:
            late.receive()
        assert good.receive().sequence == before.sequence + 1
        process.stdin.write("\n")
        process.stdin.flush()
        counted, refused = map(int, process.stdout.readline().split())
        assert counted <= 64 + 2
        assert refused >= 100
    for one in crowd:
        one.close()
    _, errors = process.communicate("\n", timeout=20)
    assert process.returncode == 0, errors
    assert "is one connection too many: 64 are open" in errors


def test_the_limit_of_descriptors_is_raised() -> None:
    program = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from streamer.peer_sockets import MAXIMUM_CONNECTIONS, connection_limit
expected = MAXIMUM_CONNECTIONS if hard < 0 else min(MAXIMUM_CONNECTIONS, hard // 2)
assert connection_limit() == expected, connection_limit()
"""
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True, timeout=60)
    assert 0 < connection_limit() <= 1024


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_who_never_reads_is_gone_when_it_holds_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections._LIMITS, zmq.TCP_MAXRT, 1000)
    alone = Publisher(ANY_PORT)
    with alone, Subscriber(alone.endpoint, timeout=20) as good, shake_hands(alone.endpoint, 2304) as stuck:
        stuck.sendall(subscription(b""))
        alone.publish(_estimate(0))
        assert next(good).sequence == 0
        _until(lambda: alone.statistics().connections == 2)
        for first in range(1, 2000, 100):
            for sequence in range(first, first + 100):
                alone.publish(_estimate(sequence))
            assert [next(good).sequence for _ in range(100)] == list(range(first, first + 100))
        _until(lambda: alone.statistics().connections == 1)


@pytest.fixture
def cable() -> Iterator[tuple[str, Callable[[], None], list[str]]]:
    """Give a cable's address at this end, what pulls it out, and what a command at its other end begins with."""
    name = f"mood{os.getpid() % 100000}"
    address = f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 200}"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody make a network namespace here")
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{address}.1/24", "dev", name)
        ip("link", "set", name, "up")
        inside = ["ip", "netns", "exec", name]
        ip("-n", name, "addr", "add", f"{address}.2/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        yield f"{address}.1", lambda: ip("-n", name, "link", "set", "eth0", "down"), inside
    except subprocess.CalledProcessError:
        pytest.skip("this machine lets nobody lay a virtual cable")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_a_pulled_cable_frees_the_connection(
    cable: tuple[str, Callable[[], None], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, pull, inside = cable
    monkeypatch.setitem(connections._LIMITS, zmq.TCP_MAXRT, 1000)
    program = """
import sys
from streamer.subscriber import Subscriber
with Subscriber(sys.argv[1], timeout=30) as subscriber:
    subscriber.receive()
    print("ready", flush=True)
    sys.stdin.readline()
"""
    with Publisher(f"tcp://{address}:*", insecure=True) as alone:
        alone.set_status("a", "running")
        reader = subprocess.Popen(
            [*inside, sys.executable, "-c", program, alone.endpoint],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        _until(lambda: alone.statistics().connections == 1)
        pull()
        _until(lambda: alone.statistics().connections == 0)
        reader.communicate("\n", timeout=20)


def test_a_taken_port_leaves_nothing_open(alone: Publisher) -> None:
    def descriptors() -> int:
        return len(os.listdir("/dev/fd"))

    before, threads = descriptors(), threading.active_count()
    for _ in range(3):
        with pytest.raises(EndpointError):
            Publisher(alone.endpoint)
    assert descriptors() == before
    assert threading.active_count() == threads


def _memory(process: int | str = "self") -> float:
    if sys.platform != "linux":
        return 0.0
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
