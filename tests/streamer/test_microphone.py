from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from streamer.messages import Estimate
from streamer.subscriber import Subscriber

MOODRING = [sys.executable, "-m", "streamer.cli"]
TOLERANCE = 0.015
"""By how much estimates of what the microphone heard may differ, on average, from those of a file that begins within
a quarter of a millisecond of it."""


class Listener:
    """A running ``moodring listen`` and a subscriber to it."""

    def __init__(self, environment: dict[str, str], endpoint: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [*MOODRING, "listen", "--quiet", "--publish", endpoint, *options],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.subscriber = Subscriber(endpoint, timeout=30)
        self.estimates: list[Estimate] = []

    def until(self, condition: object) -> None:
        while not condition():  # type: ignore[operator]
            message = self.subscriber.receive()
            if isinstance(message, Estimate):
                self.estimates.append(message)

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=10)
        self.subscriber.close()
        return self.process.returncode, errors


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/moodring.sock"


def _play(path: Path, environment: dict[str, str]) -> None:
    subprocess.run(["paplay", "--device=mic_sink", str(path)], env=environment, check=True)


def _find_phase(samples: np.ndarray, rate: int, loudness: list[float]) -> int:
    """Find how many samples of its first frame had passed when a song began, from the loudness of the first frames."""
    frame = rate // 2
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    ends = np.arange(1, len(loudness) + 1) * frame
    errors = {}
    for phase in range(0, frame, rate // 4000):
        in_frames = np.diff(np.interp(np.concatenate([[0], ends - phase]), np.arange(len(energy)), energy))
        errors[phase] = np.abs(10 * np.log10(in_frames / frame + 1e-20) - loudness).mean()
    return min(errors, key=errors.__getitem__)


def test_what_is_played_into_the_microphone_is_estimated_as_the_file_is(
    sound_server: dict[str, str], endpoint: str, song: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(song, dtype="float32", stop=44100 * 12)
    mono = samples.mean(axis=1)
    excerpt = tmp_path / "excerpt.wav"
    soundfile.write(excerpt, mono, rate)

    listener = Listener(sound_server, endpoint)
    listener.until(lambda: listener.estimates)
    assert {estimate.state for estimate in listener.estimates} == {"silence"}
    player = threading.Thread(target=_play, args=(excerpt, sound_server))
    player.start()
    listener.until(lambda: not player.is_alive() and listener.estimates[-1].state == "silence")
    status, errors = listener.stop()
    assert status == 0
    assert "listening to input device" in errors
    assert "44100 Hz" in errors

    heard = [estimate for estimate in listener.estimates if estimate.valence is not None]
    values = np.array([[estimate.valence, estimate.arousal] for estimate in heard])
    phase = _find_phase(mono, rate, [estimate.loudness for estimate in heard[:20]])
    soundfile.write(excerpt, np.concatenate([np.zeros(3 * rate + phase, np.float32), mono]), rate)
    annotated = subprocess.run([*MOODRING, "annotate", str(excerpt)], capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in annotated.stdout.splitlines()[1:]]
    expected = np.array([[float(row[2]), float(row[3])] for row in rows if row[2]])
    # the first and the last frame hold part of the song, and at most 3 are rests
    assert len(expected) - 1 <= len(values) <= len(expected) + 4
    compared = slice(0, len(expected) - 2)
    assert np.abs(values[compared] - expected[compared]).mean() < TOLERANCE
    assert values.std(axis=0).min() > 0.01
    sequences = [estimate.sequence for estimate in listener.estimates]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    times = np.array([estimate.time for estimate in listener.estimates])
    np.testing.assert_allclose(np.diff(times), 0.5, atol=0.003)
    positions = np.array([estimate.position for estimate in listener.estimates])
    np.testing.assert_allclose(np.diff(positions), 0.5)


def test_devices_are_chosen_by_name(sound_server: dict[str, str], endpoint: str) -> None:
    listed = subprocess.run([*MOODRING, "devices"], env=sound_server, capture_output=True, text=True, check=True)
    assert "pulse" in listed.stdout
    assert "*" in listed.stdout

    listener = Listener(sound_server, endpoint, "--device", "PULS")
    listener.until(lambda: listener.estimates)
    status, errors = listener.stop()
    assert status == 0
    assert 'listening to input device "pulse"' in errors

    for name, message in (("foo", 'no input device named "foo"; see "moodring devices"'), ("u", '"u" could be')):
        ended = subprocess.run(
            [*MOODRING, "listen", "--device", name], env=sound_server, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"moodring: {message}")
        assert ended.stderr.count("\n") == 1


def test_a_tracker_that_cannot_keep_up_loses_the_oldest_audio_and_says_so(sound_server: dict[str, str]) -> None:
    program = """
import threading
import streamer.microphone
streamer.microphone.RING_DURATION = 1.0
from model.checkpoint import load_checkpoint
from streamer.live import LiveStream
from streamer.microphone import Microphone, find_input_device
from streamer.tracker import Tracker

class Outlet:
    gate = threading.Event()
    tracking_again = threading.Event()
    estimates, statuses = [], []
    def publish(self, estimate):
        self.gate.wait(60)
        self.estimates.append(estimate)
        if len(self.estimates) == 12:
            self.tracking_again.set()
    def set_status(self, *status):
        self.statuses.append(status)

outlet, checkpoint = Outlet(), load_checkpoint()
tracker = Tracker(checkpoint, outlet.publish)
microphone = Microphone(find_input_device())
live = LiveStream("mic", microphone, tracker, outlet, checkpoint.frontend.parameters, paced=False)
live.start()
assert not live.join(8)
outlet.gate.set()
assert outlet.tracking_again.wait(30)
live.stop()
assert live.join(5)
tracker.close()
dropped = outlet.statuses[-1][2]
positions = [estimate.position for estimate in outlet.estimates]
steps = [b - a for a, b in zip(positions, positions[1:])]
assert [estimate.sequence for estimate in outlet.estimates] == list(range(len(positions)))
assert dropped > 0.5, dropped
jumps = [step for step in steps if abs(step - 0.5) > 1e-6]
# what waited for the tracker was stale as well, and is part of the same jump
assert len(jumps) == 1 and dropped < jumps[0] - 0.5 < 8.5, (dropped, jumps)
assert any("not published" in status[3] for status in outlet.statuses), outlet.statuses
assert outlet.statuses[-1][1] == "ended", outlet.statuses
"""
    subprocess.run([sys.executable, "-c", program], env=sound_server, check=True, timeout=90)


def test_json_of_a_microphone(sound_server: dict[str, str], endpoint: str) -> None:
    process = subprocess.Popen(
        [*MOODRING, "listen", "--json", "--publish", endpoint], env=sound_server, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["stream"] == "microphone"
    assert first["state"] == "silence"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0
