"""A student of notes, taught by the transcriber itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from model.chroma import NoteChroma
from model.features import FeatureParameters, build_frontend, power_spectrum, spectrum_taper
from tests.training.conftest import tone
from training import note_teaching
from training.commands import teach_notes
from training.feature_cache import ExtractorCache
from training.note_file import read_notes, write_notes
from training.note_running import run_note_teaching
from training.note_teaching import NoteLessons, NoteTeaching
from training.tables import DataError

SHORT = NoteTeaching(excerpts=3, units=(12, 6), steps=400)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of single tones, three octaves of them."""
    folder = tmp_path_factory.mktemp("music")
    for note in range(45, 81):
        soundfile.write(folder / f"{note}.wav", tone(4, 440 * 2 ** ((note - 69) / 12), loud=True), 22050)
    return folder


def test_the_student_hears_what_the_transcriber_says(music: Path, tmp_path: Path) -> None:
    pytest.importorskip("basic_pitch", reason="the teacher (pip install --no-deps basic-pitch==0.4.0)")
    for name in ("one", "other"):
        run_note_teaching(music, tmp_path / name, settings=SHORT, cache=tmp_path / "cache")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    parameters = FeatureParameters()
    heard = NoteChroma(read_notes(tmp_path / "one"), parameters.frame_length, parameters.sample_rate)
    right = 0
    for note in range(50, 74):
        frame = tone(0.5, 440 * 2 ** ((note - 69) / 12), loud=True)[np.newaxis]
        right += heard(power_spectrum(frame * spectrum_taper(frame.shape[1])))[0].argmax() == note % 12
    assert right >= 22


def test_lessons_of_a_file_shorter_than_what_the_teacher_hears(tmp_path: Path) -> None:
    pytest.importorskip("basic_pitch", reason="the teacher (pip install --no-deps basic-pitch==0.4.0)")
    soundfile.write(tmp_path / "short.wav", tone(0.7, 440, loud=True), 22050)
    rows = ExtractorCache(tmp_path / "cache", NoteLessons(2)).load(tmp_path / "short.wav")
    assert rows.shape == (6, NoteLessons(2).column_count)
    assert np.isfinite(rows).all()


def test_a_missing_teacher_is_told_before_anything_is_heard(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "basic_pitch", None)
    note_teaching._teacher.cache_clear()
    arguments = ["--unlabelled", str(music), "-o", str(tmp_path / "notes"), "--cache", str(tmp_path)]
    with pytest.raises(DataError, match="pip install --no-deps basic-pitch"):
        CliRunner().invoke(teach_notes, arguments, catch_exceptions=False, standalone_mode=False)
    assert not (tmp_path / "notes").exists()


def test_notes_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = read_notes()
    write_notes(tmp_path / "notes", weights, {"seed": 1})
    for name, values in read_notes(tmp_path / "notes").items():
        np.testing.assert_array_equal(values, weights[name])
    assert build_frontend(notes=weights).parameters.chroma == "both"
    assert build_frontend(FeatureParameters(chroma="notes"), weights).parameters.chroma == "notes"


@pytest.mark.parametrize("content", [None, b"", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_file_of_notes_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "notes"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_notes(path)
