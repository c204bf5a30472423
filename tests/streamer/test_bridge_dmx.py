"""The sACN and Art-Net bridges, as processes, with the Open Lighting Architecture as the receiver."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("sacn", reason='needs sacn: pip install "moodring[sacn]"')
pytest.importorskip("stupidArtnet", reason='needs stupidArtnet: pip install "moodring[artnet]"')

from tests.streamer.bridged import bridged, estimate, free_port, status, until

UNIVERSES = {"sacn": 1, "artnet": 2}
PORTS = {"sacn": 5568, "artnet": 6454}
PLUGINS = (
    "dummy espnet ftdidmx gpio karate kinet milinst nanoleaf opendmx openpixelcontrol osc pathport renard sandnet "
    "shownet spi stageprofi uartdmx usbdmx usbpro usbserial"
)
MAPPING = """
rate = 40
[outputs.light]
source = "emotion"
universe = {universe}
channel = 1
[outputs.pan]
source = "valence"
universe = {universe}
channel = 511
bits = 16
[outputs.strobe]
source = "arousal"
on = 0.5
to = [7, 200]
universe = {universe}
channel = 20
[outputs.slow]
source = "arousal"
universe = {universe}
channel = 30
attack = 0.2
release = 0.2
[scenes.silent]
outputs = {{ light = "#0000ff" }}
[scenes.dead]
fade = 0.2
outputs = {{ light = "#ff0000", pan = 0, strobe = 0, slow = 40 }}
[scenes.end]
fade = 0.2
outputs = {{ light = "#000000", pan = 0, strobe = 3, slow = 0 }}
"""


class Desk:
    """The running server."""

    def __init__(self, page: str) -> None:
        self._page = page

    def channels(self, kind: str) -> list[int]:
        """Read what has arrived in a bridge's universe."""
        with urllib.request.urlopen(f"{self._page}/get_dmx?u={UNIVERSES[kind]}", timeout=10) as answer:
            read: list[int] = json.load(answer)["dmx"]
        return [*read, *[0] * (512 - len(read))]


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    if shutil.which("olad") is None or shutil.which("ola_patch") is None:
        pytest.skip("ola is not installed; scripts/test installs it")
    for port in PORTS.values():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                pytest.skip(f"something else listens on UDP port {port}")
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as page:
        until(lambda: "E1.31" in devices() and "ArtNet" in devices(), devices)
        for kind, name in (("sacn", "E1.31"), ("artnet", "ArtNet")):
            found = re.search(rf"Device (\d+): {re.escape(name)}", devices())
            assert found is not None
            universe = UNIVERSES[kind]
            subprocess.run(["ola_patch", "-d", found[1], "-p", "0", "-i", "-u", str(universe)], check=True, timeout=20)
        yield Desk(page)


@contextmanager
def started(folder: Path) -> Iterator[str]:
    for plugin in PLUGINS.split():
        (folder / f"ola-{plugin}.conf").write_text("enabled = false\n")
    for plugin in ("e131", "artnet"):
        (folder / f"ola-{plugin}.conf").write_text("enabled = true\nip = 127.0.0.1\n")
    http = free_port(socket.SOCK_STREAM)
    command = ["olad", "--no-register-with-dns-sd", "--config-dir", str(folder), "-i", "127.0.0.1", "-l", "1"]
    if os.geteuid() == 0:  # which it refuses
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "olad")
        command = ["setpriv", "--reuid=olad", "--regid=nogroup", "--clear-groups", *command]
    server = subprocess.Popen([*command, "-p", str(http)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    page = f"http://127.0.0.1:{http}"
    try:
        until(lambda: server.poll() is not None or answers(page))
        if server.poll() is not None:
            pytest.skip("ola is installed, but does not start here")
        yield page
    finally:
        server.terminate()
        server.wait(10)


def answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(f"{page}/json/server_stats", timeout=10):
            return True
    except (urllib.error.URLError, OSError):
        return False


def devices() -> str:
    return subprocess.run(["ola_dev_info"], capture_output=True, text=True, check=False, timeout=20).stdout


@pytest.mark.parametrize("kind", UNIVERSES)
def test_what_the_mapping_says_arrives_at_the_lights(kind: str, desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "lights.toml"
    path.write_text(MAPPING.format(universe=UNIVERSES[kind]))

    def shows(expected: Callable[[list[int]], bool]) -> None:
        until(lambda: expected(desk.channels(kind)), lambda: desk.channels(kind))

    with bridged(kind, f"127.0.0.1:{PORTS[kind]}", "--map", path) as bridge:
        shows(lambda dmx: dmx[0:3] == [255, 0, 0] and dmx[29] == 40)  # no tracker yet
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.0, 1.0)))
        shows(lambda dmx: dmx[510] * 256 + dmx[511] == 32768)
        shows(lambda dmx: dmx[19] == 200 and dmx[29] == 255)  # red, of full brightness, without blue
        assert desk.channels(kind)[0] == 255
        assert desk.channels(kind)[3:19] == [0] * 16
        bridge.publisher.publish(estimate(1, None))
        shows(lambda dmx: dmx[0:3] == [0, 0, 255] and dmx[19] == 200)
        assert bridge.end() == 0
        shows(lambda dmx: dmx[0:3] == [0, 0, 0] and dmx[19] == 3)  # the last scene stays


