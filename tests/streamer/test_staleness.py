"""What is too old to be published as live is heard nevertheless."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from streamer.history import StreamHistory
from streamer.live import LiveStream
from streamer.messages import Estimate, Status, StreamState
from streamer.samples import Samples
from streamer.subscriber import Subscriber
from streamer.tracker import STALE_AFTER, Tracker, track_batch
from tests.model.ears_for_tests import sounds
from tests.streamer.hearing import frames_of, hearing_checkpoint


def test_stale_frames_are_part_of_what_was_heard() -> None:
    hearing = hearing_checkpoint()
    frames = frames_of(sounds(24, 8))
    history = StreamHistory("a", hearing)
    expected = track_batch(hearing, [(history, frame) for frame in frames])
    # in the future, so that a slow machine does not make them stale
    now = time.monotonic() + 60
    late = [
        replace(frame, due=now if i < 5 or i >= 14 else time.monotonic() - STALE_AFTER)
        for i, frame in enumerate(frames)
    ]
    history = StreamHistory("a", hearing)
    heard = [estimate for frame in late for estimate in track_batch(hearing, [(history, frame)])]
    assert [estimate.position for estimate in heard] == [frame.position for frame in (*frames[:5], *frames[14:])]
    assert [estimate.sequence for estimate in heard] == list(range(15))
    for estimate, one in zip(heard, (*expected[:5], *expected[14:]), strict=True):
        assert estimate.state == one.state
        assert estimate.valence == pytest.approx(one.valence, abs=1e-5)
        assert estimate.mood.arousal == pytest.approx(one.mood.arousal, abs=1e-5)


class _Recorder:
    def __init__(self) -> None:
        self.estimates: list[Estimate] = []

    def publish(self, estimate: Estimate) -> None:
        self.estimates.append(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        pass


@pytest.mark.parametrize("paced", [True, False])
def test_only_what_goes_as_fast_as_it_can_is_never_too_late(
    checkpoint: Checkpoint, piece: np.ndarray, monkeypatch: pytest.MonkeyPatch, paced: bool
) -> None:
    monkeypatch.setattr("streamer.tracker.STALE_AFTER", -60.0)
    recorder = _Recorder()
    tracker = Tracker(checkpoint, recorder.publish)
    live = LiveStream(
        "a", Samples("test", piece[: 44100 * 2], 44100), tracker, recorder, checkpoint.frontend.parameters, paced
    )
    live.start()
    assert live.join(30)
    tracker.close()
    assert len(recorder.estimates) == (0 if paced else 4)


@pytest.mark.parametrize("piped", [False, True])
def test_a_stopped_player_skips_what_it_has_missed(song: Path, tmp_path: Path, piped: bool) -> None:
    endpoint = f"ipc://{tmp_path}/moodring.sock"
    command = [sys.executable, "-m", "streamer.cli", "stream", "-" if piped else str(song)]
    with song.open("rb") as pcm:
        # what is in a file can be had at once, as from a decoder
        pcm.seek(44)
        player = subprocess.Popen([*command, "--quiet", "--stream", "song", "--publish", endpoint], stdin=pcm)
    messages: list[Estimate | Status] = []
    with Subscriber(endpoint, timeout=60) as subscriber:
        while not isinstance(messages[-1] if messages else None, Estimate):
            messages.append(subscriber.receive())
        player.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        while time.monotonic() < stopped + 5:
            time.sleep(0.1)
        player.send_signal(signal.SIGCONT)
        resumed = time.monotonic()
        while time.monotonic() < resumed + 1.5:
            messages.append(subscriber.receive())
    player.send_signal(signal.SIGINT)
    assert player.wait(20) == 0
    estimates = [message for message in messages if isinstance(message, Estimate)]
    steps = np.diff([estimate.position for estimate in estimates])
    assert [estimate.sequence for estimate in estimates] == list(
        range(estimates[0].sequence, estimates[0].sequence + len(estimates))
    )
    (skipped,) = steps[steps > 0.5]
    assert 2.5 <= skipped <= 4.5
    assert estimates[-1].position - estimates[0].position > 5
    assert {message.dropped for message in messages if isinstance(message, Status)} == {0.0}
