from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.paper.songs import Song, cut, hold_out


def blank(name: str, frames: int, value: float = 0.0) -> Song:
    return Song(name, np.full((frames, 1), value, dtype=np.float32), np.zeros((frames, 2), dtype=np.float32))


@given(st.lists(st.integers(1, 150), max_size=8), st.integers(2, 60))
def test_sequences_cover_songs_and_only_the_last_overlaps(lengths: list[int], length: int) -> None:
    songs = [blank(str(number), frames) for number, frames in enumerate(lengths)]
    places = cut(songs, length)
    for number, frames in enumerate(lengths):
        of_song = [place for place in places if place.song == number]
        assert {place.length for place in of_song} == {min(length, frames)}
        covered = [frame for place in of_song for frame in range(place.start, place.start + place.length)]
        assert set(covered) == set(range(frames))
        steps = [after.start - before.start for before, after in pairwise(of_song)]
        assert all(step == length for step in steps[:-1])
        assert all(0 < step <= length for step in steps)
        assert len(of_song) == -(-frames // length)


NAMES = st.lists(st.text(max_size=8), min_size=2, max_size=20, unique=True)
SHARES = st.floats(0.01, 0.9)


@given(NAMES, SHARES, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_who_is_held_out_depends_on_names_alone(names: list[str], share: float, random: Random) -> None:
    training, validation = hold_out([blank(name, 3) for name in names], share)
    assert sorted(song.name for song in training + validation) == sorted(names)
    assert training
    assert validation
    assert abs(len(validation) - share * len(names)) <= 1
    others = [blank(name, random.randint(1, 9), random.random()) for name in names]
    random.shuffle(others)
    training_again, validation_again = hold_out(others, share)
    assert [song.name for song in training_again] == [song.name for song in training]
    assert [song.name for song in validation_again] == [song.name for song in validation]


@given(NAMES, st.text(min_size=9, max_size=10))
@settings(deadline=None)
def test_another_song_moves_hardly_any_other(names: list[str], added: str) -> None:
    songs = [blank(name, 3) for name in names]
    before = {song.name for song in hold_out(songs, 0.3)[1]}
    after = {song.name for song in hold_out([*songs, blank(added, 3)], 0.3)[1]}
    assert len(before ^ (after - {added})) <= 1


def test_one_song_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="at least two songs"):
        hold_out([blank("only", 5)], 0.2)


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        (np.zeros((3, 4)), np.zeros((2, 2))),
        (np.zeros((3, 4)), np.zeros((3, 1))),
        (np.zeros(3), np.zeros((3, 2))),
        (np.zeros((0, 4)), np.zeros((0, 2))),
        (np.full((3, 4), np.nan), np.zeros((3, 2))),
        (np.zeros((3, 4)), np.full((3, 2), np.inf)),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(inputs: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="song odd"):
        Song("odd", inputs.astype(np.float32), labels.astype(np.float32))
