from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from streamer.framer import Framer, frames_of
from streamer.live import LiveStream
from streamer.messages import Estimate
from streamer.offline import track
from streamer.samples import Samples
from streamer.source import Block, SourceError
from streamer.tracker import Tracker, TrackerError
from tests.streamer.hearing import hearing_checkpoint


class Recorder:
    """An outlet that keeps everything."""

    def __init__(self) -> None:
        self.estimates: list[Estimate] = []
        self.statuses: list[tuple[str, str, float, str, int]] = []

    def publish(self, estimate: Estimate) -> None:
        self.estimates.append(estimate)

    def set_status(self, stream: str, state: str, dropped: float, reason: str, invalid: int) -> None:
        self.statuses.append((stream, state, dropped, reason, invalid))


class Scripted:
    """A live source whose blocks come from a queue; None ends it."""

    name = "the scripted source"
    sample_rate = 22050
    live = True
    zeros_hint = "are you there?"

    def __init__(self) -> None:
        self.queue: queue.Queue[Block | None] = queue.Queue()

    def blocks(self) -> Iterator[Block]:
        while (block := self.queue.get()) is not None:
            yield block

    def close(self) -> None:
        self.queue.put(None)


def _offline(checkpoint: Checkpoint, samples: np.ndarray, rate: int) -> list[Estimate]:
    framer = Framer(rate, checkpoint.frontend.parameters)
    return list(track(Samples("test", samples, rate), framer, checkpoint, "a"))


