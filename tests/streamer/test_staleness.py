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
        # batches of other sizes round otherwise, and random weights make that larger
        assert estimate.valence == pytest.approx(one.valence, abs=1e-4)
        assert estimate.mood.arousal == pytest.approx(one.mood.arousal, abs=1e-4)


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


class Player:
    """``moodring stream``, and what it publishes."""

    def __init__(self, song: Path, folder: Path, piped: bool) -> None:
        name = "pipe" if piped else "file"
        endpoint = f"ipc://{folder}/{name}.sock"
        command = [sys.executable, "-m", "streamer.cli", "stream", "-" if piped else str(song)]
        with song.open("rb") as pcm:
            # what is in a file can be had at once, as from a decoder
            pcm.seek(44)
            self.process = subprocess.Popen([*command, "--quiet", "--stream", name, "--publish", endpoint], stdin=pcm)
        self._subscriber = Subscriber(endpoint, timeout=60)
        self.messages: list[Estimate | Status] = []

    @property
    def estimates(self) -> list[Estimate]:
        return [message for message in self.messages if isinstance(message, Estimate)]

    def receive(self) -> None:
        self.messages.append(self._subscriber.receive())

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20) == 0
        self._subscriber.close()


def test_a_stopped_player_skips_what_it_has_missed(song: Path, tmp_path: Path) -> None:
    players = [Player(song, tmp_path, piped) for piped in (False, True)]
    for player in players:
        while not player.estimates:
            player.receive()
        player.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    while time.monotonic() < stopped + 5:
        time.sleep(0.1)
    for player in players:
        player.process.send_signal(signal.SIGCONT)
    for player in players:
        while player.estimates[-1].position < player.estimates[0].position + 6:
            player.receive()
        player.stop()
        sequences = [estimate.sequence for estimate in player.estimates]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        steps = np.diff([estimate.position for estimate in player.estimates])
        # of 5 s, what was less than 2 s old, and perhaps more was missed while the other one was stopped
        assert steps.max() >= 2.5
        assert {message.dropped for message in player.messages if isinstance(message, Status)} == {0.0}
