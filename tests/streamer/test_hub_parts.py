"""What a hub is made of: who is heard, what is repeated, whom it listens to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from model.errors import MoodringError
from streamer.endpoints import EndpointError
from streamer.hub.hub import REPEATED_AT_ONCE, REPEATED_PER_SECOND, Hub
from streamer.hub.inlets import Inlets
from streamer.hub.switchboard import (
    MAXIMUM_ENDED,
    MAXIMUM_STREAMS,
    MESSAGES_AT_ONCE,
    MESSAGES_PER_SECOND,
    REMEMBERED,
    SILENT_AFTER,
    Origin,
    Switchboard,
)
from streamer.hub.upstreams import Upstream, read_upstreams
from streamer.messages import Estimate, Status, StreamState, encode
from streamer.publisher import Publisher
from streamer.repeats import Repeats
from tests.streamer.hubs import ANY_PORT, estimate, wait_for
from tests.streamer.keyring import Keyring

SUBSCRIBERS = 50
A, B = Origin("tcp://a:1"), Origin("tcp://b:1")


def _status(sequence: int, started: float, when: float, state: StreamState = "running", stream: str = "s") -> Status:
    return Status(stream, sequence, when, state, 0.0, "", 0, started)


def _admit(board: Switchboard, origin: Origin, message: Estimate | Status, now: float) -> bool:
    return board.admit(origin, message, encode(message)[1], now)


@given(st.lists(st.tuples(st.sampled_from("ABx"), st.booleans(), st.floats(0.0, 5.0)), max_size=60))
def test_nobody_mixes_with_a_stream_that_is_alive(moves: list[tuple[str, bool, float]]) -> None:
    """Whatever two trackers of one name send, and when: what is sent on changes its tracker only after a silence."""
    board = Switchboard(lambda name: None)
    now, last, heard = 0.0, "", 0.0
    for sequence, (who, tells, pause) in enumerate(moves):
        now += pause
        board.expire(now, 0.0)
        if who == "x":
            continue
        started = 1.0 if who == "A" else 2.0
        message = _status(sequence, started, now) if tells else estimate("s", sequence, model=who)
        if _admit(board, A if who == "A" else B, message, now):
            assert last in ("", who) or now - heard >= SILENT_AFTER
            assert last in ("", who) or tells or now - heard >= REMEMBERED  # a status says first whose stream it is now
            last, heard = who, now
        else:
            assert last != who


def test_the_same_run_by_another_way_takes_over_but_nothing_old_comes_back() -> None:
    forgotten: list[str] = []
    board = Switchboard(forgotten.append)
    assert _admit(board, A, _status(0, 7.0, 100.0), 0.0)
    assert not _admit(board, B, _status(0, 7.0, 100.0), 0.1)
    assert (board.counts.duplicates, board.counts.collisions) == (1, 0)
    board.expire(SILENT_AFTER + 0.1, 0.0)
    assert forgotten == ["s"]
    assert board.live == 0
    assert not _admit(board, B, _status(0, 7.0, 100.0), SILENT_AFTER + 0.2)  # a last value, from around a loop
    assert board.live == 0
    assert _admit(board, B, _status(4, 7.0, 104.0), SILENT_AFTER + 0.3)
    assert board.live == 1
    assert not _admit(board, A, _status(5, 7.0, 105.0), SILENT_AFTER + 0.4)


def test_silence_while_nobody_could_be_heard_is_nobodys() -> None:
    board = Switchboard(lambda name: None)
    _admit(board, A, _status(0, 7.0, 100.0), 0.0)
    board.expire(50.0, 50.0)
    assert board.live == 1
    board.expire(50.0 + SILENT_AFTER, 50.0)
    assert board.live == 0


def test_a_message_that_may_be_from_either_of_two_is_its_streams() -> None:
    board = Switchboard(lambda name: None)
    assert _admit(board, A, _status(0, 7.0, 100.0), 0.0)
    doubtful = Origin(B.endpoint, A.endpoint)
    assert _admit(board, doubtful, _status(1, 7.0, 101.0), 0.1)
    assert _admit(board, A, _status(2, 7.0, 102.0), 0.2)
    assert _admit(board, doubtful, _status(0, 8.0, 100.0, stream="t"), 0.3)
    assert _admit(board, A, _status(1, 8.0, 101.0, stream="t"), 0.4)  # it was this one's
    assert not _admit(board, B, _status(2, 8.0, 102.0, stream="t"), 0.5)
    assert board.counts.collisions == 0


def test_losses_are_counted_and_new_runs_are_none() -> None:
    board = Switchboard(lambda name: None)
    for sequence in (0, 1, 5, 6):
        assert _admit(board, A, estimate("s", sequence), 0.0)
    assert board.counts.lost == 3
    assert _admit(board, A, _status(0, 9.0, 100.0), 0.0)
    assert _admit(board, A, estimate("s", 40), 0.0)
    assert board.counts.lost == 3


def test_what_one_stream_and_all_streams_may_take_is_bounded() -> None:
    forgotten: list[str] = []
    board = Switchboard(forgotten.append)
    sent = sum(_admit(board, A, _status(n, 7.0, n), 0.0) for n in range(2 * MESSAGES_AT_ONCE))
    assert sent == MESSAGES_AT_ONCE
    assert board.counts.dropped == MESSAGES_AT_ONCE
    later = sum(_admit(board, A, _status(n, 8.0, n), 1.0) for n in range(MESSAGES_AT_ONCE))
    assert later == MESSAGES_PER_SECOND
    for number in range(2 * MAXIMUM_ENDED):
        assert _admit(board, A, _status(0, 1.0, 1.0, "ended", f"e{number}"), 1.0)
    assert len(forgotten) == MAXIMUM_ENDED
    admitted = sum(
        _admit(board, A, _status(0, 1.0, 1.0, stream=f"n{number}"), 1.0) for number in range(MAXIMUM_STREAMS)
    )
    assert admitted == MAXIMUM_STREAMS - MAXIMUM_ENDED - 1


def _take_all(repeats: Repeats, now: float) -> list[list[bytes]]:
    taken = []
    while frames := repeats.take(now, SUBSCRIBERS):
        taken += frames
    return taken


def test_last_values_of_many_streams_come_a_few_at_a_time_and_each_once() -> None:
    repeats = Repeats(REPEATED_AT_ONCE, REPEATED_PER_SECOND)
    at_once = REPEATED_AT_ONCE // SUBSCRIBERS
    streams = 2 * at_once
    for number in range(streams):
        repeats.remember(f"s{number}", [b"status/s%d/" % number, b"old"])
    repeats.ask(b"status/")
    began = now = time.monotonic() + 1
    first = _take_all(repeats, now)
    assert len(first) == at_once
    waiting = {b"status/s%d/" % number for number in range(streams)} - {frames[0] for frames in first}
    answered, gone = sorted(waiting)[:2]
    repeats.remember(answered.split(b"/")[1].decode(), [answered, b"new"])
    repeats.forget(gone.split(b"/")[1].decode())
    rest = []
    while repeats.due < now + 10:
        now = max(now + 0.001, repeats.due)
        rest += _take_all(repeats, now)
    assert {frames[0] for frames in rest} == waiting - {answered, gone}
    assert len(rest) == len(waiting) - 2
    assert now - began == pytest.approx(len(rest) * SUBSCRIBERS / REPEATED_PER_SECOND, abs=0.02)
    repeats.ask(answered)
    assert [answered, b"new"] in _take_all(repeats, now + 5)


def test_a_list_of_publishers(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.make("hub")
    keyring.make("bar")
    listed = tmp_path / "trackers.txt"
    listed.write_text("\n# of the house\ntcp://bar:5588   bar.key  # own key\nipc:///run/stage\n")
    found = read_upstreams(["tcp://10.0.0.1:5588"], listed, keyring.secret("hub"), keyring.public("stage"))
    assert [one.endpoint for one in found] == ["tcp://10.0.0.1:5588", "tcp://bar:5588", "ipc:///run/stage"]
    expected = [keyring.client("hub", name) for name in ("stage", "bar", "stage")]
    assert [one.keys for one in found] == expected


@pytest.mark.parametrize(
    ("endpoints", "content", "key", "words"),
    [
        ([], None, None, ["--from"]),
        (["tcp://a:1", "tcp://a:1"], None, None, ["named twice"]),
        (["tcp://a:1"], "\ntcp://a:1", None, ["line 2", "named twice"]),
        (["http://a:1"], None, None, ["is not an endpoint"]),
        ([], "tcp://a:1\nnonsense", None, ["line 2", "is not an endpoint"]),
        (["tcp://*:5588"], None, None, ["nowhere to connect to"]),
        (["tcp://127.0.0.1:*"], None, None, ["nowhere to connect to"]),
        ([], "tcp://a:1 stage.key", None, ["line 1", "--key"]),
        (["tcp://a:1"], None, "stage", ["--server-public-key"]),
        ([], "tcp://a:1 missing.key", "stage", ["missing.key"]),
        ([], "\xff\xfe", None, ["text file"]),
        ([f"tcp://a:{number}" for number in range(1, 3000)], None, None, ["chain hubs"]),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line(
    endpoints: list[str], content: str | None, key: str | None, words: list[str], tmp_path: Path
) -> None:
    keyring = Keyring(tmp_path)
    listed = None
    if content is not None:
        listed = tmp_path / "trackers.txt"
        listed.write_bytes(content.encode("latin-1"))
    with pytest.raises(MoodringError) as wrong:
        read_upstreams(endpoints, listed, None if key is None else keyring.secret(key), None)
    line = str(wrong.value)
    assert all(word in line for word in words), line
    assert "\n" not in line


def test_a_hub_does_not_listen_to_itself() -> None:
    with pytest.raises(MoodringError, match="listen to itself"):
        Hub([Upstream("tcp://127.0.0.1:5999")], "tcp://127.0.0.1:5999")


def test_a_hub_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/hub"
    with pytest.raises(EndpointError):
        Hub([Upstream(f"ipc://{'long' * 100}")], endpoint)
    with Hub([Upstream(f"ipc://{tmp_path}/tracker")], endpoint) as hub:
        assert hub.alive


def test_each_message_is_known_by_its_publisher_also_when_descriptors_are_used_again() -> None:
    publishers = [Publisher(ANY_PORT) for _ in range(4)]
    inlets = Inlets([Upstream(publisher.endpoint) for publisher in publishers])
    try:
        for _ in range(5):
            for number, publisher in enumerate(publishers):
                publisher.set_status(f"s{number}", "running")
            _expect(inlets, publishers)
            # all connections end and begin again, and their descriptors go round
            for number, publisher in enumerate(publishers):
                publisher.close()
                publishers[number] = Publisher(publisher.endpoint)
    finally:
        inlets.close()
        for publisher in publishers:
            publisher.close()


def _expect(inlets: Inlets, publishers: list[Publisher]) -> None:
    heard: set[int] = set()

    def all_heard() -> bool:
        inlets.watch()
        inlets.retry()
        while (message := inlets.receive()) is not None:
            origin, frames = message
            number = int(frames[0].split(b"/")[1][1:])
            assert origin is not None
            assert publishers[number].endpoint in (origin.endpoint, origin.or_else)
            if not origin.or_else:
                heard.add(number)
        return len(heard) == len(publishers)

    wait_for(all_heard)


def test_messages_of_many_parts_are_cut_short() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sender = context.socket(zmq.PUB)
    sender.bind(ANY_PORT)
    inlets = Inlets([Upstream(sender.getsockopt_string(zmq.LAST_ENDPOINT))])
    received: list[list[bytes]] = []

    def send_and_receive(parts: list[bytes]) -> Callable[[], bool]:
        def come() -> bool:
            sender.send_multipart(parts)
            inlets.watch()
            while (message := inlets.receive()) is not None:
                received.append(message[1])
            return bool(received)

        return come

    try:
        wait_for(send_and_receive([b"status/s/"] + [b"part"] * 500))
        assert received[0] == [b"status/s/", b"part", b"part"]
    finally:
        inlets.close()
        context.destroy(linger=0)
