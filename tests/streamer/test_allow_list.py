from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.allow_list import AllowList
from streamer.key_files import read_public_key
from tests.streamer.keyring import Keyring, Log, logged


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


def test_keys_that_come_and_go(ring: Keyring) -> None:
    allowed = AllowList(ring.allowed)
    key = ring.client("lights").public_key
    assert key not in allowed
    ring.allow("lights")
    assert not allowed.refresh()
    assert key in allowed
    assert allowed.name(key) == "lights.key"
    ring.forbid("lights")
    assert allowed.refresh()
    assert key not in allowed


def test_a_key_in_two_files_is_gone_with_the_last(ring: Keyring) -> None:
    ring.allow("lights")
    (ring.allowed / "copy.key").write_bytes(ring.public("lights").read_bytes())
    allowed = AllowList(ring.allowed)
    ring.forbid("lights")
    assert not allowed.refresh()
    assert ring.client("lights").public_key in allowed


def test_a_key_is_another_in_the_same_file(ring: Keyring) -> None:
    ring.allow("lights")
    allowed = AllowList(ring.allowed)
    ring.make("sounds")  # a name as long, and so a file as long
    (ring.allowed / "lights.key").write_bytes(ring.public("sounds").read_bytes())
    assert allowed.refresh()
    assert ring.client("sounds").public_key in allowed
    assert ring.client("lights").public_key not in allowed


def test_a_file_is_read_until_its_time_would_tell_of_a_change(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def read(path: Path) -> bytes:
        reads.append(path)
        return read_public_key(path)

    monkeypatch.setattr("streamer.allow_list.read_public_key", read)
    ring.allow("lights")
    allowed = AllowList(ring.allowed)
    allowed.refresh()
    assert len(reads) == 2
    monkeypatch.setattr("streamer.allow_list._SETTLED", -1)  # as if it had been there for long
    for _ in range(3):
        allowed.refresh()
    assert len(reads) == 3
    assert ring.client("lights").public_key in allowed


def test_trouble_is_told_once_until_it_is_another(ring: Keyring, log: Log) -> None:
    file = ring.allowed / "broken.key"
    file.write_bytes(b"nothing")
    allowed = AllowList(ring.allowed)
    for _ in range(3):
        allowed.refresh()
    file.write_bytes(b"\xff")
    for _ in range(3):
        allowed.refresh()
    troubles = [line for line in log.lines if "broken.key" in line]
    assert len(troubles) == 2
    assert "is not text" in troubles[1]
    ring.allowed.rename(ring.folder / "away")
    for _ in range(3):
        allowed.refresh()
    assert len([line for line in log.lines if "nobody is let in" in line]) == 1
