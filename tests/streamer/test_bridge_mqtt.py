"""The MQTT bridge, as a process, with mosquitto as the broker."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("paho.mqtt", reason='needs paho-mqtt: pip install "moodring[mqtt]"')

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.streamer.bridged import Bridged, bridged, estimate, free_port, status, until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


@contextmanager
def broker(port: int, folder: Path) -> Iterator[None]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed; scripts/test installs it")
    configuration = folder / "mosquitto.conf"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    folder.chmod(0o755)
    server = subprocess.Popen([MOSQUITTO, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port) or server.poll() is not None)
        assert server.poll() is None
        yield
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Listener:
    """Who comes later, and hears everything."""

    def __init__(self, port: int) -> None:
        self.payloads: dict[str, list[str]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *others: client.subscribe("moodring/#")
        self._client.on_message = lambda client, data, message: self.payloads.setdefault(message.topic, []).append(
            message.payload.decode()
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def last(self, topic: str) -> str:
        return self.payloads.get(f"moodring/{topic}", [""])[-1]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_estimates_come_to_who_is_there_and_who_comes_later_and_a_broker_may_go_away(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    with bridged_with_broker(port, tmp_path) as (bridge, closing):
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        bridge.says("music")
        late = Listener(port)
        try:
            until(lambda: late.last("valence") == "0.25" and late.last("arousal") == "-0.5", lambda: late.payloads)
            until(lambda: late.last("status") == "running" and late.last("available") == "online")
            colour = json.loads(late.last("colour"))
            assert len(colour) == 3
            bridge.publisher.publish(estimate(1, (0.5, 0.5)))
            until(lambda: late.last("valence") == "0.5")
        finally:
            late.close()
        closing.close()
        bridge.says("has gone; waiting for it")
        with broker(port, tmp_path):
            again = Listener(port)
            try:
                until(lambda: again.last("available") == "online" and again.last("valence") == "0.5")
                assert bridge.end() == 0
                until(lambda: again.last("available") == "offline" and again.last("status") == "dead")
            finally:
                again.close()


@contextmanager
def bridged_with_broker(port: int, folder: Path) -> Iterator[tuple[Bridged, ExitStack]]:
    with ExitStack() as closing:
        closing.enter_context(broker(port, folder))
        with bridged("mqtt", f"127.0.0.1:{port}") as bridge:
            yield bridge, closing


def test_a_bridge_that_is_killed_is_offline_by_its_last_will(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_STREAM)
    with broker(port, tmp_path), bridged("mqtt", f"127.0.0.1:{port}") as bridge:
        listener = Listener(port)
        try:
            until(lambda: listener.last("available") == "online")
            bridge.process.kill()
            until(lambda: listener.last("available") == "offline")
        finally:
            listener.close()


def test_without_a_broker_there_is_one_clear_line() -> None:
    with bridged("mqtt", f"127.0.0.1:{free_port(socket.SOCK_STREAM)}") as bridge:
        bridge.says("no MQTT broker can be reached there: Connection refused")
        assert bridge.process.wait(20) == 1
        assert len(bridge.lines) == 1
