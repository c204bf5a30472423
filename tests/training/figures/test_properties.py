"""What clips are like, from features of known sounds, and errors by it, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.features import FeatureParameters, Frontend
from tests.training.conftest import tone
from tests.training.figures.conftest import clip, signs, track
from training.clips import DynamicLabels, StaticLabels
from training.figures.layouts import property_layout
from training.figures.measuring import SIGN_ACCURACY
from training.figures.properties import (
    ACTIVITY,
    BRIGHTNESS,
    DYNAMICS,
    LOUDNESS,
    MODE,
    PART,
    SECONDS,
    PropertyFigures,
    describe,
    measure_properties,
)

PARAMETERS = FeatureParameters()


def rows_of(frontend: Frontend, samples: np.ndarray) -> np.ndarray:
    length = frontend.parameters.frame_length
    return frontend(samples[: len(samples) // length * length].reshape(-1, length))


def chords(*chords: tuple[float, ...]) -> np.ndarray:
    return np.concatenate([sum(tone(2, 220 * 2 ** (step / 12), False) for step in chord) for chord in chords])


def test_descriptions_follow_the_sound(frontend: Frontend) -> None:
    def of(samples: np.ndarray) -> dict[str, float]:
        return describe(rows_of(frontend, samples), frontend.parameters)

    loud, soft = tone(4, 220, True), 0.1 * tone(4, 220, True)
    assert of(loud)[LOUDNESS] - of(soft)[LOUDNESS] == pytest.approx(20, abs=0.1)
    assert of(loud)[DYNAMICS] == pytest.approx(0, abs=0.1)
    assert of(np.concatenate([loud, soft]))[DYNAMICS] == pytest.approx(10, abs=0.1)
    assert of(np.concatenate([loud, np.zeros_like(loud)]))[LOUDNESS] == pytest.approx(of(loud)[LOUDNESS])
    assert of(tone(4, 1760, False))[BRIGHTNESS] > of(tone(4, 220, False))[BRIGHTNESS] + 5
    assert of(tone(4, 220, True))[ACTIVITY] > of(tone(4, 220, False))[ACTIVITY]
    # tonic, subdominant, dominant, tonic
    major = chords((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7))
    minor = chords((0, 3, 7), (5, 8, 12), (7, 10, 14), (0, 3, 7))
    assert of(major)[MODE] > 0 > of(minor)[MODE]


@given(st.floats(-30, 30), st.integers(0, 11))
def test_only_loudness_knows_the_gain_and_nothing_the_key(gain: float, steps: int) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(-30, 5, (20, PARAMETERS.feature_count)).astype(np.float32)
    columns = PARAMETERS.columns
    changed = rows.copy()
    changed[:, columns["logmel_mean"]] += np.float32(gain)
    changed[:, columns["logchroma"]] = np.roll(rows[:, columns["logchroma"]], steps, axis=1) + np.float32(gain)
    before, after = describe(rows, PARAMETERS), describe(changed, PARAMETERS)
    assert after.pop(LOUDNESS) == pytest.approx(before.pop(LOUDNESS) + gain, abs=1e-3)
    assert after == pytest.approx(before, abs=1e-4)


def described(names: list[str], values: list[float]) -> dict[str, dict[str, float]]:
    same = dict.fromkeys((ACTIVITY, DYNAMICS, BRIGHTNESS), 0.0)
    return {n: {**same, LOUDNESS: v, MODE: 1.0} for n, v in zip(names, values, strict=True)}


def test_errors_by_thirds_by_hand() -> None:
    names = list("abcdef")
    clips = {"emotify": [clip("emotify", name, StaticLabels(0.0, 0.2)) for name in names]}
    errors = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7]
    tracks = {"emotify": {name: track(np.tile([by, 0.1], (4, 1))) for name, by in zip(names, errors, strict=True)}}
    like = described(names, [-30, -20, -25, -35, -10, -15])
    found = measure_properties(tracks, clips, {"emotify": like}, resamples=50)
    assert [(one.property, one.unit, one.count) for one in found] == [(LOUDNESS, "clips", 2)] * 3
    assert [one.figures[0].value for one in found] == pytest.approx([0.25, 0.25, 0.6], abs=1e-6)
    assert [one.figures[1].value for one in found] == pytest.approx([0.1] * 3, abs=1e-6)
    low, high = found[2].figures[0].interval or (0, 0)
    assert 0.5 - 1e-6 <= low <= high <= 0.7 + 1e-6
    text = property_layout(found).to_markdown()
    assert "| **emotify: mean absolute error by loudness (dB)** |" in text
    assert "| above -18.3 | 2 clips | 0.600 [" in text
    assert measure_properties(tracks, clips, {}) == []


def test_signs_are_counted_by_mode() -> None:
    clips, tracks = signs()
    like = described([c.name for c in clips["4q"]], [0.0] * len(clips["4q"]))
    for name in list(like)[::3]:
        like[name][MODE] = -1.0
    major, minor = measure_properties(tracks, clips, {"4q": like}, resamples=20)
    assert [(one.property, one.group, one.count) for one in (major, minor)] == [
        (MODE, "major", 60),
        (MODE, "minor", 30),
    ]
    right = {
        c.name: (np.array([c.labels.valence, c.labels.arousal]) > 0) == (tracks["4q"][c.name].values.mean(axis=0) > 0)
        for c in clips["4q"]
    }
    expected = np.mean([right[name] for name in list(like)[::3]], axis=0)
    assert [figure.metric for figure in minor.figures] == [SIGN_ACCURACY] * 2
    assert [figure.value for figure in minor.figures] == pytest.approx(expected)


def test_frames_are_grouped_by_where_they_stand() -> None:
    """Labels from 5 s on in a song of 60 s; the error is the end of the frame, in minutes."""
    ends = 0.5 * np.arange(1, 121)
    clips, tracks = {"vgmidi": []}, {"vgmidi": {}}
    for name in "ab":
        labels = DynamicLabels(ends[9:], np.zeros((111, 2), np.float32))
        clips["vgmidi"].append(clip("vgmidi", name, labels))
        tracks["vgmidi"][f"{name}@0"] = track(np.stack([ends / 60, ends / 120], axis=1))
        tracks["vgmidi"][f"{name}@1"] = track(np.stack([-ends / 60, ends / 120], axis=1))
    like = {"vgmidi": described(["a", "b"], [0, 0])}
    found: dict[str, list[PropertyFigures]] = {}
    for one in measure_properties(tracks, clips, like, resamples=20):
        found.setdefault(one.property, []).append(one)
    assert list(found) == [SECONDS, PART]
    for name, bounds in ((SECONDS, (0, 10, 30, 60)), (PART, (0, 20, 40, 60))):
        for one, low, high in zip(found[name], bounds, bounds[1:], strict=False):
            inside = ends[(ends > low) & (ends <= high) & (ends >= 5)]
            assert one.unit == "frames"
            assert one.count == 2 * len(inside)
            assert one.figures[0].value == pytest.approx(np.mean(inside) / 60)
            assert one.figures[1].value == pytest.approx(np.mean(inside) / 120)
    assert [one.group for one in found[SECONDS]] == ["first 10 s", "10 to 30 s", "after 30 s"]
