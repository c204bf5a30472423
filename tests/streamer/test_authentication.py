from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from streamer.endpoints import EndpointError
from streamer.keys import ClientKeys
from streamer.messages import Estimate, Mood
from streamer.publisher import HANDSHAKE_TIMEOUT, Publisher
from streamer.subscriber import PublisherSilent, Subscriber
from tests.streamer.keyring import PATIENCE, Keyring, Log, Wire, logged, wait_for

ANY_PORT = "tcp://127.0.0.1:*"
TELLTALES = (b"emotion", b"status", b"stage", b"valence", b"running", b"tracking", b'{"version"')
NULL_GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48)
NULL_READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB"
NULL_SUBSCRIBE = b"\0\x01\x01"


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    ring = Keyring(tmp_path)
    ring.allow("lights")
    return ring


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a publisher do in a fraction of a second what it does every few seconds."""
    monkeypatch.setattr("streamer.publisher.HANDSHAKE_TIMEOUT", 0.5)
    monkeypatch.setattr("streamer.publisher.HEARTBEAT_INTERVAL", 0.2)


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


class Stage(Publisher):
    """A publisher that publishes all the time."""

    def __init__(self, ring: Keyring | None, endpoint: str = ANY_PORT) -> None:
        super().__init__(endpoint, keys=None if ring is None else ring.server())
        self.published = 0
        self._done = threading.Event()
        self._music = threading.Thread(target=self._play)
        self._music.start()

    def _play(self) -> None:
        self.set_status("stage", "running")
        while not self._done.wait(0.02):
            self.publish(_estimate(self.published))
            self.published += 1

    def close(self) -> None:
        self._done.set()
        self._music.join()
        super().close()


def _estimate(sequence: int) -> Estimate:
    mood = Mood(0.1, 0.2)
    return Estimate("stage", sequence, 1.0, sequence / 2, 0.1, 0.2, None, None, mood, "tracking", -20.0, 0.0, "m")


def _hears(subscriber: Subscriber, timeout: float) -> bool:
    with suppress(PublisherSilent):
        subscriber.receive(timeout)
        return True
    return False


def _keys(ring: Keyring, who: str) -> ClientKeys | None:
    return {
        "has no key": lambda: None,
        "expects another publisher": lambda: ring.client("lights", publisher="another"),
        "has a key that is not allowed": lambda: ring.client("intruder"),
    }[who]()


@pytest.mark.parametrize("who", ["has no key", "expects another publisher", "has a key that is not allowed"])
@pytest.mark.usefixtures("brisk")
def test_who_does_not_belong_gets_no_byte_of_it(ring: Keyring, log: Log, who: str) -> None:
    with (
        Stage(ring) as publisher,
        Wire(publisher.endpoint) as wire,
        Subscriber(publisher.endpoint, keys=ring.client("lights")) as allowed,
        Subscriber(wire.endpoint, keys=_keys(ring, who)) as refused,
    ):
        wait_for(lambda: not _hears(refused, 0.1) and log.has("refused", "127.0.0.1:"))
        for _ in range(50):
            allowed.receive(PATIENCE)
        assert not _hears(refused, 0.01)
        assert wire.received.startswith(b"\xff")
        assert not any(word in wire.received for word in TELLTALES)
        wait_for(lambda: not _hears(refused, 0.1) and refused.trouble != "")
        wait_for(lambda: publisher.statistics().refused_handshakes > 0)


def test_what_an_allowed_subscriber_gets_cannot_be_read_on_the_way(ring: Keyring) -> None:
    for keys, readable in ((None, True), (ring, False)):
        with (
            Stage(keys) as publisher,
            Wire(publisher.endpoint) as wire,
            Subscriber(wire.endpoint, keys=keys and keys.client("lights")) as subscriber,
        ):
            estimates = [subscriber.receive(PATIENCE) for _ in range(30)]
            assert len(estimates) == 30
            assert len(wire.received) > 30 * 100
            assert [word in wire.received for word in TELLTALES] == [readable] * len(TELLTALES)


@pytest.mark.parametrize(
    "words",
    [
        NULL_GREETING + NULL_READY + NULL_SUBSCRIBE,
        b"\xff\0\0\0\0\0\0\0\1\x7f\1" + NULL_SUBSCRIBE,
        b"\1\0\1\1",
        b"GET / HTTP/1.1\r\nHost: stage\r\n\r\n",
        bytes(range(256)) * 8,
        b"",
    ],
    ids=["ZMTP 3 without keys", "ZMTP 2", "ZMTP 1", "HTTP", "garbage", "nothing"],
)
@pytest.mark.usefixtures("brisk")
def test_a_raw_socket_gets_no_byte_of_it(ring: Keyring, log: Log, words: bytes) -> None:
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=ring.client("lights")) as allowed:
        host, port = publisher.endpoint.removeprefix("tcp://").split(":")
        allowed.receive(PATIENCE)
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
            address = "{}:{}".format(*raw.getsockname())
            wait_for(lambda: publisher.statistics().connections == 2)  # libzmq hangs up before one can ask who it is
            raw.sendall(words)
            received = bytearray()
            with suppress(ConnectionResetError):
                while data := raw.recv(65536):
                    received += data
        assert len(received) <= 200  # a greeting, and what a handshake begins with
        assert not any(word in received for word in TELLTALES)
        wait_for(lambda: log.has("refused", address))
        assert allowed.receive(PATIENCE)


def test_another_process_with_a_key_gets_every_message(ring: Keyring) -> None:
    program = """
