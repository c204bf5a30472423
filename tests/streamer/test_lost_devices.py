"""Sound cards and sound servers that disappear while they are listened to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks.sound_server import SoundServer
from streamer.messages import Estimate, Status
from streamer.subscriber import Subscriber

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a virtual sound card")

STALLED_WITHIN = 2.0
RESUMED_WITHIN = 5.0
STATUS_EVERY = 1.0


def busy() -> float:
    """Give the seconds that this machine, as busy as it is now, may take longer over any of these."""
    return 0.5 + os.getloadavg()[0] / (os.cpu_count() or 1)


class Listener:
    """``moodring listen --device stage``, and everything that it publishes with its time of arrival."""

    def __init__(self, sound_card: SoundServer, folder: Path) -> None:
        endpoint = f"ipc://{folder}/moodring.sock"
        command = [sys.executable, "-m", "streamer.cli", "listen", "--quiet", "--device", "stage"]
        self.process = subprocess.Popen(
            [*command, "--publish", endpoint], env=sound_card.environment, stderr=subprocess.PIPE, text=True
        )
        self._subscriber = Subscriber(endpoint, timeout=60)
        self.heard: list[tuple[float, Estimate | Status]] = []

    def receive(self) -> Estimate | Status:
        message = self._subscriber.receive()
        self.heard.append((time.monotonic(), message))
        return message

    def until(self, wanted: Callable[[Estimate | Status], bool]) -> float:
        """Receive until a message is as wanted; give its time."""
        while not wanted(self.receive()):
            pass
        return self.heard[-1][0]

    def listen_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.until(lambda message: time.monotonic() > deadline)

    @property
    def estimates(self) -> list[Estimate]:
        return [message for _, message in self.heard if isinstance(message, Estimate)]

    def jumps(self, start: int = 0) -> list[tuple[Estimate, Estimate]]:
        """Give the estimates before and after each gap since a message."""
        # the last estimate before that belongs to it
        first = max([i for i, (_, one) in enumerate(self.heard[:start]) if isinstance(one, Estimate)], default=0)
        estimates = [message for _, message in self.heard[first:] if isinstance(message, Estimate)]
        return [
            (before, after)
            for before, after in pairwise(estimates)
            if abs(after.position - before.position - 0.5) > 1e-6
        ]

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=20)
        self._subscriber.close()
        assert self.process.returncode == 0
        return errors


@pytest.fixture
def listener(sound_card: SoundServer, tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(sound_card, tmp_path)
    listener.until(lambda message: isinstance(message, Estimate) and message.sequence >= 2)
    yield listener
    if listener.process.poll() is None:
        listener.process.kill()
        listener.process.communicate()


def _lose_and_bring_back(
    listener: Listener, lose: Callable[[], object], bring_back: Callable[[], object], absence: float = 1.0
) -> tuple[float, Estimate, Estimate]:
    """Give the seconds that were dropped meanwhile, and the estimates before and after."""
    listener.until(lambda message: isinstance(message, Estimate))
    listener.until(lambda message: isinstance(message, Status))
    before = listener.heard[-1][1]
    assert isinstance(before, Status)
    assert before.state == "running"
    start = len(listener.heard)
    began = time.monotonic()
    lose()
    stalled = listener.until(lambda message: isinstance(message, Status) and message.state == "stalled")
    assert stalled - began < STALLED_WITHIN + busy()
    last = len(listener.heard)
    listener.listen_for(absence)
    bring_back()
    back = time.monotonic()
    resumed = listener.until(lambda message: isinstance(message, Estimate))
    assert resumed - back < RESUMED_WITHIN + busy()
    absent = [(at, message) for at, message in listener.heard[last:] if at < back]
    assert all(isinstance(message, Status) and message.state == "stalled" for _, message in absent)
    assert all('"stage"' in message.reason for _, message in absent if isinstance(message, Status))
    arrivals = [stalled, *(at for at, _ in absent)]
    assert max((b - a for a, b in pairwise(arrivals)), default=0.0) < STATUS_EVERY + busy()

    listener.until(lambda message: isinstance(message, Status) and message.state == "running")
    after = listener.heard[-1][1]
    assert isinstance(after, Status)
    listener.until(lambda message: isinstance(message, Estimate))
    ((earlier, later),) = listener.jumps(start)
    assert later.time - earlier.time == pytest.approx(later.position - earlier.position, abs=0.15)
    assert later.sequence == earlier.sequence + 1
    return after.dropped - before.dropped, earlier, later


def test_a_lost_device_is_waited_for_and_no_other_is_heard(sound_card: SoundServer, listener: Listener) -> None:
    def has_gap_of(dropped: float, earlier: Estimate, later: Estimate) -> None:
        # what had been heard of the frame in which the device was lost is lost with it: at most all of it, and what the
        # resampler needs to hear of the next one
        assert dropped + 0.499 < later.position - earlier.position < dropped + 1.02
        assert dropped > 1.0

    with _noise("desk_sink", sound_card):
        sound_card.pactl("set-default-source", "stage")
        sound_card.pactl("set-default-source", "desk")
        first = listener.estimates[-1].sequence
        listener.until(lambda message: isinstance(message, Estimate) and message.sequence >= first + 4)
        assert len(listener.jumps()) <= 1

        has_gap_of(
            *_lose_and_bring_back(
                listener,
                lambda: sound_card.pactl("suspend-source", "stage", "1"),
                lambda: sound_card.pactl("suspend-source", "stage", "0"),
            )
        )
        has_gap_of(
            *_lose_and_bring_back(
                listener, lambda: sound_card.unload("stage"), lambda: sound_card.load("stage", rate=48000)
            )
        )
        # one sample of the noise in a frame would be -43 dBFS; the server's resampler leaves a trace on its own
        assert max(estimate.loudness for estimate in listener.estimates) < -120
    has_gap_of(*_lose_and_bring_back(listener, sound_card.kill, lambda: sound_card.start(default="desk")))

    # a server that hung may hand on later what it should have recorded: too old to be published, but not lost
    dropped, earlier, later = _lose_and_bring_back(
        listener,
        lambda: sound_card.process.send_signal(signal.SIGSTOP),
        lambda: sound_card.process.send_signal(signal.SIGCONT),
    )
    assert dropped + 0.499 < later.position - earlier.position
    sequences = [estimate.sequence for estimate in listener.estimates]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))

    # nor does it hold up the end
    sound_card.process.send_signal(signal.SIGSTOP)
    listener.until(lambda message: isinstance(message, Status) and message.state == "stalled")
    began = time.monotonic()
    errors = listener.stop()
    assert time.monotonic() - began < 2.0 + busy()
    assert 'stream "microphone" is stalled: input device "stage" went away' in errors
    assert 'stream "microphone" goes on; ' in errors
    assert all(line.startswith("moodring: ") for line in errors.splitlines())


@contextmanager
def _noise(sink: str, sound_card: SoundServer) -> Iterator[None]:
    """Play something that only the source of that sink hears."""
    noise = subprocess.Popen(
        ["pacat", f"--device={sink}", "--format=s16le", "--rate=22050", "--channels=1", "/dev/urandom"],
        env=sound_card.environment,
    )
    try:
        yield
    finally:
        noise.kill()
        noise.wait()


PROGRAM = """
import os, signal, sys, threading, time
from streamer.microphone import Microphone, find_input_device

