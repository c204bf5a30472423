from __future__ import annotations

import json
import math
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from scripts.benchmarks.sound_server import SoundServer
from streamer.audio_file import AudioFile
from streamer.messages import Estimate, Status, encode, to_json
from streamer.recording import recording as recording_module
from streamer.recording.audio import AudioWriter
from streamer.recording.folder import RecordingError, create_folder
from streamer.recording.lines import MessageReader
from streamer.recording.recording import Recording
from streamer.samples import Samples
from streamer.subscriber import Subscriber
from tests.conftest import Outcome
from tests.streamer.forks import Origin, origin, wait_until

TWENTY_FOUR_BITS = 2.0**-23


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as started:
        yield started


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/moodring.sock"


def _only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def _estimates(folder: Path) -> list[Estimate]:
    return [one.message for one in MessageReader(folder / "messages.jsonl") if isinstance(one.message, Estimate)]


def _statuses(folder: Path) -> list[Status]:
    return [one.message for one in MessageReader(folder / "messages.jsonl") if isinstance(one.message, Status)]


def _annotated(moodring: Callable[..., Outcome], audio: Path) -> np.ndarray:
    outcome = moodring("annotate", audio)
    assert outcome.status == 0, outcome.errors
    rows = [line.split(",") for line in outcome.output.splitlines()[1:]]
    return np.array([[float(value or "nan") for value in row[1:4]] for row in rows])


def test_a_recording_holds_what_was_heard_and_what_was_published(
    forks: Origin, moodring: Callable[..., Outcome], song: Path, tmp_path: Path, endpoint: str
) -> None:
    output = tmp_path / "printed"
    output.touch()
    options = ("--fast", "--json", "--record", tmp_path / "new" / "recordings", "--publish", endpoint)
    run = forks.start("stream", song, *options, output=str(output))
    assert run.wait() == 0, run.errors
    folder = _only(tmp_path / "new" / "recordings")
    assert run.errors == f'moodring: recording to "{folder}"\n'
    assert folder.name.startswith("song-20")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {file.name for file in folder.iterdir()} == {"audio-000.flac", "messages.jsonl", "recording.json"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())

    original, _ = soundfile.read(song, dtype="float32")
    recorded, rate = soundfile.read(folder / "audio-000.flac", dtype="float32")
    assert rate == 44100
    np.testing.assert_array_equal(recorded, original)

    estimates = _estimates(folder)
    assert [to_json(estimate) for estimate in estimates] == output.read_text().splitlines()
    assert [estimate.sequence for estimate in estimates] == list(range(120))
    statuses = _statuses(folder)
    assert (statuses[0].state, statuses[-1].state, statuses[-1].reason) == ("starting", "ended", "end of input")
    assert [status.sequence for status in statuses] == list(range(len(statuses)))
    description = json.loads((folder / "recording.json").read_text())
    assert description["stream"] == "song"
    assert description["model"] == estimates[0].model
    assert (description["sample_rate"], description["channels"]) == (44100, 2)
    assert (description["audio_left_out"], description["messages_left_out"]) == (0, 0)

    again = _annotated(moodring, folder / "audio-000.flac")
    published = np.array([[one.position, one.valence, one.arousal] for one in estimates])
    np.testing.assert_allclose(again, published, atol=1e-4)


def test_what_a_microphone_heard_is_recorded_and_replayed_as_it_was(
    sound_card: SoundServer, forks: Origin, moodring: Callable[..., Outcome], song: Path, tmp_path: Path
) -> None:
    excerpt = tmp_path / "excerpt.wav"
    samples, rate = soundfile.read(song, dtype="float32", stop=44100 * 3)
    soundfile.write(excerpt, samples, rate)
    first, second = f"ipc://{tmp_path}/1.sock", f"ipc://{tmp_path}/2.sock"
    options = ("--device", "stage", "--quiet", "--record", tmp_path / "recordings", "--publish", first)
    with Subscriber(first, timeout=30) as subscriber:
        run = forks.start("listen", *options, environment=sound_card.environment)
        heard = [subscriber.receive()]

        def until(condition: Callable[[Estimate | Status], bool]) -> None:
            while not condition(heard[-1]):
                heard.append(subscriber.receive())

        def play() -> None:
            command = ["paplay", "--device=stage_sink", str(excerpt)]
            player = subprocess.Popen(command, env=sound_card.environment)
            until(lambda message: player.poll() is not None)

        until(lambda message: isinstance(message, Estimate))
        play()
        sound_card.unload("stage")
        until(lambda _: sum(isinstance(one, Status) and one.state == "stalled" for one in heard) > 2)
        sound_card.load("stage")
        until(lambda message: isinstance(message, Status) and message.state == "running")
        play()
        run.send(signal.SIGINT)
        until(lambda message: isinstance(message, Status) and message.state == "ended")
    assert run.wait() == 0, run.errors
    folder = _only(tmp_path / "recordings")

    recorded = [one.message for one in MessageReader(folder / "messages.jsonl")]
    assert recorded[recorded.index(heard[0]) :] == heard
    estimates = _estimates(folder)
    lost = next(i for i, (a, b) in enumerate(pairwise(estimates), 1) if b.position - a.position > 1)
    assert sum(estimate.valence is not None for estimate in estimates[lost:]) > 3

    # until the loss the audio is framed alike, and so it is estimated alike
    again = _annotated(moodring, folder / "audio-000.flac")[:lost]
    published = np.array([[one.position, _number(one.valence), _number(one.arousal)] for one in estimates[:lost]])
    assert np.isfinite(published).all(axis=1).sum() > 3
    np.testing.assert_allclose(again, published, atol=1e-3)
    # behind it, too, the audio of an estimate is where its position says
    audio, rate = soundfile.read(folder / "audio-000.flac", always_2d=True)
    assert len(audio) / rate >= estimates[-1].position
    for estimate in estimates:
        frame = audio[round((estimate.position - 0.5) * rate) : round(estimate.position * rate)].mean(axis=1)
        if estimate.loudness > -50:
            assert 10 * np.log10(np.square(frame).mean()) == pytest.approx(estimate.loudness, abs=0.5)

    with Subscriber(second, timeout=30, until_ended=True) as subscriber:
        run = forks.start("replay", tmp_path / "recordings", "--speed", "10", "--publish", second)
        replayed = list(subscriber)
    assert run.wait() == 0, run.errors
    assert [_but_time(estimate) for estimate in replayed] == [_but_time(estimate) for estimate in estimates]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _but_time(estimate: Estimate) -> dict[str, object]:
    fields: dict[str, object] = json.loads(to_json(estimate))
    del fields["time"]
    return fields


