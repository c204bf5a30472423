"""Songs whose labels follow from their inputs, and networks small enough to train in no time."""

from __future__ import annotations

import numpy as np

from training.paper.configuration import Configuration, configure
from training.paper.songs import Song

COLUMNS = 6


def learnable_songs(count: int, frames: int = 40, seed: int = 0, columns: int = COLUMNS) -> list[Song]:
    """Give songs of which valence is the first column's slow part, arousal the second's; the rest is noise."""
    random = np.random.default_rng(seed)
    songs = []
    for number in range(count):
        length = frames + number % 3
        time = np.arange(length)
        phase, level = random.uniform(0, 6, 2), random.uniform(-0.4, 0.4, 2)
        labels = level + 0.3 * np.sin(0.15 * time[:, None] + phase)
        inputs = random.normal(0, 1, (length, columns))
        inputs[:, :2] = 5 + 10 * labels + random.normal(0, 0.3, (length, 2))
        songs.append(Song(f"song {number}", inputs.astype(np.float32), labels.astype(np.float32)))
    return songs


def small(system: str = "crnn", **choices: object) -> Configuration:
    """Give a configuration that trains within a second; any of its values may be given."""
    sizes = {"lstm_layers": 3, "lstm_units": 8, "pretraining_epochs": 1, "epochs": 2, "dropout": 0.1, "l1": 0.0}
    return configure({"system": system, "features": "logmel", **sizes, **choices})


def one_line(error: BaseException) -> str:
    """Return an error's message, which must be a single line."""
    message = str(error)
    assert message
    assert "\n" not in message
    return message