class Ear(threading.Thread):
    def __init__(self, name):
        super().__init__(daemon=True)
        self.microphone = Microphone(find_input_device(name))
        self.lost = self.heard = 0
        self.trouble = ""
        self.start()
    def run(self):
        for block in self.microphone.blocks():
            self.lost += block.lost
            self.heard += len(block.samples)
            self.trouble = block.trouble
    def until(self, what, condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (what, self.lost, self.heard, self.trouble)
            time.sleep(0.02)
    def hears(self):
        before = self.heard
        self.until("hears", lambda: self.heard > before)

stage, desk = Ear("stage"), Ear("desk")
stage.hears(), desk.hears()
for line in sys.stdin:
    ear = {"stage": stage, "desk": desk}[line.split()[0]]
    what = line.split()[1]
    if what == "lost":
        ear.until(what, lambda: ear.trouble)
    elif what == "hears":
        ear.hears()
    elif what == "kill":
        # whoever holds the other end of a pipe of ours that carries what it hears
        os.kill(ear.microphone._process._process.pid, signal.SIGKILL)
        ear.until(what, lambda: ear.trouble)
    print(ear.lost, ear.trouble, flush=True)
threads = threading.active_count()
stage.microphone.close(), desk.microphone.close()
stage.join(5), desk.join(5)
assert not stage.is_alive() and not desk.is_alive()
"""


@pytest.fixture
def ears(sound_card: SoundServer) -> Iterator[Callable[[str], tuple[int, str]]]:
    """Give a function that talks to a process with two open microphones: gives samples lost, and the trouble."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=sound_card.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(question: str) -> tuple[int, str]:
        process.stdin.write(question + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        lost, _, trouble = process.stdout.readline().strip().partition(" ")  # type: ignore[union-attr]
        return int(lost), trouble

    yield ask
    process.stdin.close()
    assert process.wait(30) == 0


def test_of_two_microphones_only_the_lost_one_notices(
    sound_card: SoundServer, ears: Callable[[str], tuple[int, str]]
) -> None:
    assert ears("stage hears") == (0, "")
    sound_card.unload("stage")
    assert ears("stage lost") == (0, 'input device "stage" went away')
    assert ears("desk hears") == (0, "")
    # the ALSA device is there still, but cannot be opened
    deadline = time.monotonic() + 20
    while "cannot be opened at 44100 Hz" not in (trouble := ears("stage lost")[1]):
        assert time.monotonic() < deadline, trouble
        time.sleep(0.1)
    sound_card.load("stage")
    lost, trouble = ears("stage hears")
    assert lost > 0
    assert trouble == ""
    assert ears("desk hears") == (0, "")
    # and a capturing process that dies is replaced
    ears("desk kill")
    lost, trouble = ears("desk hears")
    assert lost > 0
    assert trouble == ""


def test_a_stopped_process_loses_the_oldest_audio_and_publishes_nothing_stale(
    sound_card: SoundServer, listener: Listener
) -> None:
    def memory(process: int) -> int:
        """Resident kilobytes."""
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    main = listener.process.pid
    (capture,) = map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())
    before = memory(main), memory(capture)
    listener.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    while time.monotonic() < stopped + 12.5:
        time.sleep(0.1)
    listener.process.send_signal(signal.SIGCONT)
    resumed = time.monotonic()
    ages: list[float] = []
    while time.monotonic() < resumed + 1 or len(ages) < 4:
        message = listener.receive()
        if isinstance(message, Estimate) and listener.jumps():
            ages.append(time.time() - message.time)
    after = memory(main), memory(capture)
    # 10 s of 44.1 kHz in two channels are 3.4 MiB, and tracking them at once takes some as well
    assert after[0] - before[0] < 20_000
    assert after[1] - before[1] < 8_000
    statuses = [message for _, message in listener.heard if isinstance(message, Status)]
    assert 1.5 < statuses[-1].dropped < 3.5
    assert any("not published" in status.reason for status in statuses)
    assert max(ages) < 2.0 + busy()
    assert min(ages) < 0.5 + busy()
    ((last, first),) = listener.jumps()
    assert first.sequence == last.sequence + 1
    # what is published comes when 10 s have been caught up with
    assert 9.0 < first.position - last.position < 13.5
    assert first.time - last.time == pytest.approx(first.position - last.position, abs=0.15)
    positions = np.array([estimate.position for estimate in listener.estimates])
    times = np.array([estimate.time for estimate in listener.estimates])
    np.testing.assert_allclose(times - times[0], positions - positions[0], atol=0.15)

    # and the capturing process ends with the one that started it
    listener.process.kill()
    listener.process.wait()
    deadline = time.monotonic() + 20
    while _runs(capture):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