def test_a_recording_can_be_read_up_to_the_last_seconds_after_a_kill(
    forks: Origin, song: Path, tmp_path: Path, endpoint: str
) -> None:
    run = forks.start("stream", song, "--quiet", "--record", tmp_path / "recordings", "--publish", endpoint)
    with Subscriber(endpoint, timeout=30) as subscriber:
        last = next(estimate for estimate in subscriber if estimate.position >= 4)
        run.kill()
    folder = _only(tmp_path / "recordings")
    assert _estimates(folder)[-1].sequence >= last.sequence - 1

    source = AudioFile(folder / "audio-000.flac")
    recorded = np.concatenate([block.samples for block in source.blocks()])  # which would raise if it were truncated
    assert len(recorded) / 44100 > last.position - 2
    original, _ = soundfile.read(song, dtype="float32", stop=len(recorded))
    np.testing.assert_array_equal(recorded, original)


def test_a_full_disk_ends_the_recording_and_not_the_tracking(
    forks: Origin, song: Path, tmp_path: Path, endpoint: str
) -> None:
    output = tmp_path / "printed"
    output.touch()
    options = ("--json", "--fast", "--record", tmp_path / "recordings", "--publish", endpoint)
    run = forks.start("stream", song, *options, output=str(output), largest_file=1_000_000)
    assert run.wait() == 1
    folder = _only(tmp_path / "recordings")
    _, warning, error = run.errors.splitlines()
    assert warning == f'moodring: the recording in "{folder}" has ended: File too large; tracking goes on'
    assert error == f'moodring: the recording in "{folder}" is not complete: File too large'
    assert len(output.read_text().splitlines()) == 120


