"""Music with known properties, made on the spot, and the labelled music where it is at hand."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.features import Frontend, build_frontend

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def labelled_music() -> Path:
    folder = Path(os.environ.get("MOODRING_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no labelled music in {folder}; set MOODRING_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def frontend() -> Frontend:
    pytest.importorskip("librosa", reason="filterbanks need librosa (pip install moodring[train])")
    return build_frontend()


def tone(seconds: float, pitch: float, loud: bool, rate: int = 22050) -> np.ndarray:
    """Loud tones pulse and have many partials; soft ones are steady and pure."""
    time = np.arange(round(seconds * rate)) / rate
    partials = range(1, 12 if loud else 2)
    wave = sum(np.sin(2 * np.pi * pitch * n * time) / n for n in partials)
    if loud:
        wave = wave * (0.6 + 0.4 * np.sign(np.sin(2 * np.pi * 4 * time)))
    return (0.1 * wave).astype(np.float32)


def write_table(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 files of own music, 8 s each: pulsing rich tones are labelled excited, pure ones calm."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "audio").mkdir()
    rows: list[list[object]] = [["file", "valence", "arousal"]]
    for i in range(24):
        loud = i % 2 == 1
        soundfile.write(folder / "audio" / f"{i}.wav", tone(8, 200 + 20 * i, loud), 22050)
        rows.append([f"{i}.wav", 0.3 if loud else -0.3, 0.5 if loud else -0.5])
    write_table(folder / "labels.csv", rows)
    return folder
