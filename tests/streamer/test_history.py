from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint
from model.errors import MoodringError
from streamer.framer import Frame, Framer
from streamer.history import StreamHistory
from streamer.messages import Estimate
from streamer.offline import track
from streamer.samples import Samples
from streamer.tracker import track_batch
from tests.model.ears_for_tests import sounds
from tests.streamer.hearing import frames_of, hearing_checkpoint

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


@pytest.mark.parametrize("lag", [0.3, -0.5, 1000.0, None])
def test_impossible_lags(checkpoint: Checkpoint, piece: np.ndarray, lag: float | None) -> None:
    if lag is None:
        lag = checkpoint.history * 0.5
    longest = (checkpoint.history - 1) * 0.5
    with pytest.raises(MoodringError, match=f"choose a multiple of 0.5 s from 0 to {longest:g} s"):
        _track(checkpoint, _music(piece, 1), lag)


def _hear(checkpoint: Checkpoint, frames: list[Frame], lag: int = 0) -> list[Estimate]:
    history = StreamHistory("a", checkpoint, lag)
    return [track_batch(checkpoint, [(history, frame)], lag)[0] for frame in frames]


def _same(one: Estimate, other: Estimate) -> bool:
    fields = ("valence", "arousal", "valence_std", "arousal_std")
    return all(getattr(one, field) == pytest.approx(getattr(other, field), abs=1e-4) for field in fields)


def test_every_estimate_says_how_sure_it_is() -> None:
    estimates = _hear(hearing_checkpoint(), frames_of(sounds(16)))
    stds = np.array([[e.valence_std, e.arousal_std] for e in estimates])
    assert ((stds >= 0.02) & (stds <= 1)).all()
    assert (stds.std(axis=0) > 0).all()


def test_silence_and_what_is_not_heard_yet_have_no_spread() -> None:
    checkpoint = hearing_checkpoint()
    silent = _hear(checkpoint, frames_of(np.zeros((2, 11025), np.float32)))
    early = _hear(checkpoint, frames_of(sounds(4)), lag=3)
    assert all(e.valence_std is None and e.arousal_std is None for e in (*silent, *early[:3]))
    assert early[3].valence_std is not None


def test_the_model_without_spreads_says_none(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    (estimate,) = _track(checkpoint, _music(piece, 0.5))
    assert (estimate.valence_std is None) == (checkpoint.network.spread is None)


def test_the_memory_makes_a_difference_and_ends() -> None:
    checkpoint = hearing_checkpoint()
    music = sounds(36, 3)
    whole = _hear(checkpoint, frames_of(music))
    assert not _same(whole[15], _hear(checkpoint, frames_of(music[10:]))[5])
    assert [e.state for e in whole[:5]] == ["warming"] * 3 + ["tracking"] * 2
    # the oldest frame of the memory's 12 is what the ear hears with its level of the 20 frames up to it, and it looks
    # back over 5 more whose levels are of the 20 up to them
    assert _same(whole[35], _hear(checkpoint, frames_of(np.concatenate([sounds(1, 6), music[1:]])))[35])


def test_silence_makes_the_ear_and_the_memory_forget() -> None:
    checkpoint = hearing_checkpoint()
    music = sounds(8, 4)
    before = 0.3 * sounds(9, 5)
    silence = np.zeros((5, 11025), np.float32)
    later = _hear(checkpoint, frames_of(np.concatenate([before, silence, music])))[-8:]
    for one, other in zip(later, _hear(checkpoint, frames_of(music)), strict=True):
        assert one.state == other.state
        assert _same(one, other)


@pytest.mark.parametrize(("gap", "forgotten"), [(0.5, False), (2.5, True)])
def test_a_long_gap_makes_the_ear_and_the_memory_forget(gap: float, forgotten: bool) -> None:
    checkpoint = hearing_checkpoint()
    music = sounds(8, 4)
    frames = frames_of(0.3 * sounds(9, 5)) + frames_of(music, 9, gap)
    later = _hear(checkpoint, frames)[-8:]
    fresh = _hear(checkpoint, frames_of(music))
    assert all(_same(one, other) == forgotten for one, other in zip(later, fresh, strict=True))


@settings(max_examples=25)
@given(st.lists(st.booleans(), max_size=28), st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_two_streams_in_batches_equal_each_by_itself(order: list[bool], cuts: list[int]) -> None:
    """One of them is silent for a while and the other loses audio, so that memories are renewed within a batch."""
    pause = np.concatenate([sounds(5, 1), np.zeros((5, 11025), np.float32), sounds(6, 2)])
    streams = {
        True: frames_of(pause),
        False: frames_of(sounds(6, 3)) + frames_of(sounds(6, 4), 6, 3.0),
    }
    expected = EXPECTED.setdefault("both", {which: _hear(HEARING, frames) for which, frames in streams.items()})
    turns: list[tuple[bool, Frame]] = []
    left = {which: iter(frames) for which, frames in streams.items()}
    for which in [*order, *[True] * 16, *[False] * 12]:
        if (frame := next(left[which], None)) is not None:
            turns.append((which, frame))
    histories = {which: StreamHistory(str(which), HEARING) for which in streams}
    said: dict[bool, list[Estimate]] = {True: [], False: []}
    at = batch = 0
    while at < len(turns):
        part = turns[at : at + cuts[batch % len(cuts)]]
        estimates = track_batch(HEARING, [(histories[which], frame) for which, frame in part])
        for (which, _), estimate in zip(part, estimates, strict=True):
            said[which].append(estimate)
        at, batch = at + len(part), batch + 1
    for which, estimates in said.items():
        assert len(estimates) == len(streams[which])
        for one, other in zip(estimates, expected[which], strict=True):
            assert (one.sequence, one.position, one.state) == (other.sequence, other.position, other.state)
            assert _same(one, other)


HEARING = hearing_checkpoint()
EXPECTED: dict[str, dict[bool, list[Estimate]]] = {}


def test_what_leads_into_music_does_not_count(piece: np.ndarray) -> None:
    """Where the first frame holds only the first 5 ms of the music, or hiss, the rest is heard as if it came first."""
    checkpoint = hearing_checkpoint()
    music = _music(piece, 8)
    begun = round(0.005 * RATE)
    frame = RATE // 2
    fresh = _track(checkpoint, music[begun:])
    hiss = np.random.default_rng(0).normal(0, 3e-4, (2 * frame, 1)).astype(np.float32)
    for before in (np.concatenate([_zeros(0.5)[begun:], music[:begun]]), hiss):
        led_in = _track(checkpoint, np.concatenate([before, music[begun:]]))[len(before) // frame :]
        assert [e.state for e in led_in] == [e.state for e in fresh]
        for one, other in zip(led_in, fresh, strict=True):
            assert one.valence == pytest.approx(other.valence, abs=1e-4)
            assert one.arousal == pytest.approx(other.arousal, abs=1e-4)
    # music that grows louder later goes on
    quiet = _track(checkpoint, np.concatenate([0.02 * music[: 6 * frame], music[6 * frame :]]))
    assert [e.state for e in quiet] == [e.state for e in _track(checkpoint, music)]