def test_what_was_recorded_before_the_disk_was_full_can_be_read(forks: Origin, song: Path, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/full.sock"
    options = ("--quiet", "--record", tmp_path / "recordings", "--publish", endpoint)
    run = forks.start("stream", song, *options, largest_file=80_000)
    wait_until(lambda: "has ended" in run.errors, "the end of the recording")
    run.send(signal.SIGTERM)
    assert run.wait() == 1
    folder = _only(tmp_path / "recordings")
    recorded = np.concatenate([block.samples for block in AudioFile(folder / "audio-000.flac").blocks()])
    original, _ = soundfile.read(song, dtype="float32", stop=len(recorded))
    assert len(recorded) > 44100 / 2
    np.testing.assert_array_equal(recorded, original)
    assert _statuses(folder)[0].state == "starting"


def test_what_flac_cannot_hold_is_tracked_and_the_recording_fails_in_one_line(
    forks: Origin, tmp_path: Path, endpoint: str
) -> None:
    wide = tmp_path / "wide.wav"
    soundfile.write(wide, np.zeros((44100, 9)), 44100)
    output = tmp_path / "printed"
    output.touch()
    options = ("--fast", "--json", "--record", tmp_path / "recordings", "--publish", endpoint)
    run = forks.start("stream", wide, *options, output=str(output))
    assert run.wait() == 1
    assert "FLAC holds up to 8 channels and 655350 Hz, not 9 and 44100" in run.errors.splitlines()[-1]
    assert len(output.read_text().splitlines()) == 2


@pytest.mark.parametrize("parent", ["file", "file/below"])
def test_a_place_where_nothing_can_be_recorded_is_refused_at_once(
    moodring: Callable[..., Outcome], song: Path, tmp_path: Path, parent: str
) -> None:
    (tmp_path / "file").write_text("something else")
    outcome = moodring("stream", song, "--record", tmp_path / parent)
    assert outcome.status == 1
    assert outcome.errors.startswith(f'moodring: cannot record to "{tmp_path / parent}": ')
    assert outcome.errors.count("\n") == 1


def test_a_run_that_cannot_begin_leaves_no_folder(moodring: Callable[..., Outcome], song: Path, tmp_path: Path) -> None:
    outcome = moodring("stream", song, "--record", tmp_path / "recordings", "--publish", "tcp://192.0.2.1:5588")
    assert outcome.status == 1
    assert list((tmp_path / "recordings").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit for files")
def test_a_disk_that_is_full_at_the_start_is_told_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    import resource

    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(RecordingError, match=r'cannot record to ".*/mic-.*": File too large'):
            Recording(tmp_path, "mic", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folders = {create_folder(tmp_path, "mic", 1795478568.0) for _ in range(3)}
    names = {"mic-20261124T000248Z", "mic-20261124T000248Z-2", "mic-20261124T000248Z-3"}
    assert {folder.name for folder in folders} == names


@given(
    blocks=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 2500)), min_size=1, max_size=12),
    channels=st.integers(1, 3),
)
def test_a_position_leads_to_its_sample(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int]], channels: int
) -> None:
    folder = tmp_path_factory.mktemp("audio")
    rate = 1000
    random = np.random.default_rng(0)
    writer = AudioWriter(folder, rate, channels, seconds_per_file=2)
    expected = [np.zeros((0, channels), np.float32)]
    for lost, length in blocks:
        samples = random.integers(-(2**23), 2**23, (length, channels)).astype(np.float32) / np.float32(2**23)
        writer.skip(lost)
        writer.write(samples)
        writer.mark()
        expected += [np.zeros((lost, channels), np.float32), samples]
    writer.close()
    files = [soundfile.read(file, dtype="float32", always_2d=True)[0] for file in sorted(folder.iterdir())]
    assert all(len(file) == 2 * rate for file in files[:-1])
    np.testing.assert_allclose(np.concatenate(files), np.concatenate(expected), atol=TWENTY_FOUR_BITS)


def test_samples_that_are_not_finite_are_zeros_and_loud_ones_are_clipped(tmp_path: Path) -> None:
    writer = AudioWriter(tmp_path, 8000, 1)
    writer.write(np.array([[0.5], [np.nan], [np.inf], [-np.inf], [3.0], [-3.0]], np.float32))
    writer.close()
    recorded, _ = soundfile.read(tmp_path / "audio-000.flac")
    np.testing.assert_allclose(recorded, [0.5, 0, 0, 0, 1, -1], atol=1e-6)


def test_a_disk_that_is_too_slow_holds_nobody_up_and_positions_stay_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "QUEUE_BYTES", 40_000)
    disk = threading.Event()
    write = AudioWriter.write

    def write_slowly(self: AudioWriter, samples: np.ndarray) -> None:
        disk.wait(30)
        write(self, samples)

    monkeypatch.setattr(AudioWriter, "write", write_slowly)
    samples = np.linspace(-1, 1, 50_000, dtype=np.float32)[:, np.newaxis]
    recording = Recording(tmp_path, "mic", {})
    recording.hear(Samples("it", samples, 1000), wait=False)
    status = encode(Status("mic", 0, 0.0, "running", 0.0, ""))
    for start in range(0, 40_000, 1000):
        before = time.monotonic()
        recording.take_audio(samples[start : start + 1000], lost=0)
        recording.take_message(status)
        assert time.monotonic() - before < 1
    disk.set()
    wait_until(lambda: not recording._waiting, "the disk's catching up")
    recording.take_audio(samples[40_000:], lost=0)
    with pytest.raises(RecordingError, match="the disk was too slow for"), recording:
        pass
    recorded, _ = soundfile.read(recording.folder / "audio-000.flac", dtype="float32")
    assert len(recorded) == 50_000
    there = recorded != 0
    np.testing.assert_allclose(recorded[there], samples[there, 0], atol=TWENTY_FOUR_BITS)
    assert there[40_000:].all()
    left_out = json.loads((recording.folder / "recording.json").read_text())["audio_left_out"]
    assert 15 < left_out < 40
    assert np.count_nonzero(~there) == pytest.approx(left_out * 1000, abs=1)


def test_what_may_wait_waits_for_the_disk_until_the_recording_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "QUEUE_BYTES", 4000)
    disk = threading.Event()

    def fail_late(self: AudioWriter, samples: np.ndarray) -> None:
        disk.wait(30)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AudioWriter, "write", fail_late)
    samples = np.ones((10_000, 1), np.float32)
    recording = Recording(tmp_path, "mic", {})
    source = recording.hear(Samples("it", samples, 1000), wait=True)
    read = threading.Event()

    def hear() -> None:
        for _ in range(5):
            for _ in source.blocks():
                pass
        read.set()

    threading.Thread(target=hear, daemon=True).start()
    assert not read.wait(0.3)
    disk.set()
    assert read.wait(30)
    with pytest.raises(RecordingError, match="is not complete: No space left on device"), recording:
        pass
