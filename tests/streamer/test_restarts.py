"""A tracker that is killed and started again: what its subscribers notice of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.messages import Estimate, Mood, Status
from streamer.publisher import Publisher
from streamer.subscriber import Subscriber
from tests.streamer.forks import DEADLINE, Origin, origin, wait_until

ANY_PORT = "tcp://127.0.0.1:*"
LONGEST_RECONNECTION = 3.0
"""Seconds from the new publisher's bind to the first message; 0.1 to 0.2 where nothing else runs."""

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="who listens is read from /proc")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture(params=["tcp", "ipc"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "ipc":
        return f"ipc://{tmp_path}/room"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _statuses(subscriber: Subscriber, count: int) -> list[Status]:
    statuses: list[Status] = []
    while len(statuses) < count:
        message = subscriber.receive(timeout=20)
        if isinstance(message, Status):
            statuses.append(message)
    return statuses


def test_a_status_tells_when_its_run_began() -> None:
    before = time.time()
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "starting")
        publisher.set_status("a", "running")
        publisher.set_status("a", "stalled")
        publisher.set_status("a", "ended")
        statuses = _statuses(subscriber, 1)
        while statuses[-1].state != "ended":
            statuses += _statuses(subscriber, 1)
    assert {status.started for status in statuses} == {statuses[0].started}
    assert statuses[0].started is not None
    assert before - 0.001 <= statuses[0].started <= statuses[0].time


def test_a_stream_that_begins_again_in_the_same_publisher_is_a_new_run() -> None:
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "running")
        (first,) = _statuses(subscriber, 1)
        publisher.set_status("a", "ended")
        publisher.set_status("a", "failed", reason="and its display broke")
        publisher.set_status("a", "starting")
        ended, failed, second = _statuses(subscriber, 3)
    assert first.started == ended.started == failed.started
    assert first.started is not None
    assert second.started is not None
    assert second.started > first.started
    assert second.sequence == first.sequence + 3


def test_the_first_estimate_of_a_new_run_is_never_taken_for_one_sent_again() -> None:
    estimate = Estimate("a", 0, 1.0, 0.5, 0.25, -0.5, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m")
    with Publisher(ANY_PORT) as publisher, Subscriber(publisher.endpoint) as subscriber:
        publisher.set_status("a", "running")
        publisher.publish(estimate)
        assert next(subscriber) == estimate
        publisher.set_status("a", "ended")
        publisher.set_status("a", "starting")
        publisher.publish(estimate)
        publisher.set_status("a", "stalled")
        messages = [subscriber.receive()]
        while not (isinstance(messages[-1], Status) and messages[-1].state == "stalled"):
            messages.append(subscriber.receive())
    assert estimate in messages


def _listens(endpoint: str) -> bool:
    if endpoint.startswith("ipc://"):
        sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
        return any(line[3] == "00010000" and line[-1] == endpoint.removeprefix("ipc://") for line in sockets)
    port = f":{int(endpoint.rpartition(':')[2]):04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any(line[1].endswith(port) and line[3] == "0A" for line in sockets)


def _killed_and_started_again(
    forks: Origin, endpoint: str, folder: Path, *command: object, environment: dict[str, str] | None = None
) -> None:
    shown = folder / "shown"
    shown.touch()
    watcher = forks.start("watch", endpoint, "--json", output=str(shown))
    first = forks.start(*command, "--publish", endpoint, "--quiet", "--stream", "room", environment=environment)
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        before = [next(subscriber) for _ in range(3)]
        started = subscriber.statuses["room"].started
        wait_until(lambda: shown.read_text().count("\n") >= 2, "a line of watch")
        first.kill()
        seen_before = shown.read_text().count("\n")
        second = forks.start(*command, "--publish", endpoint, "--quiet", "--stream", "room", environment=environment)
        wait_until(lambda: _listens(endpoint), "a bind")
        bound = time.monotonic()
        message = subscriber.receive()
        print(f"{endpoint}: {time.monotonic() - bound:.3f} s from the bind to the first message")
        assert time.monotonic() - bound < LONGEST_RECONNECTION
        assert isinstance(message, Status)
        assert message.started is not None
        assert started is not None
        assert message.started > started
        after = [next(subscriber) for _ in range(3)]
        assert [estimate.sequence for estimate in after] == [0, 1, 2]
        assert after[0].position < 5  # 0.5, but for a microphone on a busy machine, which may lose something
        assert after[0].time > before[-1].time
        begin = time.monotonic()
        with Subscriber(endpoint, timeout=DEADLINE) as late:
            states = {type(late.receive()), type(late.receive())}
            assert states == {Status, Estimate}
            assert late.statuses["room"].started == message.started
        print(f"{endpoint}: {time.monotonic() - begin:.3f} s until a new subscriber had the last values")
    wait_until(lambda: shown.read_text().count("\n") >= seen_before + 2, "a line of watch after the restart")
    watched = [json.loads(line)["sequence"] for line in shown.read_text().splitlines()[:-1]]
    again = watched.index(0, 1)
    assert watched[again:] == list(range(len(watched) - again))
    assert watcher.alive
    second.kill()
    watcher.kill()


@only_linux
def test_a_killed_tracker_that_is_started_again_is_heard_at_once(
    forks: Origin, song: Path, endpoint: str, tmp_path: Path
) -> None:
    _killed_and_started_again(forks, endpoint, tmp_path, "stream", song)


@only_linux
@pytest.mark.parametrize("endpoint", ["tcp"], indirect=True)
def test_so_is_one_that_listens_to_a_microphone(
    forks: Origin, song: Path, endpoint: str, tmp_path: Path, sound_server: dict[str, str]
) -> None:
    player = subprocess.Popen(["paplay", "--device=mic_sink", str(song)], env=sound_server)
    try:
        _killed_and_started_again(forks, endpoint, tmp_path, "listen", environment=sound_server)
    finally:
        player.terminate()
        player.wait()