def test_a_dead_tracker_a_new_run_and_a_changed_mapping_show_at_the_lights(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "lights.toml"
    path.write_text(MAPPING.format(universe=UNIVERSES["sacn"]))

    def shows(expected: Callable[[list[int]], bool]) -> None:
        until(lambda: expected(desk.channels("sacn")), lambda: desk.channels("sacn"))

    with bridged("sacn", f"127.0.0.1:{PORTS['sacn']}", "--map", path) as bridge:
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (1.0, 1.0)))
        shows(lambda dmx: dmx[510:512] == [255, 255])
        shows(lambda dmx: dmx[0:3] == [255, 0, 0] and dmx[510:512] == [0, 0] and dmx[29] == 40)  # dead after 3 s
        bridge.publisher.publish(status(0, started=2e9))
        bridge.publisher.publish(estimate(0, (-1.0, -1.0), clock=2e9))
        shows(lambda dmx: dmx[19] == 7 and dmx[29] == 0)  # the new run goes on
        path.write_text(path.read_text().replace("channel = 20", "channel = 600"))
        bridge.says("outputs.strobe.channel = 600 is not valid; give a whole number from 1 to 512")
        path.write_text(path.read_text().replace("channel = 600", "channel = 21"))
        bridge.says("has changed")
        shows(lambda dmx: dmx[20] == 7 and dmx[19] == 0)
        bridge.process.kill()
        bridge.process.wait()


def test_frames_come_at_a_steady_rate_and_at_once_when_an_estimate_changes_them(tmp_path: Path) -> None:
    path = tmp_path / "lights.toml"
    path.write_text('rate = 1\n[outputs.v]\nsource = "valence"\nuniverse = 7\nchannel = 1\n')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with bridged("sacn", f"127.0.0.1:{receiver.getsockname()[1]}", "--map", path) as bridge:
            bridge.connected()
            before = receiver.recv(1000)
            assert before[4:16] == b"ASC-E1.17\x00\x00\x00"  # ANSI E1.31, table 5-1
            assert (int.from_bytes(before[113:115], "big"), before[108], before[125], len(before)) == (7, 100, 0, 638)
            sequences = [receiver.recv(1000)[111] for _ in range(3)]
            assert [(b - a) % 256 for a, b in itertools.pairwise(sequences)] == [1, 1]
            bridge.publisher.publish(estimate(0, (1.0, 0.0)))
            published = time.monotonic()
            until(lambda: receiver.recv(1000)[126] == 255)
            assert time.monotonic() - published < 0.6  # the next one of the steady rate would come after 1 s
            bridge.end()
            last = [receiver.recv(1000)]
            while not last[-1][112] & 0x40:  # the bit that says that the universe has ended
                last.append(receiver.recv(1000))
            assert [receiver.recv(1000)[112] & 0x40 for _ in range(2)] == [0x40, 0x40]


@pytest.mark.parametrize("kind", UNIVERSES)
def test_a_wrong_address_is_one_clear_line(kind: str) -> None:
    with bridged(kind, "127.0.0.1") as bridge:
        bridge.says('moodring: --to "127.0.0.1" is not valid; give HOST:PORT')
        assert bridge.process.wait(20) == 1
