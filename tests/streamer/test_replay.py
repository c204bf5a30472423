from __future__ import annotations

import json
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.messages import Estimate, Mood, Status, to_json
from streamer.recording.folder import RecordingError
from streamer.recording.lines import MessageReader, encode_line
from streamer.subscriber import Subscriber
from tests.conftest import Outcome
from tests.streamer.forks import Origin, origin

Messages = Sequence[tuple[float, Estimate | Status]]
"""With the seconds after which each was sent."""
THEN = 1_700_000_000.0
"""UTC at which the recordings here began."""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as started:
        yield started


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/moodring.sock"


def _estimate(sequence: int, elapsed: float, stream: str = "stage") -> tuple[float, Estimate]:
    latency = 0.05
    position = 0.5 * (sequence + 1)
    mood = Mood(0.1, -0.1)
    return elapsed, Estimate(
        stream, sequence, THEN + elapsed - latency, position, 0.2, -0.3, 0.1, 0.2, mood, "tracking", -20.0, 0.0, "m"
    )


def _status(state: str, elapsed: float, started: float = THEN, reason: str = "") -> tuple[float, Status]:
    return elapsed, Status("stage", 0, THEN + elapsed, state, 0.25, reason, 3, started)  # type: ignore[arg-type]


def _write(path: Path, messages: Messages) -> Path:
    path.mkdir()
    lines = (encode_line(elapsed, to_json(message).encode()) for elapsed, message in messages)
    (path / "messages.jsonl").write_bytes(b"".join(lines))
    return path


def _but_time(estimates: list[Estimate]) -> list[Estimate]:
    return [replace(estimate, time=0.0) for estimate in estimates]


class Heard:
    """What came of a replay, and when, in monotonic seconds."""

    def __init__(self) -> None:
        self.estimates: list[tuple[float, Estimate]] = []
        self.statuses: list[tuple[float, Status]] = []

    def take(self, subscriber: Subscriber) -> None:
        message = subscriber.receive()
        if isinstance(message, Estimate):
            self.estimates.append((time.monotonic(), message))
        else:
            self.statuses.append((time.monotonic(), message))

    @property
    def ended(self) -> bool:
        return bool(self.statuses) and self.statuses[-1][1].state in ("ended", "failed")


def _hear(endpoint: str, until: Callable[[Heard], bool] = lambda heard: heard.ended) -> Heard:
    heard = Heard()
    with Subscriber(endpoint, timeout=60) as subscriber:
        while not until(heard):
            heard.take(subscriber)
    return heard


def test_a_replay_has_the_timing_that_was_recorded(forks: Origin, tmp_path: Path, endpoint: str) -> None:
    at = [0.3, 0.6, 0.75, 0.76, 1.1, 1.3, 1.31, 3.6, 3.9, 4.2]
    recorded = [_estimate(sequence, elapsed) for sequence, elapsed in enumerate(at)]
    statuses = [_status("starting", 0.0), *(_status("running", 0.2 + second) for second in range(4))]
    everything: list[tuple[float, Estimate | Status]] = [*recorded, *statuses, _status("ended", 4.3)]
    messages = sorted(everything, key=lambda one: one[0])
    before = time.time()
    run = forks.start("replay", _write(tmp_path / "recording", messages), "--publish", endpoint)
    heard = _hear(endpoint)
    assert run.wait() == 0, run.errors
    assert "10 estimates were replayed" in run.errors

    estimates = [estimate for _, estimate in heard.estimates]
    assert _but_time(estimates) == _but_time([estimate for _, estimate in recorded])
    late = [arrived - elapsed for (arrived, _), elapsed in zip(heard.estimates, at, strict=True)]
    origin_of_times = min(late)
    delays = [one - origin_of_times for one in late]
    assert statistics.median(delays) < 0.05
    assert max(delays) < 0.4
    assert delays[-1] < 0.2  # which would have grown if each wait began when the one before it ended
    to_now = [estimate.time - then.time for estimate, (_, then) in zip(estimates, recorded, strict=True)]
    assert max(to_now) - min(to_now) < 1e-5
    assert before < estimates[0].time < time.time()

    arrivals = [arrived for arrived, _ in heard.statuses]
    assert max(b - a for a, b in pairwise(arrivals)) < 1.5  # in the pause of 2.3 s, too
    told = [status for _, status in heard.statuses]
    assert len({status.started for status in told}) == 1
    assert before <= (told[0].started or 0.0) <= time.time()
    assert (told[-1].state, told[-1].dropped, told[-1].invalid) == ("ended", 0.25, 3)
    assert len(told) < 10  # no second heartbeat beside the publisher's own
    sequences = [status.sequence for status in told]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_speed_loop_and_the_end_by_a_signal(forks: Origin, tmp_path: Path, endpoint: str) -> None:
    recorded = [_estimate(sequence, 1.0 + 2 * sequence) for sequence in range(10)]
    messages: Messages = [_status("starting", 0.0), _status("running", 0.2), *recorded]
    run = forks.start(
        "replay", _write(tmp_path / "recording", messages), "--speed", "20", "--loop", "--publish", endpoint
    )
    heard = _hear(endpoint, lambda heard: len(heard.estimates) >= 25)
    runs: dict[float | None, list[Status]] = {}
    for _, status in heard.statuses:
        runs.setdefault(status.started, []).append(status)
    assert len(runs) >= 2
    assert next(iter(runs.values()))[-1].reason == "end of the recording"
    estimates = [estimate for _, estimate in heard.estimates]
    again = next(i for i, estimate in enumerate(estimates) if i and estimate.sequence == 0)
    assert estimates[again - 1].sequence == 9
    assert [estimate.sequence for estimate in estimates[again : again + 10]] == list(range(10))
    arrived = [at for at, _ in heard.estimates[again : again + 10]]
    assert arrived[-1] - arrived[0] == pytest.approx(0.9, abs=0.2)
    spread = estimates[again + 9].time - estimates[again].time
    assert spread == pytest.approx(0.9, abs=1e-4)

    with Subscriber(endpoint, timeout=60) as subscriber:
        # long before the end of the recording, after which nothing is left to be stopped
        while not (isinstance(message := subscriber.receive(), Estimate) and message.sequence <= 2):
            pass
        run.send(signal.SIGINT)
        while not subscriber.all_ended:
            subscriber.receive()
        assert subscriber.statuses["stage"].reason == "stopped"
    assert run.wait() == 0


