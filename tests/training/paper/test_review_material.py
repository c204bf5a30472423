"""What a folder is good for: own music of any format, labels of one part only, lists of ids that do not apply."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

pytest.importorskip("librosa", reason="training needs librosa (pip install moodring[train])")

from tests.training.conftest import tone, write_table
from tests.training.paper.synthetic import one_line
from training.clips import EVALUATION, part_of
from training.datasets.deam_splits import split
from training.paper.material import Request, has_material, read_division, read_labels
from training.tables import DataError

SECONDS = 3


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO())


def own_music(folder: Path, names: list[str]) -> Path:
    (folder / "audio").mkdir(parents=True)
    header = ["file", *(f"sample_{500 * (i + 1)}ms" for i in range(2 * SECONDS))]
    for name in names:
        soundfile.write(folder / "audio" / name, tone(SECONDS, 300, True), 22050)
    for table in ("valence.csv", "arousal.csv"):
        write_table(folder / table, [[*header], *([name, *[0.1] * (2 * SECONDS)] for name in names)])
    return folder


def of_part(part: str, suffix: str, count: int) -> list[str]:
    names = (f"{number}{suffix}" for number in range(1000))
    return [name for name in names if part_of(name) == part][:count]


def test_own_music_of_any_format_is_material(tmp_path: Path, console: Console) -> None:
    names = of_part("development", ".aiff", 2) + of_part(EVALUATION, ".aiff", 1)
    request = Request(own_music(tmp_path / "music", names), split(), cache=tmp_path / "cache")
    assert has_material(request, "logmel")
    division = read_division(request, "logmel", console)
    assert [len(division.development), len(division.evaluation)] == [2, 1]
    assert all(len(song.inputs) == len(song.labels) == 2 * SECONDS for song in division.development)
    labels = read_labels(request, console)
    assert [song.name for song in labels.development] == [song.name for song in division.development]
    assert np.array_equal(labels.evaluation[0].labels, division.evaluation[0].labels)


def test_labels_alone_are_none(tmp_path: Path) -> None:
    for table in ("valence.csv", "arousal.csv"):
        write_table(tmp_path / table, [["song_id", "sample_15000ms"], ["1", 0.1], ["2001", 0.1]])
    assert not has_material(Request(tmp_path, split()), "opensmile")
    # neither is the music of another data set beside them
    (tmp_path / "DEAM").mkdir()
    own = own_music(tmp_path / "audio", ["a.wav"])
    assert own.is_dir()
    for table in ("valence.csv", "arousal.csv"):
        (tmp_path / table).rename(tmp_path / "DEAM" / table)
    assert not has_material(Request(tmp_path, split()), "logmel")


@pytest.mark.parametrize(("song", "lacking"), [("1", "evaluation"), ("2001", "development")])
def test_labels_of_one_part_only_are_one_line(tmp_path: Path, console: Console, song: str, lacking: str) -> None:
    for table in ("valence.csv", "arousal.csv"):
        write_table(tmp_path / table, [["song_id", "sample_15000ms"], [song, 0.1]])
    with pytest.raises(DataError) as caught:
        read_labels(Request(tmp_path, split("deam")), console)
    assert one_line(caught.value) == f'"{tmp_path}" has no {lacking} songs'


def test_lists_of_ids_are_refused_where_they_would_not_count(tmp_path: Path, console: Console) -> None:
    music, ids = own_music(tmp_path / "music", ["a.wav"]), tmp_path / "ids.txt"
    ids.write_text("1\n")
    with pytest.raises(DataError) as caught:
        read_labels(Request(music, split(development=ids)), console)
    assert "lists of ids are for DEAM" in one_line(caught.value)


def test_everything_wrong_with_own_music_is_listed_and_can_be_left_out(tmp_path: Path, console: Console) -> None:
    names = of_part("development", ".wav", 5) + of_part(EVALUATION, ".wav", 1)
    folder = own_music(tmp_path / "music", names)
    (folder / "audio" / names[0]).unlink()
    lines = (folder / "valence.csv").read_text().splitlines()
    lines[2] = lines[2].replace("0.1", "nan", 1)
    lines[3] = lines[3].replace("0.1", "1.5", 1)
    (folder / "valence.csv").write_text("\n".join(lines))
    request = Request(folder, split(), cache=tmp_path / "cache")
    with pytest.raises(DataError) as caught:
        read_labels(request, console)
    *told, hint = str(caught.value).splitlines()
    assert "--skip-bad" in hint
    table = folder / "valence.csv"
    assert sorted(told) == [
        f'"{table}", row 2: there is no file "{folder / "audio" / names[0]}"',
        f"\"{table}\", row 3: column sample_500ms must be a number, not 'nan'",
        f'"{table}", row 4: column sample_500ms must be in [-1, 1], not 1.5',
    ]
    division = read_division(replace(request, skip_bad=True), "logmel", console)
    assert [song.name for song in division.development] == names[3:5]


def test_labels_once_a_second_are_not_taken_for_labels_twice_a_second(tmp_path: Path, console: Console) -> None:
    names = of_part("development", ".wav", 2) + of_part(EVALUATION, ".wav", 1)
    folder = own_music(tmp_path / "music", names)
    for table in ("valence.csv", "arousal.csv"):
        seconds = [f"sample_{1000 * (i + 1)}ms" for i in range(SECONDS)]
        write_table(folder / table, [["file", *seconds], *([name, *[0.1] * SECONDS] for name in names)])
    with pytest.raises(DataError, match=r"do not go by steps of 0\.5 s"):
        read_division(Request(folder, split(), cache=tmp_path / "cache"), "logmel", console)
