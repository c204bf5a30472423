"""Cross-validation with songs that only somebody who was taught them can know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.held_out
from model.crnn import CRNNParameters
from model.features import FeatureParameters
from model.network import EmotionNetwork, NetworkParameters
from training.calibration import SpreadCalibration
from training.clips import DEVELOPMENT, EVALUATION, FOLDS, Clip, SignLabels, StaticLabels, fold_of
from training.held_out import Material, calibrate, cross_validate
from training.recipe import Recipe
from training.sampling import WindowSampler
from training.tracks import Tracks

PARAMETERS = FeatureParameters(mel_bands=8)
NETWORK = NetworkParameters(
    window=4,
    memory=8,
    columns=("logmel_mean", "harmony"),
    summary_units=0,
    spread_units=2,
    crnn=CRNNParameters(conv_filters=1, fc_units=2, gru_units=2, maxout_pieces=2),
)
RECIPE = replace(
    Recipe(),
    steps=3,
    windows_per_step={"emotify": 4, "4q": 4, "emopia": 4},
    not_music_windows=2,
)
FRAMES = 10


def rows_of(number: float) -> np.ndarray:
    """Give features whose last column is the clip's number."""
    random = np.random.default_rng(round(number))
    rows = random.normal(-40, 10, (FRAMES, PARAMETERS.feature_count)).astype(np.float32)
    rows[:, -1] = number
    return rows


def material() -> Material:
    clips: dict[str, list[Clip]] = {"emotify": [], "4q": [], "emopia": [], "emomusic": []}
    for number in range(14):
        labels = StaticLabels(0.1 * (number % 5) - 0.2, 0.1 * (number % 3))
        clips["emotify"].append(Clip("emotify", f"e{number}", f"song {number // 2}", Path(), DEVELOPMENT, labels))
    for number in range(10):
        signs = SignLabels(1 if number % 2 else -1, -1 if number % 3 else 1)
        clips["4q"].append(Clip("4q", f"q{number}", f"artist {number}", Path(), DEVELOPMENT, signs))
    for number in range(4):
        part = EVALUATION if number % 2 else DEVELOPMENT
        clips["emopia"].append(Clip("emopia", f"p{number}", f"piece {number}", Path(), part, SignLabels(1, 1)))
    clips["emomusic"].append(Clip("emomusic", "m", "m", Path(), EVALUATION, StaticLabels(0.1, 0.1)))
    numbers = iter(range(1, 100))
    rows = {name: [rows_of(next(numbers)) for _ in of_set] for name, of_set in clips.items()}
    silent = [Clip("not music", "0", "0", Path(), DEVELOPMENT, StaticLabels(0.0, 0.0))]
    return Material(clips, rows, WindowSampler(silent, [rows_of(99)], 0.5), PARAMETERS)


Spied = list[tuple[set[float], EmotionNetwork]]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    """Note the numbers of the clips that each network was trained on."""
    seen: Spied = []
    really: Callable[..., EmotionNetwork] = training.held_out.train

    def train(samplers: Mapping[str, WindowSampler], *arguments: Any, **named: Any) -> EmotionNetwork:
        network = really(samplers, *arguments, **named)
        seen.append(({n for sampler in samplers.values() for n in sampler.features[:, -1].tolist()}, network))
        return network

    monkeypatch.setattr(training.held_out, "train", train)
    return seen


def number_of(material: Material, dataset: str, clip: str) -> float:
    place = [c.name for c in material.clips[dataset]].index(clip)
    return float(material.rows[dataset][place][0, -1])


def equal(one: Tracks, other: Tracks) -> bool:
    names = [{(name, clip) for name, clips in tracks.items() for clip in clips} for tracks in (one, other)]
    return names[0] == names[1] and all(
        np.array_equal(track.values, other[name][clip].values) and np.array_equal(track.stds, other[name][clip].stds)
        for name, clips in one.items()
        for clip, track in clips.items()
    )


