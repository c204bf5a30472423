from __future__ import annotations

import numpy as np
import pytest

from tests.training.figures.conftest import clip, continuous, signs, static, track
from training import metrics
from training.clips import DynamicLabels, SignLabels
from training.figures.goals import GOALS, target_of
from training.figures.labelled import label_tracks, slow_tracks
from training.figures.layouts import unmeasured_goals
from training.figures.measuring import (
    AUC,
    CCC,
    QUADRANT_ACCURACY,
    QUADRANT_MACRO_F1,
    RMSE,
    SIGN_ACCURACY,
    WITHIN_SONG_R,
    R,
    measure,
)
from training.tables import DataError
from training.tracks import Tracks


def test_time_continuous_figures_are_those_of_the_labelled_frames() -> None:
    clips, tracks = continuous()
    (result,) = measure(tracks, clips)
    assert (result.clips, result.groups, result.rows, result.folds) == (12, 12, 12 * 71, 1)
    reference = np.concatenate([c.labels.values for c in clips["vgmidi"]]).astype(np.float64)
    estimate = np.concatenate([tracks["vgmidi"][c.name].values[9:] for c in clips["vgmidi"]])
    song = np.repeat(np.arange(12), 71)
    for i, dimension in enumerate(("valence", "arousal")):
        for metric, expected in (
            (CCC, metrics.ccc(reference, estimate)),
            (RMSE, metrics.rmse(reference, estimate)),
            (R, metrics.pearson_r(reference, estimate)),
            (WITHIN_SONG_R, metrics.within_song_r(reference, estimate, song)),
        ):
            assert result.find(metric, dimension).value == pytest.approx(expected[i], abs=1e-6)
        rmse = result.find(RMSE, dimension)
        assert rmse.constant == pytest.approx(reference[:, i].std())
        oracle = metrics.rmse(reference, metrics.song_means(reference, song))
        assert rmse.song_means == pytest.approx(oracle[i])
        assert result.find(CCC, dimension).constant == pytest.approx(0, abs=1e-6)


def test_signs_are_measured_as_scikit_learn_does() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn (pip install moodring[train])")
    clips, tracks = signs()
    (result,) = measure(tracks, clips)
    assert (result.clips, result.groups) == (90, 30)
    truth = np.array([[c.labels.valence, c.labels.arousal] for c in clips["4q"]])
    guess = np.array([tracks["4q"][c.name].values.astype(np.float64).mean(axis=0) for c in clips["4q"]])
    for i, dimension in enumerate(("valence", "arousal")):
        expected = sklearn_metrics.roc_auc_score(truth[:, i] > 0, guess[:, i])
        assert result.find(AUC, dimension).value == pytest.approx(expected)
        expected = sklearn_metrics.accuracy_score(truth[:, i] > 0, guess[:, i] > 0)
        assert result.find(SIGN_ACCURACY, dimension).value == pytest.approx(expected)
    quadrants = [(values > 0) @ [1, 2] for values in (truth, guess)]
    expected = sklearn_metrics.accuracy_score(*quadrants)
    assert result.find(QUADRANT_ACCURACY).value == pytest.approx(expected)
    assert result.find(QUADRANT_MACRO_F1).value == pytest.approx(sklearn_metrics.f1_score(*quadrants, average="macro"))


@pytest.mark.parametrize("made", [continuous, static, signs])
def test_intervals_contain_their_figures(made: object) -> None:
    clips, tracks = made()  # type: ignore[operator]
    (result,) = measure(tracks, clips)
    for figure in result.figures:
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]
        assert figure.interval[0] < figure.interval[1]


def test_intervals_widen_when_clips_of_an_artist_are_alike() -> None:
    clips, tracks = signs(count=30, groups=30)
    (alone,) = measure(tracks, clips)
    copies = {"4q": [clip("4q", f"{c.name}-{n}", c.labels, c.group) for c in clips["4q"] for n in range(4)]}
    quadrupled: Tracks = {"4q": {f"{name}-{n}": t for name, t in tracks["4q"].items() for n in range(4)}}
    (copied,) = measure(quadrupled, copies)
    for one, other in zip(alone.figures, copied.figures, strict=True):
        assert other.value == pytest.approx(one.value)
        assert other.interval == pytest.approx(one.interval)


