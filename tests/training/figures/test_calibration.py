from __future__ import annotations

import numpy as np
import pytest

from tests.training.figures.conftest import clip, continuous, signs, static, track
from training.clips import StaticLabels
from training.figures.calibration import RELIABILITY_LEVELS, coverage


@pytest.mark.parametrize(("made", "size"), [(continuous, {"songs": 40, "frames": 160}), (static, {"count": 3000})])
def test_gaussian_errors_of_the_stated_size_are_covered_as_stated(made: object, size: dict[str, int]) -> None:
    clips, tracks = made(noise=0.1, std=0.1, **size)  # type: ignore[operator]
    found = coverage(tracks, clips, RELIABILITY_LEVELS, resamples=100)
    assert len(found) == 2 * len(RELIABILITY_LEVELS)
    for one in found:
        assert one.share == pytest.approx(one.level, abs=0.03)
        assert one.interval is not None
        assert one.interval[0] <= one.share <= one.interval[1]


def test_too_small_deviations_cover_too_little() -> None:
    clips, tracks = continuous(songs=20, noise=0.2, std=0.1)
    small = coverage(tracks, clips, resamples=50)
    # within half a standard deviation of a Gaussian
    assert small[0].share == pytest.approx(0.38, abs=0.04)
    assert [(one.level, one.dimension) for one in small][:2] == [(0.68, "valence"), (0.68, "arousal")]


def test_a_clip_has_the_root_mean_square_of_its_frames() -> None:
    stds = np.array([[0.0, 0.3], [0.0, 0.3], [0.0, 0.3], [0.4, 0.3]])
    clips = {"emotify": [clip("emotify", name, StaticLabels(0.19, 0.31)) for name in "ab"]}
    tracks = {"emotify": {name: track(np.zeros((4, 2)), stds) for name in "ab"}}
    shares = {one.dimension: one.share for one in coverage(tracks, clips, [0.6827], resamples=20)}
    # the deviations of the clips are 0.2 and 0.3
    assert shares == {"valence": 1.0, "arousal": 0.0}


def test_signs_and_tracks_without_deviations_have_none() -> None:
    for clips, tracks in (signs(), continuous(songs=2)):
        assert coverage(tracks, clips) == []
