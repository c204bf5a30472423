from __future__ import annotations

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.errors import MoodringError
from streamer.framer import Framer
from streamer.messages import Estimate
from streamer.offline import track
from streamer.samples import Samples

RATE = 22050


def _track(checkpoint: Checkpoint, samples: np.ndarray, lag: float = 0.0) -> list[Estimate]:
    source = Samples("test", samples, RATE)
    return list(track(source, Framer(RATE, checkpoint.frontend.parameters), checkpoint, "a", lag))


def _music(piece: np.ndarray, seconds: float) -> np.ndarray:
    return piece[::2].mean(axis=1, keepdims=True)[: round(seconds * RATE)]


def _zeros(seconds: float) -> np.ndarray:
    return np.zeros((round(seconds * RATE), 1), np.float32)


def test_the_first_frames_are_warming(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    estimates = _track(checkpoint, _music(piece, 12))
    assert [e.state for e in estimates] == ["warming"] * (checkpoint.window - 1) + ["tracking"] * 5
    assert all(e.valence is not None and -1 <= e.valence <= 1 for e in estimates)
    assert [e.sequence for e in estimates] == list(range(24))
    assert [e.position for e in estimates] == [0.5 * (i + 1) for i in range(24)]


def test_digital_silence_has_no_mood(checkpoint: Checkpoint) -> None:
    estimates = _track(checkpoint, _zeros(5))
    assert {e.state for e in estimates} == {"silence"}
    assert all(e.valence is None and e.arousal is None and e.mood.valence is None for e in estimates)
    assert {e.loudness for e in estimates} == {-200.0}


def test_a_rest_is_music_and_a_pause_is_silence(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    rest = _track(checkpoint, np.concatenate([_music(piece, 11), _zeros(1.5), _music(piece, 2)]))
    assert [e.state for e in rest[21:]] == ["tracking"] * 8
    pause = _track(checkpoint, np.concatenate([_music(piece, 11), _zeros(4), _music(piece, 2)]))
    assert [e.state for e in pause[21:]] == ["tracking"] * 4 + ["silence"] * 5 + ["warming"] * 4
    assert all(e.mood.valence is not None for e in pause)


def test_after_silence_nothing_older_is_heard(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    later = _track(checkpoint, np.concatenate([_music(piece, 11), _zeros(3), _music(piece, 5)]))[-10:]
    fresh = _track(checkpoint, _music(piece, 5))
    for one, other in zip(later, fresh, strict=True):
        assert one.valence == pytest.approx(other.valence, abs=1e-5)


def test_the_mood_is_the_mean_of_the_last_minute(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    estimates = _track(checkpoint, np.concatenate([_music(piece, 60), _music(piece, 20)]))
    for i in (0, 30, 119, 159):
        recent = estimates[max(0, i - 119) : i + 1]
        assert estimates[i].mood.arousal == pytest.approx(np.mean([e.arousal for e in recent]), abs=1e-6)


def test_a_lag_describes_an_earlier_moment(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    estimates = _track(checkpoint, _music(piece, 12), lag=2.0)
    assert {e.lag for e in estimates} == {2.0}
    assert [e.valence is None for e in estimates[:6]] == [True] * 4 + [False] * 2
    assert {e.state for e in estimates[:6]} == {"warming"}


@pytest.mark.parametrize("lag", [0.3, 10.0, -0.5, 1000.0])
def test_impossible_lags(checkpoint: Checkpoint, piece: np.ndarray, lag: float) -> None:
    with pytest.raises(MoodringError, match=r"choose a multiple of 0.5 s from 0 to 9.5 s"):
        _track(checkpoint, _music(piece, 1), lag)
