from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import write_table
from training import datasets
from training.clips import DynamicLabels
from training.datasets import own_music
from training.tables import DataError


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "audio").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "audio" / name).touch()
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        own_music.load(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (["b.wav", "nan", 0.1], "row 3: column valence must be a number, not 'nan'"),
        (["b.wav", "", 0.1], "row 3: column valence is empty"),
        (["b.wav", "happy", 0.1], "row 3: column valence must be a number"),
        (["b.wav", 0.1, 1.5], "row 3: column arousal must be in [-1, 1], not 1.5"),
        (["c.wav", 0.1, 0.5], "row 3: there is no file"),
        (["a.wav", 0.1, 0.5], "row 3: file a.wav is labelled twice"),
        (["b.wav", 0.1, 0.5, 7], "row 3: has 4 cells, but the header has 3"),
    ],
)
def test_a_bad_row_is_named(own: Path, row: list[object], reason: str) -> None:
    write_table(own / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0, 0], row])
    message = refusal(own)
    assert reason in message
    assert "labels.csv" in message


def test_a_missing_column_and_an_empty_table_are_named(own: Path) -> None:
    write_table(own / "labels.csv", [["file", "valence"], ["a.wav", 0]])
    assert "no column arousal" in refusal(own)
    write_table(own / "labels.csv", [["file", "valence", "arousal"]])
    assert "has no rows" in refusal(own)


def test_bytes_that_are_no_text_are_refused(own: Path) -> None:
    (own / "labels.csv").write_bytes(b"file,valence,arousal\n\xff\xfe,0,0\n")
    assert "UTF-8" in refusal(own)


def test_dynamic_labels_may_end_early_and_differ_in_length(own: Path) -> None:
    header = ["file", "sample_1000ms", "sample_500ms", "sample_1500ms"]
    write_table(own / "valence.csv", [header, ["a.wav", 0.2, 0.1, 0.3], ["b.wav", 0.2, 0.1, ""]])
    write_table(own / "arousal.csv", [header, ["a.wav", -0.2, -0.1], ["b.wav", -0.2, -0.1, -0.3]])
    for clip in own_music.load(own):
        labels = clip.labels
        assert isinstance(labels, DynamicLabels)
        np.testing.assert_allclose(labels.positions, [0.5, 1.0])
        np.testing.assert_allclose(labels.values, [[0.1, -0.1], [0.2, -0.2]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arousal", "reason"),
    [
        ([["a.wav", 0.1, "", 0.3]], "row 2: column sample_1000ms is empty, but later ones are not"),
        ([["a.wav", "", "", ""]], "row 2: has no labels"),
        ([["a.wav", 0.1, "NaN", 0.3]], "row 2: column sample_1000ms must be a number"),
        ([["b.wav", 0.1, 0.1, 0.3]], "row 2: clip a.wav is missing from"),
        ([["a.wav", 0.1, 0.1, 0.3], ["b.wav", 0, 0, 0]], "row 3: clip b.wav is missing from"),
        ([["a.wav", 0.1, 0.1, 0.3], ["a.wav", 0, 0, 0]], "row 3: clip a.wav stands twice"),
    ],
)
def test_bad_dynamic_labels_are_named(own: Path, arousal: list[list[object]], reason: str) -> None:
    header = ["file", "sample_500ms", "sample_1000ms", "sample_1500ms"]
    write_table(own / "valence.csv", [header, ["a.wav", 0.1, 0.2, 0.3]])
    write_table(own / "arousal.csv", [header, *arousal])
    assert reason in refusal(own)


def test_nothing_to_find_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no data set"):
        datasets.find(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        datasets.find(tmp_path / "nowhere")


def test_what_is_missing_is_told(own: Path) -> None:
    (own / "vgmidi").mkdir()
    write_table(own / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0, 0]])
    found, missing = datasets.find(own)
    assert [d.name for d in found] == ["vgmidi", "own music"]
    assert missing == ["emomusic", "emotify", "4q", "emopia"]


def test_the_label_hash_changes_with_the_labels(own: Path) -> None:
    write_table(own / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0, 0]])
    before = datasets.find(own)[0][0].label_hash()
    assert before == datasets.find(own)[0][0].label_hash()
    write_table(own / "labels.csv", [["file", "valence", "arousal"], ["a.wav", 0, 0.1]])
    assert before != datasets.find(own)[0][0].label_hash()