def test_who_comes_late_gets_the_last_values_at_once(forks: Origin, tmp_path: Path, endpoint: str) -> None:
    messages: Messages = [_estimate(0, 0.0), _estimate(1, 0.1), _estimate(2, 3600.0)]
    run = forks.start("replay", _write(tmp_path / "recording", messages), "--publish", endpoint)
    _hear(endpoint, lambda heard: any(estimate.sequence == 1 for _, estimate in heard.estimates))
    began = time.monotonic()
    heard = _hear(endpoint, lambda heard: bool(heard.estimates) and bool(heard.statuses))
    assert time.monotonic() - began < 5
    assert heard.estimates[0][1].sequence == 1
    assert heard.statuses[0][1].state == "running"
    run.send(signal.SIGTERM)
    assert run.wait() == 0


def test_what_watch_printed_can_be_replayed(forks: Origin, tmp_path: Path, endpoint: str) -> None:
    printed = tmp_path / "mood.jsonl"
    estimates = [_estimate(sequence, 0.3 * sequence + 7)[1] for sequence in (4, 5, 6)]
    estimates += [_estimate(sequence, 0.3 * sequence + 9)[1] for sequence in (0, 1)]  # the tracker was started again
    printed.write_text("".join(to_json(estimate) + "\n" for estimate in estimates))
    run = forks.start("replay", printed, "--publish", endpoint)
    heard = _hear(endpoint)
    assert run.wait() == 0, run.errors
    assert _but_time([estimate for _, estimate in heard.estimates]) == _but_time(estimates)
    arrived = [at for at, _ in heard.estimates]
    # the first may have waited for the subscriber to be there
    assert 0.15 < arrived[2] - arrived[0] < 0.8
    assert len({status.started for _, status in heard.statuses}) == 2
    assert heard.statuses[-1][1].reason == "end of the recording"


