"""``moodring hub`` as a process of its own, between trackers and subscribers."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from streamer.endpoints import is_loopback
from streamer.publisher import Publisher
from streamer.subscriber import Subscriber
from tests.streamer.hubs import ANY_PORT, Listener, Process, RunningHub, Tracker, estimate, wait_for
from tests.streamer.keyring import Keyring

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

_START = "from streamer.start import main; main()"
_networks = itertools.count()


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def test_what_is_sent_on_is_what_was_sent_and_late_joiners_have_it_at_once() -> None:
    with Publisher(ANY_PORT) as one, Publisher(ANY_PORT) as two, RunningHub([one.endpoint, two.endpoint]) as hub:
        with Listener(one.endpoint) as direct, Listener(hub.endpoint) as through:
            one.set_status("a", "running", dropped=0.5, reason='a "reason" with ü')
            two.set_status("b", "starting")
            two.set_status("over", "ended", reason="end of input")
            wait_for(lambda: direct.statuses("a") and through.statuses("a") and through.statuses("b"))
            for sequence in range(20):
                one.publish(estimate("a", sequence))
            wait_for(lambda: through.without_repeats("a") == list(range(20)) and through.statuses("over"))
            wait_for(lambda: direct.without_repeats("a") == list(range(20)))
            sent = {tuple(frames) for frames in direct.frames}
            assert {tuple(f) for f in through.frames if f[0] == b"emotion/a/"} == {
                f for f in sent if f[0] == b"emotion/a/"
            }
            status = through.statuses("a")[0]
            assert (status.dropped, status.reason) == (0.5, 'a "reason" with ü')
            assert status.started == direct.statuses("a")[0].started
        with Listener(hub.endpoint) as late:
            joined = time.monotonic()
            wait_for(lambda: late.estimates("a") and late.statuses("a") and late.statuses("over"))
            assert time.monotonic() - joined < 5
            assert late.estimates("a")[0].sequence == 19
            assert late.statuses("over")[0].reason == "end of input"
        with Subscriber(hub.endpoint, stream="a") as subscriber:
            assert next(subscriber).sequence == 19
        assert hub.count("publishers_connected") == hub.count("publishers") == 2
        assert hub.count("messages_sent_total") >= 23
        assert hub.count("messages_repeated_total") >= 1
        assert hub.count("messages_lost_total") == hub.count("messages_collisions_total") == 0


def test_a_tracker_that_dies_is_forgotten_and_heard_again_when_it_is_back() -> None:
    endpoint = _free_port()
    by_name = endpoint.replace("127.0.0.1", "localhost")
    with Publisher(ANY_PORT) as other, RunningHub([by_name, other.endpoint]) as hub:
        other.set_status("other", "running")
        with Subscriber(hub.endpoint, timeout=20) as subscriber:
            with Tracker("room", endpoint) as tracker:
                wait_for(lambda: subscriber.receive().stream == "room")
                wait_for(lambda: bool(subscriber.receive()) and "room" in subscriber.statuses)
                first = subscriber.statuses["room"].started
                tracker.program.kill()
                died = time.monotonic()
            with Listener(hub.endpoint) as joiner:  # it may have gone for a moment only: there is its last value
                wait_for(lambda: joiner.statuses("room"))
            wait_for(lambda: hub.said('nothing comes of stream "room"', by_name))
            assert 2.5 < time.monotonic() - died < 10
            with Listener(hub.endpoint) as joiner:
                wait_for(lambda: len(joiner.statuses("other")) > 1)
                assert not joiner.statuses("room")
                assert not joiner.estimates("room")
            with Tracker("room", endpoint):
                wait_for(lambda: bool(subscriber.receive()) and subscriber.statuses["room"].started != first)


def test_of_two_trackers_with_one_name_the_first_is_heard_until_it_is_silent() -> None:
    with Tracker("mic", model="first") as first, ExitStack() as second_ends:
        second_endpoint = _free_port()
        with RunningHub([first.endpoint, second_endpoint], silent_after=1) as hub, Listener(hub.endpoint) as heard:
            wait_for(lambda: heard.estimates("mic"))
            second_ends.enter_context(Tracker("mic", second_endpoint, model="second"))
            wait_for(lambda: hub.said('stream "mic"', first.endpoint, second_endpoint, "another name"))
            wait_for(lambda: hub.count("messages_collisions_total") > 10)
            assert sum("another name" in line for line in hub.lines) == 1
            assert {one.model for one in heard.estimates("mic")} == {"first"}
            first.program.kill()
            wait_for(lambda: {one.model for one in heard.estimates("mic")} == {"first", "second"})
            came = list(dict.fromkeys((one.model, one.sequence) for one in heard.estimates("mic")))
            assert came == sorted(came)  # the first one's, then the second one's, in their order
            runs = list(dict.fromkeys(one.started for one in heard.statuses("mic")))
            assert len(runs) == 2
            assert hub.said("now, not from", first.endpoint)
            of_first = [sequence for model, sequence in came if model == "first"]
            assert of_first == list(range(of_first[0], of_first[0] + len(of_first)))


def test_hubs_in_a_chain_and_in_a_loop(tmp_path: Path) -> None:
    ends = [f"ipc://{tmp_path}/{name}" for name in "ab"]
    with Tracker("room") as tracker, ExitStack() as hubs:
        a = hubs.enter_context(RunningHub([tracker.endpoint, ends[1]], "--publish", ends[0], silent_after=1))
        b = hubs.enter_context(RunningHub([ends[0]], "--publish", ends[1], silent_after=1))
        c = hubs.enter_context(RunningHub([ends[0], ends[1], tracker.endpoint], silent_after=1))
        with Listener(a.endpoint) as at_a, Listener(c.endpoint) as at_c:
            wait_for(lambda: len(at_a.without_repeats("room")) > 20 and len(at_c.without_repeats("room")) > 20)
            for heard in (at_a, at_c):
                sequences = heard.without_repeats("room")
                assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
            wait_for(lambda: c.count("messages_duplicates_total") > 10)
            assert a.count("messages_duplicates_total") > 0
            for hub in (a, b, c):
                assert hub.count("messages_collisions_total") == 0
                assert not hub.said("another name")
            tracker.program.kill()
            for hub in (a, b, c):
                wait_for(lambda hub=hub: hub.count("streams") == 0)
        with Listener(a.endpoint) as at_a, Listener(b.endpoint) as at_b, Listener(c.endpoint) as at_c:
            at_a.hear(0.5)
            for heard in (at_a, at_b, at_c):
                assert not heard.hear().frames  # nobody brings it back to life for those who join
        for hub in (a, b, c):
            assert hub.count("streams") == 0


def test_keys_on_both_sides(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.allow("hub")
    for name in ("lights", "stranger"):
        keyring.make(name)
    listeners = tmp_path / "listeners"
    listeners.mkdir()
    shutil.copy(keyring.public("lights"), listeners)
    out = ["--server-key", str(keyring.secret("hub")), "--allow-clients", str(listeners)]
    listed = tmp_path / "trackers.txt"
    with Publisher(ANY_PORT, keys=keyring.server()) as tracker, Publisher(ANY_PORT) as open_one:
        listed.write_text(
            f"# the stage's\n{tracker.endpoint}  stage.key  # its own key\n{open_one.endpoint} stage.key\n"
        )
        tracker.set_status("room", "running")
        open_one.set_status("open", "running")
        with RunningHub([], "--from-file", str(listed), "--key", str(keyring.secret("hub")), *out) as hub:
            with Listener(hub.endpoint, keyring.client("lights", "hub")) as lights:
                wait_for(lambda: lights.statuses("room"))
                assert not lights.statuses("open")
            wait_for(lambda: hub.said(open_one.endpoint, "no keys"))
            all_keys = (None, keyring.client("stranger", "hub"), keyring.client("lights", "stage"))
            with ExitStack() as listening:
                strangers = [listening.enter_context(Listener(hub.endpoint, keys)) for keys in all_keys]
                wait_for(lambda: hub.count("refused_handshakes_total") >= 1)
                strangers[0].hear(0.5)
                assert not any(stranger.hear().frames for stranger in strangers)
        with RunningHub([tracker.endpoint]) as keyless:
            wait_for(lambda: keyless.said(tracker.endpoint, "asks for keys"))
            assert keyless.count("streams") == 0


def test_bad_subscribers_at_a_hub_harm_neither_others_nor_trackers() -> None:
    with Tracker("room") as tracker, RunningHub([tracker.endpoint]) as hub, Listener(hub.endpoint) as good:
        wait_for(lambda: good.estimates("room"))
        host, port = hub.endpoint.removeprefix("tcp://").split(":")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        flooder, sleeper = context.socket(zmq.XSUB), context.socket(zmq.SUB)
        sleeper.setsockopt(zmq.RCVHWM, 1)
        sleeper.subscribe("")
        for bad in (flooder, sleeper):
            bad.connect(hub.endpoint)
        with socket.create_connection((host, int(port))) as garbage:
            garbage.sendall(b"\x00" * 1000)
            for number in range(3000):
                flooder.send(b"\x01topic%d" % number)
            wait_for(lambda: hub.said("disconnected", "subscribed to more"))
            before = len(good.without_repeats("room"))
            wait_for(lambda: len(good.without_repeats("room")) > before + 10)
        context.destroy(linger=0)
        sequences = good.without_repeats("room")
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert hub.count("disconnected_floods_total") >= 1
        assert not tracker.said("disconnected")


def test_what_a_hostile_publisher_sends_is_refused_and_others_are_heard() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    hostile = context.socket(zmq.PUB)
    hostile.setsockopt(zmq.SNDHWM, 0)
    hostile.bind(ANY_PORT)
    endpoint = hostile.getsockopt_string(zmq.LAST_ENDPOINT)
    with Tracker("room") as tracker, RunningHub([tracker.endpoint, endpoint]) as hub, Listener(hub.endpoint) as heard:
        wait_for(lambda: heard.estimates("room") and hub.count("publishers_connected") == 2)
        good = (
            b'{"version": 1, "stream": "x", "sequence": 1, "time": 1.0, "state": "running", "dropped": 0, "reason": ""}'
        )
        wrong = [
            [b"emotion/room/"],
            [b"emotion/room/", b"\xff\x00", b"three"],
            [b"emotion/room/", b"[" * 5000],
            [b"status/x/", good.replace(b"1.0", b"1e999")],
            [b"status/y/", good],
            [b"status/../", good.replace(b'"x"', b'"../"')],
            [b"status/x/", good.replace(b'"version": 1', b'"version": 2')],
        ]

        def send_until_refused() -> bool:
            for frames in wrong:
                hostile.send_multipart(frames)
            return hub.count("messages_refused_total") >= len(wrong)

        wait_for(send_until_refused)
        hostile.send_multipart([b"status/x/", b" " * (1 << 17)])  # ends the connection, which comes back
        wait_for(lambda: hub.count("publishers_connected") == 1)
        wait_for(lambda: hub.count("publishers_connected") == 2)

        def flood() -> bool:
            for number in range(3000):
                hostile.send_multipart([b"status/x/", good.replace(b'"time": 1.0', b'"time": %d' % number)])
            return hub.count("messages_dropped_total") > 1000

        wait_for(flood)
        before = len(heard.without_repeats("room"))
        wait_for(lambda: len(heard.without_repeats("room")) > before + 10)
        sequences = heard.without_repeats("room")
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert {one.stream for one in heard.messages} == {"room", "x"}
        assert hub.said("refused a message", endpoint)
        assert len(hub.lines) < 12
    context.destroy(linger=0)


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, str]]]:
    """Give three hosts on a network of their own: names of namespaces, and addresses."""
    ip = shutil.which("ip")
    if sys.platform != "linux" or ip is None:
        pytest.skip("network namespaces are Linux's, and need iproute2")
    mark = f"mr{time.time_ns() % 10**6}{next(_networks)}"
    names = [f"{mark}-{number}" for number in range(3)]

    def run(*command: str) -> None:
        subprocess.run(["ip", *command], check=True, capture_output=True, text=True)

    made: list[str] = []
    try:
        try:
            for name in names:
                run("netns", "add", name)
                made.append(name)
                run("-n", name, "link", "set", "lo", "up")
            run("-n", names[0], "link", "add", "bridge", "type", "bridge")
            run("-n", names[0], "addr", "add", "10.99.0.1/24", "dev", "bridge")
            run("-n", names[0], "link", "set", "bridge", "up")
            for number, name in enumerate(names[1:], 2):
                port = f"port{number}"
                run("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", names[0])
                run("-n", names[0], "link", "set", port, "master", "bridge", "up")
                run("-n", name, "addr", "add", f"10.99.0.{number}/24", "dev", "eth0")
                run("-n", name, "link", "set", "eth0", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
        yield [(name, f"10.99.0.{number}") for number, name in enumerate(names, 1)]
    finally:
        for name in made:
            run("netns", "del", name)


def test_trackers_on_other_hosts_and_a_cable_that_is_pulled(hosts: list[tuple[str, str]]) -> None:
    (_, hub_address), (cut_off, address), (_, other_address) = hosts
    inside = [("ip", "netns", "exec", name) for name, _ in hosts]
    heard = "import sys; from streamer.subscriber import Subscriber\n" + (
        "for message in iter(Subscriber(sys.argv[1], timeout=60).receive, None): "
        "print(message.stream, type(message).__name__, file=sys.stderr, flush=True)"
    )
    with ExitStack() as running:
        near = running.enter_context(Tracker("near", f"tcp://{address}:5588", prefix=inside[1]))
        far = running.enter_context(Tracker("far", f"tcp://{other_address}:5588", prefix=inside[2]))
        where = ("--publish", f"tcp://{hub_address}:5588", "--insecure")
        hub = running.enter_context(RunningHub([near.endpoint, far.endpoint], *where, prefix=inside[0], silent_after=1))
        subscriber = running.enter_context(Process(*inside[2], sys.executable, "-c", heard, hub.endpoint))
        wait_for(lambda: subscriber.said("near", "Estimate") and subscriber.said("far", "Estimate"))
        subprocess.run(["ip", "-n", cut_off, "link", "set", "eth0", "down"], check=True)
        wait_for(lambda: hub.said('nothing comes of stream "near"'))
        seen = len(subscriber.lines)
        wait_for(lambda: any("far" in line for line in subscriber.lines[seen:]))
        assert not any("near" in line for line in subscriber.lines[seen:])
        subprocess.run(["ip", "-n", cut_off, "link", "set", "eth0", "up"], check=True)
        seen = len(subscriber.lines)
        wait_for(lambda: any("near" in line for line in subscriber.lines[seen:]))


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 129)], ids=lambda one: str(one)
)
def test_signals_end_a_hub_in_order(number: signal.Signals, status: int) -> None:
    with Publisher(ANY_PORT) as publisher, RunningHub([publisher.endpoint, "tcp://127.0.0.1:9"]) as hub:
        hub.program.send_signal(number)
        assert hub.program.wait(10) == status
        assert not hub.said("Traceback")


def test_a_hub_is_open_to_the_network_only_with_leave_and_its_failures_are_one_line() -> None:
    def fail(*arguments: str) -> str:
        command = [sys.executable, "-m", "streamer.start", "hub", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode != 0
        assert "Traceback" not in ended.stderr
        return ended.stderr.strip()

    everywhere = "tcp://0.0.0.0:0"
    assert not is_loopback(everywhere)
    assert "--insecure" in fail("--from", "tcp://127.0.0.1:5588", "--publish", everywhere)
    with Publisher(ANY_PORT) as taken:
        line = fail("--from", "tcp://127.0.0.1:1", "--publish", taken.endpoint)
        assert "already in use" in line
        assert len(line.splitlines()) == 1
    endpoints = [argument for number in range(1, 301) for argument in ("--from", f"tcp://127.0.0.1:{number}")]
    few = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400)); {_START}"
    ended = subprocess.run(
        [sys.executable, "-c", few, "hub", *endpoints, "--publish", ANY_PORT],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 1
    assert "ulimit -n" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
