"""The loaders against the data sets themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import datasets
from training.clips import DEVELOPMENT, EVALUATION, Clip, DynamicLabels, SignLabels, StaticLabels


def load(folder: Path, name: str) -> list[Clip]:
    found = {d.name: d for d in datasets.find(folder)[0]}
    if name not in found:
        pytest.skip(f"no {name} in {folder}")
    return found[name].clips()


@pytest.mark.parametrize(
    ("name", "development", "evaluation", "kind"),
    [
        ("vgmidi", 128, 32, DynamicLabels),
        ("emotify", 266, 74, StaticLabels),
        ("4q", 594, 126, SignLabels),
        ("emopia", 876, 114, SignLabels),
        ("emomusic", 0, 5, DynamicLabels),
    ],
)
def test_counts_parts_and_kinds(labelled_music: Path, name: str, development: int, evaluation: int, kind: type) -> None:
    clips = load(labelled_music, name)
    parts = [clip.part for clip in clips]
    assert (parts.count(DEVELOPMENT), parts.count(EVALUATION)) == (development, evaluation)
    assert all(isinstance(clip.labels, kind) for clip in clips)
    assert len({clip.name for clip in clips}) == len(clips)
    groups = [{clip.group for clip in clips if clip.part == part} for part in (DEVELOPMENT, EVALUATION)]
    assert not groups[0] & groups[1]


def test_valence_comes_first(labelled_music: Path) -> None:
    first = next(clip for clip in load(labelled_music, "vgmidi") if clip.name == "2")
    assert isinstance(first.labels, DynamicLabels)
    np.testing.assert_allclose(first.labels.values[0], [-0.0253, 0.1387], atol=1e-6)
    assert first.labels.positions[0] == 0.5


def test_emomusic_starts_at_fifteen_seconds(labelled_music: Path) -> None:
    clip = load(labelled_music, "emomusic")[0]
    assert isinstance(clip.labels, DynamicLabels)
    labelled = ~np.isnan(clip.labels.per_frame(90, 0.5)[:, 0])
    assert np.flatnonzero(labelled)[0] == 29
