"""A publisher whose own key changes while it runs."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.keys import ClientKeys
from streamer.messages import Estimate, Mood
from streamer.publisher import Publisher
from streamer.rekeying import MAXIMUM_CHANGES
from streamer.subscriber import PublisherSilent, Subscriber
from tests.streamer.keyring import PATIENCE, Keyring, Log, logged, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="listeners can be exchanged on Linux only")


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a publisher do in a fraction of a second what it does every few seconds."""
    monkeypatch.setattr("streamer.publisher.HANDSHAKE_TIMEOUT", 0.5)
    monkeypatch.setattr("streamer.publisher.HEARTBEAT_INTERVAL", 0.1)


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    ring = Keyring(tmp_path)
    ring.allow("lights")
    for name in ("next", "other"):
        ring.make(name)
    shutil.copy(ring.secret("stage"), ring.folder / "own.key_secret")
    return ring


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


class Stage(Publisher):
    """A publisher with the key in ``own.key_secret`` that publishes all the time."""

    def __init__(self, ring: Keyring, endpoint: str = "tcp://127.0.0.1:*") -> None:
        from streamer.keys import ServerKeys

        super().__init__(endpoint, keys=ServerKeys.load(ring.folder / "own.key_secret", ring.allowed))
        self._done = threading.Event()
        self._music = threading.Thread(target=self._play)
        self._music.start()

    def _play(self) -> None:
        sequence = 0
        while not self._done.wait(0.01):
            mood = Mood(0.1, 0.2)
            self.publish(
                Estimate("stage", sequence, 1.0, sequence / 2, 0.1, 0.2, None, None, mood, "tracking", -20.0, 0.0, "m")
            )
            sequence += 1

    def close(self) -> None:
        self._done.set()
        self._music.join()
        super().close()


def _put(ring: Keyring, name: str) -> None:
    """Replace the publisher's key, as whoever administers it would."""
    fresh = ring.folder / "fresh"
    shutil.copy(ring.secret(name), fresh)
    fresh.replace(ring.folder / "own.key_secret")


def _keys(ring: Keyring, publisher: str) -> ClientKeys:
    return ring.client("lights", publisher=publisher)


def _hears(endpoint: str, keys: ClientKeys, patience: float) -> bool:
    with Subscriber(endpoint, keys=keys) as subscriber:
        try:
            subscriber.receive(patience)
        except PublisherSilent:
            return False
        return True


def _exchange(ring: Keyring, log: Log, name: str) -> None:
    before = sum("meets the new key" in line for line in log.lines)
    _put(ring, name)
    wait_for(lambda: sum("meets the new key" in line for line in log.lines) > before)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_who_connects_meets_the_new_key_and_who_is_connected_misses_nothing(
    ring: Keyring, log: Log, tmp_path: Path, transport: str
) -> None:
    endpoint = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/stage.sock"
    with (
        Stage(ring, endpoint) as publisher,
        Subscriber(publisher.endpoint, keys=_keys(ring, "stage")) as first,
        Subscriber(publisher.endpoint, keys=_keys(ring, "other")) as third,  # its publisher is still to come
    ):
        sequence = first.receive(PATIENCE).sequence
        _exchange(ring, log, "next")
        with Subscriber(publisher.endpoint, keys=_keys(ring, "next")) as second:
            second.receive(PATIENCE)
            assert not _hears(publisher.endpoint, _keys(ring, "stage"), 0.7)
            _exchange(ring, log, "other")
            third.receive(PATIENCE)
            assert not _hears(publisher.endpoint, _keys(ring, "next"), 0.7)
            assert not _hears(publisher.endpoint, _keys(ring, "stage"), 0.3)
            last = publisher.statistics().sent
            for _ in range(100):
                second.receive(PATIENCE)
        while sequence < last:
            received = next(first).sequence
            assert received == sequence + 1, "a subscriber that was connected has noticed something"
            sequence = received
        _exchange(ring, log, "stage")
        assert _hears(publisher.endpoint, _keys(ring, "stage"), PATIENCE)


def test_a_file_that_is_no_key_is_refused_once_and_the_old_key_stays(ring: Keyring, log: Log) -> None:
    own = ring.folder / "own.key_secret"
    with Stage(ring) as publisher, Subscriber(publisher.endpoint, keys=_keys(ring, "stage")) as subscriber:
        subscriber.receive(PATIENCE)
        unsafe = ring.folder / "unsafe"
        shutil.copy(ring.secret("next"), unsafe)
        unsafe.chmod(0o640)
        faults = [
            (lambda: own.write_text("curve\n"), "is not a key"),
            (lambda: unsafe.replace(own), "others can read or change the secret key"),
            (lambda: shutil.copy(ring.public("next"), own), "others can read|holds a public key only"),
            (own.unlink, "cannot read the key"),
            (lambda: os.mkfifo(own), "is not a file"),
        ]
        for break_it, reason in faults:
            break_it()
            wait_for(lambda reason=reason: any(log.has(own.name, one, "stays as it was") for one in reason.split("|")))
        own.unlink()
        assert _hears(publisher.endpoint, _keys(ring, "stage"), PATIENCE)
        assert not _hears(publisher.endpoint, _keys(ring, "next"), 0.3)
        assert len([line for line in log.lines if "stays as it was" in line]) <= 2 * len(faults)
        _exchange(ring, log, "next")
        assert _hears(publisher.endpoint, _keys(ring, "next"), PATIENCE)


def test_many_changes_are_bounded_and_leave_nothing(ring: Keyring, log: Log) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    Stage(ring).close()
    before = descriptors()
    with Stage(ring) as publisher:
        endpoint = publisher.endpoint
        rekeying = publisher._outlet._rekeying
        assert rekeying is not None
        with Subscriber(endpoint, keys=_keys(ring, "stage")) as subscriber:
            subscriber.receive(PATIENCE)
            rekeying._replaced, kept = [-1] * MAXIMUM_CHANGES, rekeying._replaced
            _put(ring, "next")
            wait_for(lambda: log.has("restart the publisher to use the new key", f"changed {MAXIMUM_CHANGES} times"))
            rekeying._replaced = kept
            wait_for(lambda: log.has("meets the new key"))
            for name in ("other", "next") * 4:
                _exchange(ring, log, name)
            assert _hears(endpoint, _keys(ring, "next"), PATIENCE)
            busy = time.process_time()
            time.sleep(0.5)
            assert time.process_time() - busy < 0.4  # nobody goes round and round at the listeners of before
            subscriber.receive(PATIENCE)
    assert descriptors() <= before
    assert log.has("meets the new key")
    Publisher(endpoint).close()  # which can be bound again at once
