"""Rooms that are drawn: each can be built, none is one that is measured in, and a clip always meets the same."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.air import ROOMS, SAMPLE_RATE
from training.air_features import AirPath, AirPathOfEach, rooms_of_each
from training.random_rooms import COUNT, random_room

drawn = [random_room(number) for number in range(COUNT)]


def test_loudspeaker_and_microphone_stand_in_the_room_and_apart() -> None:
    for room in drawn:
        for point in (room.loudspeaker, room.microphone):
            assert all(0.3 < at < size - 0.3 for at, size in zip(point, room.size, strict=True)), room
        assert math.dist(room.loudspeaker, room.microphone) > 0.1
        assert 0.03 < room.absorption < 0.95
        assert 0.1 < room.rt60 < 2


def test_they_differ_and_none_is_one_that_is_measured_in() -> None:
    assert len({room.size for room in (*drawn, *ROOMS.values())}) == COUNT + len(ROOMS)
    assert min(room.rt60 for room in drawn) < 0.3
    assert max(room.rt60 for room in drawn) > 1
    random_room.cache_clear()
    assert random_room(3) == drawn[3]


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    noise = np.random.default_rng(0).normal(0, 0.1, (12, 100)).astype(np.float32)
    for number, samples in enumerate(noise):
        soundfile.write(tmp_path / f"{number}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    return sorted(tmp_path.iterdir())


def test_a_clip_meets_one_room_wherever_it_lies(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[str, float]] = []
    monkeypatch.setattr(AirPath, "hear", lambda path, samples, source: met.append((path.room.name, path.snr)))
    each = AirPathOfEach()
    for source in sources:
        each.hear(np.zeros(1, np.float32), source)
    assert len({name for name, _ in met}) > 6
    assert all(each.snrs[0] <= snr <= each.snrs[1] for _, snr in met)
    moved = tmp_path / "elsewhere.wav"
    moved.write_bytes(sources[0].read_bytes())
    each.hear(np.zeros(1, np.float32), moved)
    assert met[-1] == met[0]


def test_rooms_have_keys() -> None:
    pytest.importorskip("pyroomacoustics", reason="rooms need pyroomacoustics")
    assert rooms_of_each(0) is None
    keys = {AirPathOfEach().key, AirPathOfEach(rooms=2).key, AirPathOfEach(snrs=(0, 5)).key}
    assert len(keys) == 3
