"""The OSC bridge, as a process, with python-osc's server as the receiver."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("pythonosc", reason='needs python-osc: pip install "moodring[osc]"')

from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer

from streamer.bridges.running import LOOK_INTERVAL
from tests.streamer.bridged import bridged, estimate, free_port, status, until


class Received:
    """A server, and what it has got: the values of each address in order."""

    def __init__(self) -> None:
        self.values: dict[str, list[tuple[object, ...]]] = {}
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *values: self.values.setdefault(address, []).append(values))
        self.server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self.to = f"127.0.0.1:{self.server.server_address[1]}"

    def last(self, address: str) -> tuple[object, ...] | None:
        return self.values[address][-1] if address in self.values else None


@contextmanager
def receiving() -> Iterator[Received]:
    received = Received()
    thread = threading.Thread(target=received.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield received
    finally:
        received.server.shutdown()
        thread.join()
        received.server.server_close()


def test_estimates_come_by_osc_and_a_dead_tracker_and_the_end_are_told() -> None:
    with receiving() as received, bridged("osc", received.to) as bridge:
        until(lambda: received.last("/moodring/status") == ("dead",))
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        until(lambda: received.last("/moodring/arousal") == (-0.5,), lambda: received.values)
        assert received.last("/moodring/valence") == (0.25,)
        assert received.last("/moodring/mood/valence") == (0.25,)
        assert received.last("/moodring/loudness") == (-20.0,)
        until(lambda: received.last("/moodring/state") == ("tracking",))
        until(lambda: received.last("/moodring/status") == ("running",))
        colour = received.last("/moodring/colour")
        assert colour is not None
        assert len(colour) == 3
        bridge.publisher.publish(estimate(1, None))
        until(lambda: received.last("/moodring/state") == ("silence",))
        assert received.last("/moodring/valence") == (0.25,)
        until(lambda: received.last("/moodring/status") == ("dead",))  # 3 s without any message
        bridge.says("nothing comes of stream")
        bridge.publisher.publish(status(0, started=2e9))
        bridge.publisher.publish(estimate(0, (0.75, 0.0), clock=2e9))
        until(lambda: received.last("/moodring/valence") == (0.75,))
        assert received.last("/moodring/status") == ("running",)
        bridge.publisher.publish(status(1, "ended", started=2e9))
        bridge.says('stream "stage" has ended')
        until(lambda: received.last("/moodring/status") == ("dead",))
        bridge.publisher.publish(status(0, started=3e9))
        until(lambda: received.last("/moodring/status") == ("running",))
        assert bridge.end() == 0
        until(lambda: received.last("/moodring/status") == ("dead",))


def test_a_changed_mapping_is_taken_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[outputs.v]\nsource = "valence"\naddress = "/before"\n')
    with receiving() as received, bridged("osc", received.to, "--map", path) as bridge:
        bridge.connected()
        bridge.publisher.publish(estimate(0, (0.5, 0.5)))
        until(lambda: received.last("/before") == (0.5,))
        path.write_text('[outputs.v]\nsource = "valance"\naddress = "/after"\n')
        bridge.says("the old mapping stays: ")
        bridge.publisher.publish(estimate(1, (0.25, 0.5)))
        until(lambda: received.last("/before") == (0.25,))
        looked_again = time.monotonic() + 1.5 * LOOK_INTERVAL
        until(lambda: time.monotonic() > looked_again)
        assert sum("valance" in line for line in bridge.lines) == 1
        path.write_text(
            'rate = 100\n[outputs.v]\nsource = "valence"\naddress = "/after"\nattack = 0.1\nrelease = 0.1\n'
        )
        bridge.says("has changed: 1 outputs")
        bridge.publisher.publish(estimate(2, (1.0, 0.5)))
        until(lambda: received.last("/after") == (1.0,))
        between = [value for (value,) in received.values["/after"] if isinstance(value, float) and 0.25 < value < 1]
        assert len(between) > 10
        assert between == sorted(between)
        path.unlink()
        bridge.says("cannot be read: No such file")
        bridge.publisher.publish(estimate(3, (-1.0, 0.5)))
        until(lambda: received.last("/after") == (-1.0,))


def test_without_the_library_there_is_one_clear_line_that_names_the_extra() -> None:
    program = """
import sys
sys.modules["pythonosc"] = None
sys.argv = ["moodring", "bridge", "osc"]
from streamer.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.stderr == 'moodring: moodring bridge osc needs python-osc: pip install "moodring[osc]"\n'
    assert ended.returncode == 1


def test_when_nobody_listens_it_says_so_once_and_goes_on() -> None:
    with bridged("osc", f"127.0.0.1:{free_port()}") as bridge:
        bridge.connected()
        for sequence in range(5):
            bridge.publisher.publish(estimate(sequence, (0.5, 0.5)))
        bridge.says("nobody listens at 127.0.0.1")
        assert bridge.process.poll() is None
        assert bridge.end() == 0
        assert sum("nobody listens" in line for line in bridge.lines) == 1


@pytest.mark.parametrize(
    "to", ["nonsense", "127.0.0.1:0", "127.0.0.1:70000", ":9000", "::1:9000", "no.such.host.invalid:9"]
)
def test_a_wrong_address_is_one_clear_line(to: str) -> None:
    with bridged("osc", to) as bridge:
        bridge.says(f'moodring: --to "{to}"')
        assert bridge.process.wait(20) == 1
        assert len(bridge.lines) == 1