def test_streaming_is_offline(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    expected = _offline(checkpoint, piece, 44100)
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    live = LiveStream(
        "a", Samples("test", piece, 44100), tracker, recorder, checkpoint.frontend.parameters, paced=False
    )
    live.start()
    assert live.join(60)
    tracker.close()
    assert live.error is None
    assert len(recorder.estimates) == len(expected) == 120
    for estimate, offline in zip(recorder.estimates, expected, strict=True):
        assert (estimate.sequence, estimate.position, estimate.state) == (
            offline.sequence,
            offline.position,
            offline.state,
        )
        assert estimate.valence == pytest.approx(offline.valence, abs=1e-5)
        assert estimate.arousal == pytest.approx(offline.arousal, abs=1e-5)
        assert estimate.loudness == offline.loudness
    assert [status[1] for status in recorder.statuses] == ["starting", "running", "ended"]


def _track_together(checkpoint: Checkpoint, parts: dict[str, np.ndarray]) -> dict[str, list[Estimate]]:
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    streams = [
        LiveStream(name, Samples(name, part, 44100), tracker, recorder, checkpoint.frontend.parameters, paced=False)
        for name, part in parts.items()
    ]
    for live in streams:
        live.start()
    assert all(live.join(60) for live in streams)
    tracker.close()
    return {name: [estimate for estimate in recorder.estimates if estimate.stream == name] for name in parts}


def test_many_streams_in_one_batch_do_not_mix(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    parts = {f"s{i}": piece[i * 44100 * 5 :][: 44100 * 12] for i in range(8)}
    heard_of = _track_together(checkpoint, parts)
    for name, part in parts.items():
        heard = heard_of[name]
        assert [estimate.sequence for estimate in heard] == list(range(24))
        for estimate, expected in zip(heard, _offline(checkpoint, part, 44100), strict=True):
            assert estimate.valence == pytest.approx(expected.valence, abs=1e-5)


def test_an_ear_hears_live_what_it_hears_offline(piece: np.ndarray) -> None:
    hearing = hearing_checkpoint()
    parts = {f"s{i}": piece[i * 44100 * 9 :][: 44100 * 10] for i in range(3)}
    heard_of = _track_together(hearing, parts)
    for name, part in parts.items():
        heard = heard_of[name]
        assert len(heard) == 20
        for estimate, expected in zip(heard, _offline(hearing, part, 44100), strict=True):
            assert estimate.valence == pytest.approx(expected.valence, abs=1e-4)
            assert estimate.arousal_std == pytest.approx(expected.arousal_std, abs=1e-4)


def test_numbers_that_are_none_stop_the_tracker(piece: np.ndarray) -> None:
    broken = hearing_checkpoint()
    assert broken.network.spread is not None
    broken.network.spread.scale.fill_(float("nan"))
    recorder = Recorder()
    tracker = Tracker(broken, recorder.publish)
    live = LiveStream("a", Samples("a", piece[:44100], 44100), tracker, recorder, broken.frontend.parameters, False)
    live.start()
    assert live.join(30)
    tracker.close()
    assert recorder.estimates == []
    assert "gives values that are not numbers" in recorder.statuses[-1][3]


def test_real_time_follows_the_sample_counter(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    live = LiveStream(
        "a", Samples("test", piece[: 44100 * 3], 44100), tracker, recorder, checkpoint.frontend.parameters, paced=True
    )
    live.start()
    assert not live.join(2.5)
    assert live.join(10)
    tracker.close()
    times = [estimate.time for estimate in recorder.estimates]
    np.testing.assert_allclose(np.diff(times), 0.5, atol=1e-6)


def test_stopping_in_the_middle(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    live = LiveStream("a", Samples("test", piece, 44100), tracker, recorder, checkpoint.frontend.parameters, True)
    live.start()
    live.stop()
    assert live.join(2)
    tracker.close()
    assert live.error is None
    assert recorder.statuses[-1][1:4] == ("ended", 0.0, "stopped")


def test_losses_and_stalls_are_published(
    checkpoint: Checkpoint, piece: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.live.STALLED_AFTER", 0.0)
    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    source = Scripted()
    live = LiveStream("mic", source, tracker, recorder, checkpoint.frontend.parameters, paced=False)
    music = piece[::2].mean(axis=1, keepdims=True)
    for block in (
        Block(music[: 22050 * 2], captured=1000.0),
        Block(music[:0]),
        Block(music[22050 * 5 : 22050 * 7], lost=22050 * 3, captured=1005.0),
        Block(np.zeros((22050 * 6, 1), np.float32), captured=1011.0),
        None,
    ):
        source.queue.put(block)
    live.start()
    assert live.join(30)
    tracker.close()
    assert [status[1:4] for status in recorder.statuses] == [
        ("starting", 0.0, ""),
        ("running", 0.0, ""),
        ("stalled", 0.0, "no audio from the scripted source"),
        ("running", 3.0, ""),
        ("running", 3.0, "are you there?"),
        ("ended", 3.0, "end of input"),
    ]
    positions = [estimate.position for estimate in recorder.estimates]
    assert positions[:6] == [0.5, 1.0, 1.5, 2.0, 5.5, 6.0]
    assert [estimate.sequence for estimate in recorder.estimates] == list(range(len(positions)))
    times = np.array([estimate.time for estimate in recorder.estimates])
    assert (np.diff(times) > 0).all()


def test_a_broken_source_is_a_failed_stream(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    class Broken(Samples):
        def blocks(self) -> Iterator[Block]:
            yield from super().blocks()
            raise SourceError("the cable was pulled")

    recorder = Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    source = Broken("test", piece[: 44100 * 2], 44100)
    live = LiveStream("a", source, tracker, recorder, checkpoint.frontend.parameters, paced=False)
    live.start()
    assert live.join(30)
    tracker.close()
    assert len(recorder.estimates) == 4
    assert recorder.statuses[-1][1:4] == ("failed", 0.0, "the cable was pulled")
    assert isinstance(live.error, SourceError)


def test_a_failing_publisher_fails_the_stream_and_hangs_nobody(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    def refuse(estimate: Estimate) -> None:
        raise OSError("no more")

    tracker = Tracker(checkpoint, refuse)
    recorder = Recorder()
    live = LiveStream("a", Samples("test", piece, 44100), tracker, recorder, checkpoint.frontend.parameters, False)
    live.start()
    assert live.join(30)
    tracker.close()
    assert recorder.statuses[-1][1] == "failed"
    assert "no more" in recorder.statuses[-1][3]


def test_a_slow_tracker_makes_its_feeder_wait(checkpoint: Checkpoint, piece: np.ndarray) -> None:
    gate = threading.Event()
    fed = 0
    tracker = Tracker(checkpoint, lambda estimate: gate.wait(30) and None)
    tracker.add_stream("a")

    def feed() -> None:
        nonlocal fed
        framer = Framer(44100, checkpoint.frontend.parameters)
        for frame in frames_of(Samples("test", piece, 44100), framer):
            tracker.submit("a", frame)
            fed += 1

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    feeder.join(1.0)
    assert fed <= 20
    gate.set()
    feeder.join(30)
    assert not feeder.is_alive()
    assert fed == 120
    tracker.close()


def test_names_are_given_once(checkpoint: Checkpoint) -> None:
    tracker = Tracker(checkpoint, lambda estimate: None)
    tracker.add_stream("a")
    with pytest.raises(TrackerError, match='a stream named "a" already'):
        tracker.add_stream("a")
    tracker.close()
    tracker.close()
