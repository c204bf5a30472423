from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.figures.conftest import clip, continuous, track
from training.clips import DynamicLabels
from training.figures.lags import LAGS, measure_lags, shifted, shifted_by_lag
from training.figures.measuring import CCC
from training.tables import DataError


@pytest.mark.parametrize("delay", [0, 4, 12])
def test_a_delayed_copy_of_the_label_is_best_at_its_delay(delay: int) -> None:
    clips, tracks = continuous(noise=0)
    late = {
        name: track(np.concatenate([np.tile(t.values[:1], (delay, 1)), t.values])[: len(t.values)])
        for name, t in tracks["vgmidi"].items()
    }
    by_lag = measure_lags(shifted_by_lag({"vgmidi": late}), clips, resamples=20)
    assert list(by_lag) == list(LAGS)
    for dimension in ("valence", "arousal"):
        figures = {lag: results[0].find(CCC, dimension).value for lag, results in by_lag.items()}
        assert max(figures, key=lambda lag: figures[lag]) == delay / 2


@given(st.integers(1, 20), st.integers(0, 25))
def test_a_frame_gets_what_was_said_later_or_last(frames: int, lag: int) -> None:
    values = np.arange(2.0 * frames).reshape(frames, 2)
    moved = shifted({"a": {"b": track(values, values)}}, lag / 2)["a"]["b"]
    assert moved.stds is not None
    for frame in range(frames):
        expected = values[min(frame + lag, frames - 1)]
        np.testing.assert_array_equal(moved.values[frame], expected)
        np.testing.assert_array_equal(moved.stds[frame], expected)


@pytest.mark.parametrize("lag", [-0.5, 0.3])
def test_a_lag_that_is_no_number_of_frames_is_refused(lag: float) -> None:
    with pytest.raises(DataError, match=r"multiple of 0\.5 s"):
        shifted({}, lag)


def test_tracks_with_a_real_lag_are_measured_as_they_are() -> None:
    labels = np.linspace(-0.5, 0.5, 40).reshape(20, 2).astype(np.float32)
    clips = {"vgmidi": [clip("vgmidi", "a", DynamicLabels(0.5 * np.arange(1, 21), labels))]}
    by_lag = measure_lags({2.0: {"vgmidi": {"a": track(labels)}}, 1.0: {"vgmidi": {"a": track(0.5 * labels)}}}, clips)
    assert list(by_lag) == [1.0, 2.0]
    assert by_lag[2.0][0].find(CCC, "valence").value == pytest.approx(1)
    assert by_lag[1.0][0].find(CCC, "valence").value < 0.9