import json, sys
from pathlib import Path
from streamer.keys import ClientKeys
from streamer.subscriber import Subscriber
keys = ClientKeys.load(Path(sys.argv[2]), Path(sys.argv[3]))
with Subscriber(sys.argv[1], until_ended=True, timeout=20, keys=keys) as subscriber:
    subscriber.receive()
    print("ready", flush=True)
    print(json.dumps([estimate.sequence for estimate in subscriber]))
"""
    with Publisher("tcp://0.0.0.0:*", keys=ring.server()) as publisher:
        publisher.set_status("stage", "starting")
        endpoint = publisher.endpoint.replace("0.0.0.0", "127.0.0.1")
        process = subprocess.Popen(
            [sys.executable, "-c", program, endpoint, ring.secret("lights"), ring.public("stage")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for sequence in range(500):
            publisher.publish(_estimate(sequence))
        publisher.set_status("stage", "ended", reason="end of input")
        output, _ = process.communicate(timeout=PATIENCE)
    assert json.loads(output) == list(range(500))


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_key_comes_and_goes_without_a_restart(
    ring: Keyring, log: Log, tmp_path: Path, transport: str, request: pytest.FixtureRequest
) -> None:
    if transport == "ipc":
        request.getfixturevalue("brisk")
    if transport == "ipc" and sys.platform != "linux":
        pytest.skip("other systems do not say who is at the other end")
    who = f"process {os.getpid()} of user {os.getuid()}" if transport == "ipc" else "127.0.0.1:"
    endpoint = f"ipc://{tmp_path}/stage.sock" if transport == "ipc" else ANY_PORT
    with (
        Stage(ring, endpoint) as publisher,
        Subscriber(publisher.endpoint, keys=ring.client("lights")) as other,
        Subscriber(publisher.endpoint, keys=ring.client("sound")) as subscriber,
    ):
        wait_for(lambda: log.has("refused", who, ring.client("sound").public_key.decode()))
        assert not _hears(subscriber, 0.05)
        sequence = next(other).sequence

        ring.allow("sound")
        started = time.monotonic()
        subscriber.receive(PATIENCE)
        assert time.monotonic() - started < 1 + HANDSHAKE_TIMEOUT + 4  # of which the last four are for a busy machine

        ring.forbid("sound")
        wait_for(lambda: log.has("disconnected", who, ring.client("sound").public_key.decode()))
        while _hears(subscriber, 0.05):
            pass  # what had arrived already
        assert not _hears(subscriber, 0.3)

        ring.allow("sound")
        subscriber.receive(PATIENCE)

        last = sequence
        while last < publisher.published - 5:
            last = next(other).sequence
            assert last == sequence + 1, "a subscriber that belongs has noticed something"
            sequence = last


@pytest.mark.usefixtures("brisk")
def test_any_subscriber_gets_in_when_its_key_is_added(ring: Keyring, log: Log) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with Stage(ring) as publisher:
            subscriber = context.socket(zmq.SUB)
            ring.client("desk").apply_to(subscriber)
            subscriber.subscribe("")
            subscriber.connect(publisher.endpoint)
            wait_for(lambda: log.has("refused", ring.client("desk").public_key.decode()))
            assert not subscriber.poll(50)
            ring.allow("desk")
            assert subscriber.poll(int(PATIENCE * 1000))
    finally:
        context.destroy(linger=0)


@pytest.mark.usefixtures("brisk")
def test_a_key_is_another_in_the_same_file(ring: Keyring) -> None:
    with (
        Stage(ring) as publisher,
        Subscriber(publisher.endpoint, keys=ring.client("lights")) as before,
        Subscriber(publisher.endpoint, keys=ring.client("sound")) as after,
    ):
        before.receive(PATIENCE)
        (ring.allowed / "lights.key").write_bytes(ring.public("sound").read_bytes())
        after.receive(PATIENCE)
        while _hears(before, 0.1):
            pass


@pytest.mark.usefixtures("brisk")
def test_a_broken_file_does_not_stop_the_others(ring: Keyring, log: Log) -> None:
    (ring.allowed / "broken.key").write_bytes(b"\xff\xfe")
    (ring.allowed / "folder.key").mkdir()
    shutil.copy(ring.secret("stage"), ring.allowed / "secret.key")
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=ring.client("lights")) as allowed:
        allowed.receive(PATIENCE)
        (ring.allowed / "later.key").write_bytes(b"curve\n")
        wait_for(lambda: log.has("later.key"))
        allowed.receive(PATIENCE)
        with Subscriber(publisher.endpoint, keys=ring.client("stage")) as thief:
            assert not _hears(thief, 0.5)
    for name, trouble in [("broken", "is not text"), ("folder", "cannot read"), ("secret", "holds a secret key")]:
        assert log.has(f"{name}.key", trouble)
    assert len([line for line in log.lines if ".key" in line and "passed over" in line]) == 4


@pytest.mark.usefixtures("brisk")
def test_without_the_folder_nobody_is_let_in(ring: Keyring, log: Log) -> None:
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=ring.client("lights")) as subscriber:
        subscriber.receive(PATIENCE)
        ring.allowed.rename(ring.folder / "away")
        wait_for(lambda: log.has("cannot read the folder", "nobody is let in"))
        while _hears(subscriber, 0.1):
            pass
        (ring.folder / "away").rename(ring.allowed)
        subscriber.receive(PATIENCE)


def test_who_is_let_in_is_in_the_log_too(ring: Keyring, log: Log) -> None:
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=ring.client("lights")) as subscriber:
        subscriber.receive(PATIENCE)
    assert log.has("lights.key lets in a subscriber from 127.0.0.1")


def test_one_that_tries_again_and_again_is_in_the_log_once(ring: Keyring, log: Log) -> None:
    with Stage(ring) as publisher:
        for _ in range(30):
            with Subscriber(publisher.endpoint, keys=ring.client("intruder")) as intruder:
                assert not _hears(intruder, 0.02)
        wait_for(lambda: publisher.statistics().refused_handshakes >= 10)
    assert len([line for line in log.lines if "is not in" in line]) == 1
    assert len(log.lines) < 10


def test_many_that_do_not_belong_hold_nobody_up(ring: Keyring) -> None:
    keys = ring.client("intruder")
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=ring.client("lights")) as allowed:
        intruders = [Subscriber(publisher.endpoint, keys=keys) for _ in range(15)]
        sequence = next(allowed).sequence
        for _ in range(50):
            assert next(allowed).sequence == sequence + 1
            sequence += 1
        started = time.monotonic()
        publisher.close()
        assert time.monotonic() - started < 2
        for intruder in intruders:
            assert not _hears(intruder, 0)
            intruder.close()


def test_nothing_is_left_of_a_publisher_with_keys(ring: Keyring) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    with Publisher(ANY_PORT, keys=ring.server()) as publisher:
        threads = threading.active_count()
        open_before = descriptors()
        for _ in range(5):
            with pytest.raises(EndpointError, match="already in use"):
                Publisher(publisher.endpoint, keys=ring.server())
            Publisher(ANY_PORT, keys=ring.server()).close()
        assert threading.active_count() == threads
        assert descriptors() <= open_before + 5


def test_the_network_is_open_with_keys_only(ring: Keyring) -> None:
    with pytest.raises(EndpointError, match=r"--server-key and --allow-clients, or add --insecure"):
        Publisher("tcp://0.0.0.0:*")
    Publisher("tcp://0.0.0.0:*", keys=ring.server()).close()