def test_no_clip_is_estimated_by_a_network_that_saw_its_group(spied: Spied) -> None:
    given = material()
    tracks = cross_validate(given, NETWORK, RECIPE)
    assert len(spied) == FOLDS
    assert set(tracks["emotify"]) == {clip.name for clip in given.clips["emotify"]}
    assert set(tracks["4q"]) == {clip.name for clip in given.clips["4q"]}
    assert set(tracks["emopia"]) == {f"{clip}@{fold}" for clip in ("p1", "p3") for fold in range(FOLDS)}
    assert set(tracks["emomusic"]) == {f"m@{fold}" for fold in range(FOLDS)}
    for name in ("emotify", "4q"):
        for clip in given.clips[name]:
            seen, network = spied[fold_of(clip.group)]
            group = [other.name for other in given.clips[name] if other.group == clip.group]
            assert not {number_of(given, name, other) for other in group} & seen
            said = given.tracks(network, lambda other, clip=clip: other is clip)[name][clip.name]
            np.testing.assert_allclose(tracks[name][clip.name].values, said.values, atol=1e-5)
    for fold, (seen, network) in enumerate(spied):
        assert {number_of(given, "emopia", "p0"), number_of(given, "emopia", "p2")} <= seen
        assert not {number_of(given, "emopia", "p1"), number_of(given, "emopia", "p3")} & seen
        assert number_of(given, "emomusic", "m") not in seen
        said = given.tracks(network, lambda clip: clip.dataset == "emopia")["emopia"]["p1"]
        np.testing.assert_allclose(tracks["emopia"][f"p1@{fold}"].values, said.values, atol=1e-6)


def test_labels_that_can_only_be_known_by_heart_do_not_show() -> None:
    """A fold's own labels reach its tracks by no more than how the spreads are changed, which all folds share."""
    given = material()
    before = cross_validate(given, NETWORK, RECIPE)
    fold = fold_of(given.clips["emotify"][0].group)
    changed = [
        replace(clip, labels=StaticLabels(0.9, -0.9)) if fold_of(clip.group) == fold else clip
        for clip in given.clips["emotify"]
    ]
    after = cross_validate(replace(given, clips={**given.clips, "emotify": changed}), NETWORK, RECIPE)
    pairs = []
    for clip in changed:
        one, other = before["emotify"][clip.name], after["emotify"][clip.name]
        assert one.stds is not None
        assert other.stds is not None
        if fold_of(clip.group) == fold:
            np.testing.assert_allclose(one.values, other.values, atol=1e-6)
            pairs.append(np.log([one.stds, other.stds]))
        else:
            assert not np.allclose(one.values, other.values, atol=1e-6)
    for given_labels, other_labels in np.concatenate(pairs, axis=1).transpose(2, 0, 1):
        # a power and a factor: a straight line between the logarithms
        line = np.polynomial.Polynomial.fit(other_labels, given_labels, 1)
        np.testing.assert_allclose(given_labels, line(other_labels), atol=1e-4)


def test_processes_change_nothing() -> None:
    done: list[int] = []
    one = cross_validate(material(), NETWORK, RECIPE, seed=1, folded=done.append)
    assert done == list(range(FOLDS))
    several = cross_validate(material(), NETWORK, RECIPE, seed=1, jobs=2, folded=done.append)
    assert sorted(done[FOLDS:]) == list(range(FOLDS))
    assert equal(one, several)
    assert not equal(one, cross_validate(material(), NETWORK, RECIPE, seed=2))


def test_a_calibration_leaves_out_one_fold(spied: Spied) -> None:
    given = material()
    fold = fold_of(given.clips["emotify"][0].group)
    found = calibrate(given, NETWORK, RECIPE, lambda clip: clip.part == DEVELOPMENT, fold, seed=0)
    assert found != SpreadCalibration()
    assert min(found.scale) > 0
    ((seen, _),) = spied
    left_out = {
        number_of(given, name, clip.name)
        for name, clips in given.clips.items()
        for clip in clips
        if fold_of(clip.group) == fold or clip.part == EVALUATION or name == "emomusic"
    }
    assert seen
    assert not seen & left_out


def test_a_calibration_without_enough_songs_changes_nothing(spied: Spied) -> None:
    given = material()
    only = given.clips["emotify"][0]
    found = calibrate(given, NETWORK, RECIPE, lambda clip: clip.name == only.name, fold_of(only.group), seed=0)
    assert found == SpreadCalibration()
    assert not spied


def test_tracks_are_those_of_a_stream() -> None:
    given = material()
    network = EmotionNetwork(PARAMETERS, NETWORK).eval()
    tracks = given.tracks(network, lambda clip: clip.name in ("e3", "q1"))
    assert {name: list(clips) for name, clips in tracks.items()} == {"emotify": ["e3"], "4q": ["q1"]}
    track = tracks["emotify"]["e3"]
    assert track.values.shape == (FRAMES, 2)
    assert track.stds is not None
    assert track.stds.shape == (FRAMES, 2)
    plain = EmotionNetwork(PARAMETERS, replace(NETWORK, spread_units=0)).eval()
    assert given.tracks(plain, lambda clip: clip.name == "e3")["emotify"]["e3"].stds is None
