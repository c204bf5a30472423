"""Labels and tracks whose figures are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.clips import EVALUATION, Clip, DynamicLabels, Labels, SignLabels, StaticLabels
from training.tracks import Track, Tracks

ClipsAndTracks = tuple[dict[str, list[Clip]], Tracks]


def clip(dataset: str, name: str, labels: Labels, group: str | None = None) -> Clip:
    return Clip(dataset, name, group or name, Path(name), EVALUATION, labels)


def track(values: np.ndarray, stds: np.ndarray | float | None = None) -> Track:
    spread = None if stds is None else np.broadcast_to(np.asarray(stds, np.float32), values.shape)
    return Track(values.astype(np.float32), spread)


def curve(random: np.random.Generator, frames: int) -> np.ndarray:
    """Give a smooth walk of shape (frames, 2)."""
    steps = np.cumsum(random.normal(0, 0.05, (frames, 2)), axis=0)
    return np.clip(random.uniform(-0.4, 0.4, 2) + steps - steps.mean(axis=0), -1, 1)


def continuous(songs: int = 12, frames: int = 80, noise: float = 0.1, std: float | None = None) -> ClipsAndTracks:
    """Give songs labelled from the tenth frame on, and estimates with Gaussian errors."""
    random = np.random.default_rng(0)
    clips, tracks = [], {}
    for number in range(songs):
        labels = curve(random, frames)
        positions = 0.5 * np.arange(10, frames + 1)
        clips.append(clip("vgmidi", str(number), DynamicLabels(positions, labels[9:].astype(np.float32))))
        tracks[str(number)] = track(labels + random.normal(0, noise, labels.shape), std)
    return {"vgmidi": clips}, {"vgmidi": tracks}


def static(count: int = 40, noise: float = 0.2, std: float | None = None) -> ClipsAndTracks:
    random = np.random.default_rng(1)
    clips, tracks = [], {}
    for number in range(count):
        label = random.uniform(-0.8, 0.8, 2)
        clips.append(clip("emotify", f"c{number}", StaticLabels(*label)))
        tracks[f"c{number}"] = track(np.tile(label + random.normal(0, noise, 2), (20, 1)), std)
    return {"emotify": clips}, {"emotify": tracks}


def signs(count: int = 90, groups: int = 30, noise: float = 0.8, dataset: str = "4q") -> ClipsAndTracks:
    """Give clips of fewer artists, each with signs that estimates follow somewhat."""
    random = np.random.default_rng(2)
    clips, tracks = [], {}
    for number in range(count):
        label = random.choice([-1, 1], 2)
        labels = SignLabels(int(label[0]), int(label[1]))
        clips.append(clip(dataset, f"q{number}", labels, f"artist {number % groups}"))
        middle = np.clip(0.4 * label + random.normal(0, 0.5 * noise, 2), -1, 1)
        # coarse, so that there are ties
        tracks[f"q{number}"] = track(np.tile(middle.round(1), (6, 1)))
    return {dataset: clips}, {dataset: tracks}