def test_figures_of_several_models_are_averaged() -> None:
    clips, tracks = signs(dataset="emopia")
    flat = {name: track(-t.values) for name, t in tracks["emopia"].items()}
    both: Tracks = {
        "emopia": {f"{name}@{n}": t for n, some in enumerate((tracks["emopia"], flat)) for name, t in some.items()}
    }
    (first,), (second,), (mean,) = (measure(some, clips) for some in (tracks, {"emopia": flat}, both))
    assert (mean.folds, mean.clips) == (2, 90)
    for a, b, c in zip(first.figures, second.figures, mean.figures, strict=True):
        assert c.value == pytest.approx((a.value + b.value) / 2)
    assert mean.find(AUC, "valence").value == pytest.approx(0.5)


def test_one_song_has_figures_without_intervals() -> None:
    clips, tracks = continuous(songs=1)
    (result,) = measure(tracks, clips)
    assert {figure.interval for figure in result.figures} == {None}


def test_the_slow_mood_by_hand() -> None:
    values = np.array([[0.0, 0.0]] * 120 + [[1.0, -1.0]] * 60)
    slow = slow_tracks({"vgmidi": {"a": track(values, 0.1)}})["vgmidi"]["a"]
    assert slow.stds is None
    np.testing.assert_allclose(slow.values[[119, 149, 179]], [[0, 0], [0.25, -0.25], [0.5, -0.5]])


def test_tracks_that_do_not_fit_are_named() -> None:
    clips, tracks = continuous(songs=2)
    with pytest.raises(DataError, match="tracks of deam, but no such data set"):
        measure({"deam": tracks["vgmidi"]}, clips)
    with pytest.raises(DataError, match=r"track of vgmidi's other@3, but no such clip"):
        measure({"vgmidi": {"other@3": tracks["vgmidi"]["0"]}}, clips)
    with pytest.raises(DataError, match=r"not every fold has a track of vgmidi's 1"):
        measure(
            {"vgmidi": {"0@0": tracks["vgmidi"]["0"], "0@1": tracks["vgmidi"]["0"], "1@1": tracks["vgmidi"]["1"]}},
            clips,
        )
    with pytest.raises(DataError, match="ends before the clip's first label"):
        measure({"vgmidi": {"0": track(np.zeros((5, 2)))}}, clips)


def test_a_name_with_an_at_sign_is_no_fold() -> None:
    clips = {"own": [clip("own", name, SignLabels(1, 1)) for name in ("me@home", "me@2")]}
    (labelled,) = label_tracks({"own": {c.name: track(np.zeros((3, 2))) for c in clips["own"]}}, clips)
    assert (len(labelled.tracks), len(labelled.clips)) == (1, 2)


def test_a_data_set_of_several_kinds_is_measured_by_kind() -> None:
    labels = DynamicLabels(np.array([0.5, 1.0]), np.array([[0.1, 0.2], [0.3, 0.1]], np.float32))
    clips = {"own": [clip("own", "a", labels), clip("own", "b", SignLabels(1, -1))]}
    results = measure({"own": {name: track(np.zeros((3, 2))) for name in "ab"}}, clips)
    assert [result.kind for result in results] == ["time-continuous", "signs"]


def test_goals_are_the_published_aims() -> None:
    clips, tracks = continuous()
    (result,) = measure(tracks, clips, resamples=50)
    valence, arousal = (target_of("vgmidi", result.find(RMSE, d)) for d in ("valence", "arousal"))
    assert valence is not None
    assert arousal is not None
    assert (valence.value, arousal.value) == (0.175, 0.165)
    assert (valence.people, arousal.people) == (0.15, 0.14)
    assert valence.reached(0.175)
    assert not valence.reached(0.18)
    assert valence.reached(0.225, allowance=0.05)
    ccc = target_of("vgmidi", result.find(CCC, "arousal"))
    assert ccc is not None
    assert ccc.reached(0.76)
    assert not ccc.reached(0.7599)
    assert target_of("emomusic", result.find(CCC, "arousal")) is None
    assert all(len(goal.targets) in (1, 2) for goal in GOALS)
    missing = unmeasured_goals([result])
    assert "4q AUC" in missing
    assert "output change" in missing
    assert not any(name.startswith("vgmidi") for name in missing)
