"""The mean predictor stands beside the systems: it must be measured on the very songs that they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

pytest.importorskip("librosa", reason="training needs librosa (pip install moodring[train])")
pytest.importorskip("matplotlib", reason="plots need matplotlib (pip install moodring[plots])")

from tests.conftest import Outcome
from tests.training.conftest import tone, write_table

SECONDS = 6


def test_songs_without_audio_do_not_count_for_the_mean_predictor(
    moodring: Callable[..., Outcome], tmp_path: Path
) -> None:
    labels = {"1": 0.0, "2": 0.0, "3": 0.0, "2001": 0.4, "2002": -0.8}
    (tmp_path / "audio").mkdir()
    for song in ("1", "2", "3", "2001"):
        soundfile.write(tmp_path / "audio" / f"{song}.wav", tone(SECONDS, 300, True), 22050)
    header = ["song_id", *(f"sample_{500 * (i + 1)}ms" for i in range(2 * SECONDS))]
    for table in ("valence.csv", "arousal.csv"):
        write_table(tmp_path / table, [[*header], *([song, *[v] * 2 * SECONDS] for song, v in labels.items())])
    command = ["reproduce", "--data", tmp_path, "--split", "deam", "-o", tmp_path / "out", "--cache", tmp_path / "c"]
    command += ["--table", "1b", "--runs", 1, "--epochs", 1, "--jobs", 1]
    refused = moodring(*command)
    assert refused.status == 1
    assert "song 2002 has no audio" in refused.errors
    assert "--skip-bad" in refused.errors

    done = moodring(*command, "--skip-bad")
    assert done.status == 0, done.errors
    text = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    # averaged over songs, and pooled; with song 2002 they would be 0.600 and 0.632
    assert text.count("| mean predictor | 0.400 | 0.400 | 0.400 | – | – |") == 2
    for run in (tmp_path / "out" / "runs").glob("*.json"):
        assert json.loads(run.read_text(encoding="utf-8"))["evaluation"]["songs"] == 1
