from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from training.tables import DataError
from training.tracks import Track, Tracks, read_tracks, write_tracks


def some_track(seed: int, frames: int, with_stds: bool) -> Track:
    random = np.random.default_rng(seed)
    values = random.uniform(-1, 1, (frames, 2)).astype(np.float32)
    return Track(values, random.uniform(0, 1, (frames, 2)).astype(np.float32) if with_stds else None)


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    write_tracks(path, {"4q": {"one": some_track(0, 50, True)}}, {"model": "m"})
    return path


@given(st.dictionaries(NAMES, st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=4), st.integers(0, 99))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, clips: dict[str, tuple[int, bool]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("tracks") / "a.safetensors"
    tracks: Tracks = {name: {c: some_track(seed, *of) for c, of in clips.items()} for name in ("4q", "vgmidi")}
    notes = {"model": "größer", "folds": [0, 1], "lag": 0.5}
    write_tracks(path, tracks, notes)
    read, read_notes = read_tracks(path)
    assert read_notes == notes
    assert {dataset: set(some) for dataset, some in read.items()} == {d: set(s) for d, s in tracks.items()}
    for dataset, some in tracks.items():
        for clip, track in some.items():
            np.testing.assert_array_equal(read[dataset][clip].values, track.values)
            other = read[dataset][clip].stds
            assert (other is None) == (track.stds is None)
            if track.stds is not None:
                np.testing.assert_array_equal(other, track.stds)


def test_the_same_tracks_give_the_same_file(written: Path, tmp_path: Path) -> None:
    write_tracks(tmp_path / "b", *read_tracks(written))
    assert (tmp_path / "b").read_bytes() == written.read_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no file of tracks ".*none"'):
        read_tracks(tmp_path / "none")
    with pytest.raises(DataError, match="no file of tracks"):
        read_tracks(tmp_path)
    with pytest.raises(DataError, match=r'cannot write the tracks ".*a"'):
        write_tracks(tmp_path / "none" / "a", {}, {})


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_a_truncated_file_is_named(written: Path, share: float) -> None:
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="truncated or no file of tracks") as caught:
        read_tracks(written)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({}, None, "no file of tracks"),
        ({}, {"moodring-tracks": "[1"}, "no file of tracks"),
        ({}, {"moodring-tracks": "[1]"}, "no file of tracks"),
        ({}, {"moodring-tracks": '{"version": 9, "notes": {}}'}, "not of version 1"),
        ({"4q/a/values": np.zeros((3, 3), np.float32)}, None, "4q/a/values: values must be float32"),
        ({"4q/a/values": np.zeros((0, 2), np.float32)}, None, "4q/a/values: values must be float32"),
        ({"4q/a/values": np.full((3, 2), np.nan, np.float32)}, None, "must be finite"),
        ({"4q/a/values": np.zeros((3, 2))}, None, "not float64"),
        ({"4q/a/stds": np.zeros((3, 2), np.float32)}, None, "belongs to no track"),
        ({"4q/values": np.zeros((3, 2), np.float32)}, None, "belongs to no track"),
        (
            {"4q/a/values": np.zeros((3, 2), np.float32), "4q/a/stds": np.zeros((2, 2), np.float32)},
            None,
            "stds have the shape",
        ),
    ],
)
def test_a_foreign_file_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str] | None, message: str
) -> None:
    path = tmp_path / "a"
    good = {"moodring-tracks": '{"version": 1, "notes": {}}'}
    save_file(tensors, path, metadata or (good if tensors else None))
    with pytest.raises(DataError, match=message) as caught:
        read_tracks(path)
    assert str(path) in str(caught.value)


def test_negative_deviations_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Track(np.zeros((2, 2), np.float32), np.full((2, 2), -1, np.float32))
