from __future__ import annotations

import numpy as np
import pytest

from tests.training.figures.conftest import continuous, signs, static, track
from training.figures.comparison import AHEAD, BEHIND, NEITHER, compare, output_change
from training.figures.goals import target_of
from training.figures.layouts import comparison_json, comparison_layout
from training.figures.measuring import OUTPUT_CHANGE, measure
from training.tables import DataError


@pytest.mark.parametrize("made", [continuous, static, signs])
def test_a_predictor_is_neither_ahead_of_itself_nor_behind(made: object) -> None:
    clips, tracks = made()  # type: ignore[operator]
    (one,) = compare(tracks, tracks, clips, resamples=100)
    for difference in one.differences:
        assert difference.difference == 0
        assert difference.interval == (0, 0)
        assert difference.verdict == NEITHER


@pytest.mark.parametrize(("made", "noise"), [(continuous, (0.05, 0.4)), (static, (0.1, 1.5)), (signs, (0.2, 4.0))])
def test_the_better_one_is_ahead_whatever_better_means(made: object, noise: tuple[float, float]) -> None:
    (clips, better), (_, worse) = (made(noise=n) for n in noise)  # type: ignore[operator]
    (one,) = compare(better, worse, clips, resamples=200)
    assert {difference.verdict for difference in one.differences} == {AHEAD}
    (turned,) = compare(worse, better, clips, resamples=200)
    assert {difference.verdict for difference in turned.differences} == {BEHIND}
    for difference, other in zip(one.differences, turned.differences, strict=True):
        assert difference.difference == pytest.approx(-other.difference)
        assert difference.interval is not None
        assert difference.interval == pytest.approx([-end for end in reversed(other.interval or ())])


def test_pairing_sees_what_single_intervals_hide() -> None:
    clips, tracks = continuous(songs=30, noise=0.3)
    closer = {}
    for clip in clips["vgmidi"]:
        values = tracks["vgmidi"][clip.name].values.copy()
        values[9:] += 0.1 * (clip.labels.values - values[9:])
        closer[clip.name] = track(values)
    (one,) = compare({"vgmidi": closer}, tracks, clips, resamples=200)
    ours, theirs = one.differences[0].ours, one.differences[0].theirs
    assert ours.interval is not None
    assert theirs.interval is not None
    assert ours.interval[0] < theirs.interval[1]
    assert {difference.verdict for difference in one.differences} == {AHEAD}


def test_tracks_of_different_length_are_compared_where_both_are() -> None:
    clips, tracks = continuous(songs=3)
    short = {"vgmidi": {name: track(t.values[:40]) for name, t in tracks["vgmidi"].items()}}
    (one,) = compare(tracks, short, clips, resamples=20)
    assert one.ours.rows == 3 * 31
    assert {difference.difference for difference in one.differences} == {0}


def test_several_models_may_meet_one() -> None:
    clips, tracks = signs(dataset="emopia")
    five = {"emopia": {f"{name}@{n}": t for name, t in tracks["emopia"].items() for n in range(5)}}
    (one,) = compare(five, tracks, clips, resamples=20)
    assert [d.difference for d in one.differences] == pytest.approx([0] * len(one.differences))
    with pytest.raises(DataError, match="number of folds"):
        output_change(five, tracks, clips)


def test_other_clips_are_refused() -> None:
    clips, tracks = continuous(songs=3)
    fewer = {"vgmidi": {name: tracks["vgmidi"][name] for name in "01"}}
    with pytest.raises(DataError, match=r"only one of the two predictors has a track of vgmidi's 2"):
        compare(tracks, fewer, clips)
    with pytest.raises(DataError, match="no data set in common"):
        compare(tracks, static()[1], {**clips, **static()[0]})


def test_output_change_is_the_mean_distance() -> None:
    clips, tracks = continuous()
    softer = {"vgmidi": {name: track(t.values + np.array([0.02, -0.05])) for name, t in tracks["vgmidi"].items()}}
    (change,) = output_change(tracks, softer, clips, resamples=50)
    valence, arousal = (change.find(OUTPUT_CHANGE, dimension) for dimension in ("valence", "arousal"))
    np.testing.assert_allclose([valence.value, arousal.value], [0.02, 0.05], atol=1e-6)
    verdicts = [target_of("vgmidi", figure).reached(figure.value) for figure in (valence, arousal)]  # type: ignore[union-attr]
    assert verdicts == [True, False]


def test_a_comparison_can_be_shown() -> None:
    clips, better = static(noise=0.1)
    _, worse = static(noise=1.5)
    compared = compare(better, worse, clips, resamples=100)
    text = comparison_layout(compared, "moodring", "peer").to_markdown()
    line = next(line for line in text.splitlines() if line.startswith("| r, valence"))
    assert line.endswith("| ahead |")
    assert f"{measure(better, clips, 50)[0].figures[0].value:.3f}" in line
    assert comparison_json(compared)["emotify"]["static"]["RMSE, arousal"]["verdict"] == AHEAD
