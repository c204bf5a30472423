"""The DEAM loader: both layouts, whatever can be wrong with a tree, and the labels themselves where they are."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import write_table
from training.clips import DEVELOPMENT, EVALUATION, DynamicLabels
from training.datasets import deam
from training.datasets.deam_splits import Split, read_ids, split
from training.tables import DataError

UNPACKED = Path("annotations/annotations averaged per song/dynamic (per second annotations)")
HEADER = ["song_id", "sample_15000ms", "sample_15500ms", "sample_16000ms", "sample_16500ms"]
SPLIT = Split(frozenset({"3", "4"}), frozenset({"2001"}))

Rows = Mapping[str, Sequence[object]]
GOOD: Rows = {"3": [0.1, 0.2, 0.3], "4": [-0.1, -0.2], "2001": [0.5, 0.6, 0.7, 0.8], "9": [0, 0, 0]}


def write_labels(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, [HEADER, *([song, *values, *[""] * (4 - len(values))] for song, values in rows.items())])


def write_audio(folder: Path, names: Sequence[str] = ("3.mp3", "4.mp3", "2001.mp3", "9.mp3")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_labels(tmp_path / UNPACKED / "arousal.csv", GOOD)
    write_labels(tmp_path / UNPACKED / "valence.csv", GOOD)
    write_audio(tmp_path / "MEMD_audio")
    return tmp_path


def texts(loaded: deam.Loaded, fatal: bool) -> list[str]:
    return [str(problem) for problem in loaded.problems if problem.fatal == fatal]


@pytest.mark.parametrize(
    ("valence", "arousal", "audio"),
    [
        (UNPACKED / "valence.csv", UNPACKED / "arousal.csv", "MEMD_audio"),
        (
            "DEAM_Annotations" / UNPACKED / "valence.csv",
            "DEAM_Annotations" / UNPACKED / "arousal.csv",
            "DEAM_audio/MEMD_audio",
        ),
        ("valence.csv", "arousal.csv", "audio"),
        ("deam_valence.csv", "deam_arousal.csv", "MEMD_audio"),
        ("valence_cont_average.csv", "arousal_cont_average.csv", "audio"),
    ],
)
def test_layouts(tmp_path: Path, valence: str, arousal: str, audio: str) -> None:
    assert not deam.is_here(tmp_path)
    write_labels(tmp_path / valence, GOOD)
    write_labels(tmp_path / arousal, {song: [-value for value in values] for song, values in GOOD.items()})  # type: ignore[operator]
    write_audio(tmp_path / audio)
    assert deam.is_here(tmp_path)
    loaded = deam.load(tmp_path, SPLIT)
    assert not loaded.problems
    assert [(clip.name, clip.part) for clip in loaded.clips] == [
        ("3", DEVELOPMENT),
        ("4", DEVELOPMENT),
        ("2001", EVALUATION),
    ]
    for clip in loaded.clips:
        labels = clip.labels
        assert isinstance(labels, DynamicLabels)
        assert clip.source == tmp_path / audio / f"{clip.name}.mp3"
        np.testing.assert_allclose(labels.positions, 15 + 0.5 * np.arange(len(GOOD[clip.name])))
        np.testing.assert_allclose(labels.values, np.outer(GOOD[clip.name], [1, -1]), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".mp3", ".wav", ".flac", ".ogg", ".opus", ".MP3"])
def test_kinds_of_audio(tree: Path, suffix: str) -> None:
    (tree / "MEMD_audio" / "3.mp3").rename(tree / "MEMD_audio" / f"3{suffix}")
    assert deam.load(tree, SPLIT).clips[0].source.name == f"3{suffix}"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([0.1, "", 0.3], "column sample_15500ms is empty, but later ones are not"),
        (["", "", ""], "has no labels"),
        ([0.1, "NaN", 0.3], "column sample_15500ms must be a number, not 'NaN'"),
        ([0.1, 0.2, "high"], "column sample_16000ms must be a number, not 'high'"),
        ([0.1, 1.01, 0.2], "column sample_15500ms must be in [-1, 1], not 1.01"),
        ([0.1, "-inf", 0.2], "column sample_15500ms must be in [-1, 1]"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], "has 6 cells, but the header has 5"),
    ],
)
def test_a_bad_row_is_refused_or_left_out(tree: Path, row: Sequence[object], reason: str) -> None:
    table = tree / UNPACKED / "arousal.csv"
    write_labels(table, {**GOOD, "4": row})
    with pytest.raises(DataError) as caught:
        deam.load(tree, SPLIT)
    assert f'"{table}", row 3: ' in str(caught.value)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("add --skip-bad to go on without them")

    loaded = deam.load(tree, SPLIT, skip_bad=True)
    assert [clip.name for clip in loaded.clips] == ["3", "2001"]
    (problem,) = loaded.problems
    assert (problem.file, problem.row, problem.fatal) == (table, 3, True)
    assert reason in problem.text


def test_what_is_wrong_with_songs_of_no_part_is_passed_over(tree: Path) -> None:
    write_labels(tree / UNPACKED / "arousal.csv", {**GOOD, "9": ["?", "?"]})
    (tree / "MEMD_audio" / "9.mp3").unlink()
    assert not deam.load(tree, SPLIT).problems


def test_a_repeated_row_makes_its_song_unusable(tree: Path) -> None:
    with (tree / UNPACKED / "valence.csv").open("a") as file:
        file.write("3,0.5,0.5,0.5,0.5\n")
    loaded = deam.load(tree, SPLIT, skip_bad=True)
    assert [clip.name for clip in loaded.clips] == ["4", "2001"]
    assert [problem.row for problem in loaded.problems] == [6]
    assert "clip 3 stands twice" in loaded.problems[0].text


def test_a_row_without_a_song_is_refused(tree: Path) -> None:
    write_labels(tree / UNPACKED / "valence.csv", {**GOOD, "": [0.1, 0.2]})
    with pytest.raises(DataError, match="row 6: column song_id is empty"):
        deam.load(tree, SPLIT)


def test_a_song_in_one_table_only_is_named(tree: Path) -> None:
    write_labels(tree / UNPACKED / "valence.csv", {song: row for song, row in GOOD.items() if song != "4"})
    loaded = deam.load(tree, SPLIT, skip_bad=True)
    assert len(loaded.clips) == 2
    assert "clip 4 is missing from" in texts(loaded, fatal=True)[0]


def test_different_lengths_are_told_and_the_common_positions_used(tree: Path) -> None:
    write_labels(tree / UNPACKED / "valence.csv", {**GOOD, "3": [0.1, 0.2]})
    loaded = deam.load(tree, SPLIT)
    labels = loaded.clips[0].labels
    assert isinstance(labels, DynamicLabels)
    np.testing.assert_allclose(labels.positions, [15.0, 15.5])
    assert not texts(loaded, fatal=True)
    assert "row 2: clip 3 has 2 labels, but 3 in" in texts(loaded, fatal=False)[0]


def test_labels_without_audio(tree: Path) -> None:
    (tree / "MEMD_audio" / "4.mp3").rename(tree / "MEMD_audio" / "4.m4a")
    with pytest.raises(DataError, match=r'valence.csv", row 3: song 4 has no audio'):
        deam.load(tree, SPLIT)
    assert [clip.name for clip in deam.load(tree, SPLIT, skip_bad=True).clips] == ["3", "2001"]


def test_audio_without_labels_is_told_and_no_more(tree: Path) -> None:
    write_audio(tree / "MEMD_audio", ["77.mp3", "._3.mp3", "README.txt"])
    loaded = deam.load(tree, SPLIT)
    assert len(loaded.clips) == 3
    assert [str(problem) for problem in loaded.problems] == [
        f'"{tree / "MEMD_audio" / "77.mp3"}": has no labels, and is not used'
    ]


def test_features_are_preferred_where_they_are_wanted(tree: Path) -> None:
    write_audio(tree / "features", ["3.csv", "2001.csv"])
    loaded = deam.load(tree, SPLIT, need="features")
    assert [clip.source.name for clip in loaded.clips] == ["3.csv", "4.mp3", "2001.csv"]
    assert texts(loaded, fatal=False) == [
        f'"{tree / "features"}": lacks 1 song (4), whose features are computed from the audio instead'
    ]
    (tree / "MEMD_audio" / "4.mp3").unlink()
    with pytest.raises(DataError, match=r"song 4 has no audio .* and no features \(4.csv\)"):
        deam.load(tree, SPLIT, need="features")
    with pytest.raises(DataError, match="song 4 has no audio"):
        deam.load(tree, SPLIT, need="audio")
    assert len(deam.load(tree, SPLIT, need="labels").clips) == 3


def test_labels_alone_need_no_audio(tmp_path: Path) -> None:
    write_labels(tmp_path / "arousal.csv", GOOD)
    write_labels(tmp_path / "valence.csv", GOOD)
    assert len(deam.load(tmp_path, SPLIT, need="labels").clips) == 3
    for need, looked_for in (("audio", "MEMD_audio"), ("features", "or features")):
        with pytest.raises(DataError, match=looked_for):
            deam.load(tmp_path, SPLIT, skip_bad=True, need=need)


def test_another_tree_always_raises(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"is not DEAM: looked for arousal.csv"):
        deam.load(tmp_path / "empty", SPLIT, skip_bad=True)
    (tree / UNPACKED / "arousal.csv").unlink()
    with pytest.raises(DataError, match=r"cannot read .*arousal.csv"):
        deam.load(tree, SPLIT, skip_bad=True)
    write_table(tree / UNPACKED / "arousal.csv", [["song", "sample_15000ms"], ["3", 0.1]])
    with pytest.raises(DataError, match="has no column song_id"):
        deam.load(tree, SPLIT, skip_bad=True)


def test_nothing_usable_always_raises(tree: Path) -> None:
    for path in (tree / "MEMD_audio").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no song can be used"):
        deam.load(tree, SPLIT, skip_bad=True)
    with pytest.raises(DataError, match="none of the songs of the split"):
        deam.load(tree, Split(frozenset({"100"}), frozenset({"101"}), whole=False), skip_bad=True)


def test_long_lists_of_problems_are_cut(tmp_path: Path) -> None:
    songs = {str(number): [0.1] for number in range(1, 31)}
    for name in ("arousal.csv", "valence.csv"):
        write_labels(tmp_path / name, songs)
    write_audio(tmp_path / "audio", ["1.mp3"])
    with pytest.raises(DataError) as caught:
        deam.load(tmp_path, split("deam"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + 20 + 2
    assert lines[-2].strip() == "and 9 more"


def test_the_challenges_own_labels_come_first_for_development(tree: Path) -> None:
    for name in ("arousal", "valence"):
        write_labels(tree / f"development_{name}.csv", {"3": [0.9], "2001": [0.9], "50": [0.9]})
    write_labels(tree / UNPACKED / "arousal.csv", {**GOOD, "3": ["broken"]})
    labels = {clip.name: clip.labels for clip in deam.load(tree, SPLIT).clips}
    first = {name: float(own.values[0, 0]) for name, own in labels.items() if isinstance(own, DynamicLabels)}
    assert first == pytest.approx({"3": 0.9, "4": -0.1, "2001": 0.5})


def test_songs_of_the_split_that_are_nowhere(tree: Path, tmp_path: Path) -> None:
    larger = Split(SPLIT.development | {"5", "6"}, SPLIT.evaluation)
    loaded = deam.load(tree, larger)
    assert len(loaded.clips) == 3
    assert texts(loaded, fatal=False)[0].endswith('valence.csv": lacks 2 songs (5, 6) of the split')
    assert not deam.load(tree, split("deam")).problems

    ids = tmp_path / "ids.txt"
    ids.write_text("3\n\n4444 # no such song\n")
    own = split(development=ids, evaluation=None)
    assert own.development == {"3", "4444"}
    with pytest.raises(DataError, match=r'ids.txt", row 3: song 4444 is not in'):
        deam.load(tree, own)
    assert [clip.name for clip in deam.load(tree, own, skip_bad=True).clips] == ["3", "2001"]


def test_the_built_in_splits() -> None:
    challenge, everything = split(), split("deam")
    assert (len(challenge.development), len(challenge.evaluation)) == (431, 58)
    assert challenge.development < everything.development
    assert challenge.evaluation == everything.evaluation == {str(number) for number in range(2001, 2059)}
    assert [challenge.part_of(song) for song in ("3", "1", "2058")] == [DEVELOPMENT, None, EVALUATION]
    with pytest.raises(DataError, match="there is no split 'other'; there are mediaeval2015, deam"):
        split("other")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3\n4\n3\n", "line 3: song 3 stands in line 1 already"),
        ("3 4\n", "line 1: '3 4' is more than one id"),
        ("# nothing\n\n", "names no song"),
    ],
)
def test_bad_lists_of_ids(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_ids(path)
    assert f'"{path}"' in str(caught.value)
    assert reason in str(caught.value)


def test_unreadable_lists_of_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_ids(tmp_path / "nowhere")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_ids(tmp_path / "binary")


def test_a_song_in_both_parts_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "evaluation.txt").write_text("# mine\n2001\n3\n")
    with pytest.raises(DataError, match=r'evaluation.txt", line 3: song 3 is in both parts'):
        split(evaluation=tmp_path / "evaluation.txt")
    with pytest.raises(DataError, match="song 3 is in both parts"):
        Split(frozenset("3"), frozenset("3"))


@settings(max_examples=30, deadline=None)
@given(
    ids=st.lists(st.text(string.ascii_letters + string.digits + "_-.", min_size=1), min_size=1, unique=True),
    noise=st.lists(st.sampled_from(["", "   ", "# a comment", "\t#"]), max_size=5),
)
def test_ids_survive_comments_and_blank_lines(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], noise: list[str]
) -> None:
    path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_text("\n".join([*noise, *(f" {song} # {song}" for song in ids)]))
    assert read_ids(path) == {song: len(noise) + place for place, song in enumerate(ids, start=1)}


@settings(max_examples=25, deadline=None)
@given(lengths=st.dictionaries(st.integers(1, 2058).map(str), st.integers(1, 4), min_size=1, max_size=8))
def test_every_labelled_song_of_the_split_is_loaded_whole(
    tmp_path_factory: pytest.TempPathFactory, lengths: dict[str, int]
) -> None:
    folder = tmp_path_factory.mktemp("deam")
    for name in ("arousal.csv", "valence.csv"):
        write_labels(folder / name, {song: [0.5] * length for song, length in lengths.items()})
    loaded = deam.load(folder, split("deam"), need="labels")
    assert {clip.name: len(clip.labels.values) for clip in loaded.clips} == lengths  # type: ignore[union-attr]
    assert not loaded.problems


def test_the_published_labels(labelled_music: Path) -> None:
    folder = labelled_music / "mediaeval2015"
    if not folder.is_dir():
        pytest.skip(f"no mediaeval2015 in {labelled_music}")
    everything = deam.load(folder, split("deam"), need="labels")
    assert len(everything.clips) == 1802
    assert not everything.problems

    clips = deam.load(folder, split(), need="labels").clips
    labels = {
        part: [clip.labels for clip in clips if clip.part == part and isinstance(clip.labels, DynamicLabels)]
        for part in (DEVELOPMENT, EVALUATION)
    }
    assert {part: len(some) for part, some in labels.items()} == {DEVELOPMENT: 431, EVALUATION: 58}
    assert all(len(some.positions) == 60 for some in labels[DEVELOPMENT])
    assert len({len(some.positions) for some in labels[EVALUATION]}) > 1
    assert {float(some.positions[0]) for some in labels[EVALUATION]} == {15.0}
    mean = np.concatenate([some.values for some in labels[DEVELOPMENT]]).mean(axis=0)
    errors = [np.sqrt(((some.values - mean) ** 2).mean(axis=0)) for some in labels[EVALUATION]]
    np.testing.assert_allclose(np.mean(errors, axis=0), [0.265, 0.254], atol=5e-4)
