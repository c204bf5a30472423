"""The WebSocket bridge, as a process, with the library's client, and with Node.js and Chromium where they are
installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("websockets", reason='needs websockets: pip install "moodring[websocket]"')

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from streamer.bridges.palettes import PALETTES
from tests.conftest import REPOSITORY
from tests.streamer.bridged import Bridged, bridged, estimate, free_port, status, until

OPEN = """address => new Promise(tell => {
    const socket = new WebSocket(address);
    socket.onopen = () => tell("open");
    socket.onerror = () => tell("refused");
})"""


def address() -> str:
    return f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"


def read_until(connection: ClientConnection, key: str, value: object) -> dict[str, Any]:
    while True:
        told: dict[str, Any] = json.loads(connection.recv(timeout=20))
        if told.get(key) == value:
            return told


def feed(bridge: Bridged) -> None:
    bridge.says("websocket:")
    bridge.connected()
    bridge.publisher.publish(status(0))
    bridge.publisher.publish(estimate(0, (0.25, -0.5)))
    bridge.says("music")


def test_who_connects_gets_what_is_and_what_comes_and_a_goodbye() -> None:
    with bridged("websocket", to := address()) as bridge:
        feed(bridge)
        with connect(f"ws://{to}") as first, connect(f"ws://{to}") as second:
            for connection in (first, second):
                told = read_until(connection, "valence", 0.25)
                assert (told["arousal"], told["stream"], told["state"]) == (-0.5, "stage", "tracking")
                assert len(told["colour"]) == 3
            first.close()
            bridge.publisher.publish(estimate(1, (-1.0, 1.0)))
            assert read_until(second, "valence", -1.0)["arousal"] == 1.0
            assert read_until(second, "status", "dead")["valence"] == -1.0  # after 3 s
            assert bridge.end() == 0
            with pytest.raises(ConnectionClosed):
                read_until(second, "status", "never")


def test_pages_of_other_origins_are_refused_unless_they_are_allowed() -> None:
    with bridged("websocket", to := address(), "--allow-origin", "https://stage.example") as bridge:
        feed(bridge)
        allowed = ("http://localhost:8000", "http://127.0.0.1", "http://[::1]:3000", "https://stage.example")
        for origin in (None, *allowed):
            with connect(f"ws://{to}", origin=None if origin is None else Origin(origin)) as connection:
                assert read_until(connection, "valence", 0.25)
        foreign = ("https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null")
        for origin in foreign:
            with pytest.raises(InvalidStatus, match="403"):
                connect(f"ws://{to}", origin=Origin(origin))


def test_who_does_not_read_is_disconnected_and_the_others_are_not() -> None:
    with bridged("websocket", to := address()) as bridge:
        feed(bridge)
        host, _, port = to.partition(":")
        with socket.socket() as idle, connect(f"ws://{to}") as reader:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.connect((host, int(port)))
            idle.sendall(
                f"GET / HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert b"101" in idle.recv(20)
            sequence = 0

            def gone() -> bool:
                nonlocal sequence
                for _ in range(50):
                    sequence += 1
                    bridge.publisher.publish(estimate(sequence, (0.0, 0.5 if sequence % 2 else -0.5)))
                read_until(reader, "arousal", 0.5)
                try:
                    idle.send(b"\x8a\x80\x00\x00\x00\x00")  # an empty pong: fails once the server has hung up
                except OSError:
                    return True
                return False

            until(gone, lambda: sequence)
            bridge.publisher.publish(estimate(sequence + 1, (0.75, 0.0)))
            read_until(reader, "valence", 0.75)


def test_a_port_that_is_taken_and_one_that_is_open_to_others_are_one_clear_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        bridged("websocket", f"127.0.0.1:{taken.getsockname()[1]}") as bridge,
    ):
        bridge.says("cannot listen there")
        assert bridge.process.wait(20) == 1
        assert len(bridge.lines) == 1
    with bridged("websocket", "0.0.0.0:5590") as bridge:
        bridge.says("is open to the network, unencrypted; give --insecure")
        assert bridge.process.wait(20) == 1


def test_the_example_page_shows_from_a_disk_what_comes_and_that_nothing_comes(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    page_file = REPOSITORY / "scripts" / "examples" / "stage_colour.html"
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.set_default_timeout(20_000)

            def says(words: str) -> None:
                page.get_by_role("status").get_by_text(words, exact=True).wait_for()

            to = address()
            missing = f"no bridge at ws://{to} that lets this page in; trying again"
            page.goto(f"{page_file.as_uri()}?ws://{to}")
            says(missing)
            with bridged("websocket", to) as bridge:
                bridge.says("11 outputs")
                # its origin is "null", as that of any page that hides its own
                assert page.evaluate(OPEN, f"ws://{to}") == "refused"
            with bridged("websocket", to, "--allow-origin", "null") as bridge:
                bridge.connected()
                says("no tracker")
                bridge.publisher.publish(status(0))
                says("listening …")
                bridge.publisher.publish(estimate(0, (0.5, 0.5)))
                says("stage: music")
                assert page.get_by_text("valence 0.50, arousal 0.50").is_visible()
                red, green, blue = (round(255 * part) for part in PALETTES["vivid"].colour(0.5, 0.5))
                page.wait_for_function(
                    f"getComputedStyle(document.body).backgroundColor === 'rgb({red}, {green}, {blue})'"
                )
                bridge.publisher.publish(estimate(1, None))
                says("stage: silence")
                says("no tracker")  # after 3 s
                assert bridge.end() == 0
            says(missing)
            with bridged("websocket", to, "--allow-origin", "null") as bridge:
                feed(bridge)
                says("stage: music")
            assert not errors
        finally:
            browser.close()


def test_the_example_for_node_prints_what_comes() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, "--experimental-websocket"]  # which 20 needs, and 22 does not mind
    found = subprocess.run([*command, "-p", "typeof WebSocket"], capture_output=True, text=True, check=False).stdout
    if found.strip() != "function":
        pytest.skip("this node has no WebSocket of its own; 22 has")
    program = REPOSITORY / "scripts" / "examples" / "websocket_subscriber.mjs"
    with bridged("websocket", to := address()) as bridge:
        feed(bridge)
        running = subprocess.Popen([*command, program, f"ws://{to}"], stdout=subprocess.PIPE, text=True)
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "stage: valence 0.25, arousal -0.50, tracking\n"
            bridge.publisher.publish(estimate(1, (0.5, 0.5)))
            assert running.stdout.readline() == "stage: valence 0.50, arousal 0.50, tracking\n"
        finally:
            running.kill()
            running.communicate()
