from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import write_table
from tests.training.figures.conftest import clip, signs, track
from training import datasets
from training.clips import StaticLabels
from training.datasets import DataSet
from training.figures.genres import measure_genres, read_genres
from training.figures.layouts import genre_layout
from training.figures.measuring import SIGN_ACCURACY


def data_set(name: str, folder: Path) -> DataSet:
    return DataSet(name, folder, ("labels.csv",), lambda _: [])


def test_genres_are_read_where_there_are_any(tmp_path: Path) -> None:
    assert read_genres(data_set("emotify", tmp_path)) == {}
    assert read_genres(data_set("vgmidi", tmp_path)) == {}
    write_table(tmp_path / "votes.csv", [["clip", "genre"], ["a", "rock"], ["b", ""]])
    assert read_genres(data_set("emotify", tmp_path)) == {"a": ("rock",)}
    write_table(tmp_path / "labels.csv", [["clip", "genres"], ["x", "Jazz, Pop/Rock,Jazz"], ["y", "Jazz"]])
    assert read_genres(data_set("4q", tmp_path)) == {"x": ("Jazz", "Pop/Rock"), "y": ("Jazz",)}
    write_table(tmp_path / "labels.csv", [["clip"], ["x"]])
    assert read_genres(data_set("4q", tmp_path)) == {}


def test_errors_by_genre_by_hand() -> None:
    clips = {"emotify": [clip("emotify", name, StaticLabels(0.1, 0.2)) for name in "abc"]}
    offsets = {"a": 0.1, "b": 0.3, "c": -0.5}
    tracks = {"emotify": {name: track(np.tile([0.1 + by, 0.2], (4, 1))) for name, by in offsets.items()}}
    genres = {"emotify": {"a": ("rock",), "b": ("rock", "pop"), "c": ("rock",)}}
    rock, pop = measure_genres(tracks, clips, genres, resamples=50)
    assert [(genre.genre, genre.measured.clips) for genre in (rock, pop)] == [("rock", 3), ("pop", 1)]
    assert [f.value for f in rock.measured.figures] == pytest.approx([0.3, 0], abs=1e-6)
    assert [f.value for f in pop.measured.figures] == pytest.approx([0.3, 0], abs=1e-6)
    assert pop.measured.figures[0].interval is None
    text = genre_layout([rock, pop]).to_markdown()
    assert "| **emotify: mean absolute error** |" in text
    assert "| pop | 1 | 0.300 | 0.000 |" in text


def test_signs_are_counted_by_genre() -> None:
    clips, tracks = signs()
    genres = {"4q": {c.name: ("all",) for c in clips["4q"]}}
    (everything,) = measure_genres(tracks, clips, genres, resamples=20)
    right = [
        (np.array([c.labels.valence, c.labels.arousal]) > 0) == (tracks["4q"][c.name].values.mean(axis=0) > 0)
        for c in clips["4q"]
    ]
    measured = [everything.measured.find(SIGN_ACCURACY, d).value for d in ("valence", "arousal")]
    assert measured == pytest.approx(np.mean(right, axis=0))


def test_the_labelled_music_names_genres(labelled_music: Path) -> None:
    found, _ = datasets.find(labelled_music)
    genres = {one.name: read_genres(one) for one in found}
    for name in ("emotify", "4q"):
        if name in genres:
            assert {clip.name for clip in next(d for d in found if d.name == name).clips()} >= genres[name].keys()
            assert len({genre for some in genres[name].values() for genre in some}) >= 4