def test_runs_of_a_stream_stay_runs(forks: Origin, tmp_path: Path, endpoint: str) -> None:
    one: Messages = [_status("starting", 0.0), _status("running", 0.0), _estimate(0, 0.1), _estimate(1, 0.2)]
    pause = [_status("failed", 0.3, reason="the cable"), _status("starting", 0.5, THEN + 0.5)]
    other: Messages = [
        _status("running", 0.5, THEN + 0.5),
        _estimate(0, 0.6),
        _status("ended", 0.7, THEN + 0.5, "stopped"),
    ]
    messages: Messages = [*one, *pause, *other]
    run = forks.start("replay", _write(tmp_path / "recording", messages), "--publish", endpoint)
    heard = _hear(endpoint, lambda heard: bool(heard.statuses) and heard.statuses[-1][1].state == "ended")
    assert run.wait() == 0, run.errors
    told = [status for _, status in heard.statuses]
    assert [status.reason for status in told if status.state == "failed"] == ["the cable"]
    assert told[-1].reason == "stopped"
    assert len({status.started for status in told}) == 2
    assert [estimate.sequence for _, estimate in heard.estimates] == [0, 1, 0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b'{"elapsed": 0.3, "version": 1, "stre', "it breaks off, or is too long"),
        (b"\x00\xff\n", "it is not JSON"),
        (b"[" * 100_000 + b"\n", "it breaks off, or is too long"),
        (b"[" * 60_000 + b"\n", "it is not JSON"),
        (b"1\n", "it is no message"),
        (b'{"elapsed": NaN, "stream": "stage"}\n', "elapsed is not a number in its range"),
        (b'{"elapsed": 1e99, "stream": "stage"}\n', "elapsed is not a number in its range"),
        (b'{"elapsed": true, "stream": "stage"}\n', "elapsed is not a number in its range"),
        (b'{"stream": "\\u001b[31m", "version": 1}\n', 'stream name " [31m" may hold only'),
        (b'{"stream": "\\ud800"}\n', "the protocol's version is not 1"),
    ],
)
def test_damaged_lines_are_passed_over(tmp_path: Path, damage: bytes, reason: str) -> None:
    recording = _write(tmp_path / "recording", [_status("running", 0.0), _estimate(0, 0.1), _estimate(1, 0.2)])
    with (recording / "messages.jsonl").open("ab") as messages:
        messages.write(damage)
    reader = MessageReader(recording / "messages.jsonl")
    assert len(list(reader)) == 3
    assert reader.first_refused.startswith(f"line 4: {reason}")


def test_a_line_that_breaks_off_is_left_out_with_a_word(
    moodring: Callable[..., Outcome], tmp_path: Path, endpoint: str
) -> None:
    recording = _write(tmp_path / "recording", [_status("running", 0.0), _estimate(0, 0.1), _estimate(1, 0.2)])
    file = recording / "messages.jsonl"
    file.write_bytes(file.read_bytes()[:-5])
    outcome = moodring("replay", tmp_path, "--fast", "--publish", endpoint)
    assert outcome.status == 0
    assert outcome.errors.splitlines()[1:] == [
        f'moodring: 1 line of "{file}" left out (line 3: it breaks off, or is too long)',
        "moodring: 1 estimates were replayed",
    ]


def test_what_is_no_recording_is_refused_in_one_line(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    several = tmp_path / "several"
    several.mkdir()
    for name in ("mic-1", "mic-2"):
        _write(several / name, [_estimate(0, 0.0)])
    for folder, reason in (
        (tmp_path / "missing", "there is no recording"),
        (tmp_path / "empty", "holds no recording: there is no messages.jsonl in it"),
        (several, 'holds 2 recordings; choose one, such as "'),
        (Path("/dev/null"), "is neither a folder nor a regular file"),
    ):
        outcome = moodring("replay", folder)
        assert outcome.status == 1
        assert reason in outcome.errors
        assert outcome.errors.count("\n") == 1
    noise = tmp_path / "noise"
    noise.write_bytes(b"\xff\n" * 100)
    outcome = moodring("replay", noise, "--publish", f"ipc://{tmp_path}/noise.sock")
    assert outcome.status == 1
    assert outcome.errors.splitlines()[1:] == [f'moodring: "{noise}" holds no messages (line 1: it is not JSON)']
    assert moodring("replay", several / "mic-1", "--fast", "--loop").status == 2


@given(st.lists(st.one_of(st.binary(max_size=60), st.from_regex(r'\{"elapsed": -?[0-9]{1,400}, "stream": "a"\}'))))
def test_no_file_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes | str]) -> None:
    path = tmp_path_factory.mktemp("hostile") / "messages.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    reader = MessageReader(path)
    assert list(reader) == []
    assert (reader.refused > 0) == (path.stat().st_size > 0)


@given(st.lists(st.floats(0, 1e12), max_size=20))
def test_time_never_goes_backwards(tmp_path_factory: pytest.TempPathFactory, elapsed: list[float]) -> None:
    path = tmp_path_factory.mktemp("order") / "messages.jsonl"
    body = to_json(_estimate(0, 0.0)[1]).encode()
    path.write_bytes(b"".join(encode_line(one, body) for one in elapsed))
    read = [recorded.elapsed for recorded in MessageReader(path)]
    assert read == sorted(read)
    assert len(read) == len(elapsed)


def test_a_recording_that_vanishes_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot read"):
        list(MessageReader(tmp_path / "gone"))


def test_a_line_is_the_body_as_it_was_sent() -> None:
    _, estimate = _estimate(3, 1.5)
    fields = json.loads(encode_line(1.5, to_json(estimate).encode()))
    assert fields.pop("elapsed") == 1.5
    assert fields == json.loads(to_json(estimate))


def test_its_help_has_examples(moodring: Callable[..., Outcome]) -> None:
    outcome = moodring("replay", "--help")
    assert outcome.status == 0
    assert "moodring replay recordings/" in outcome.output
