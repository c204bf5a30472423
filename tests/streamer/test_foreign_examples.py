"""The examples for other programs: each run for real where its runtime is installed, and checked as far as it can be
where not."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamer.bridges.destinations import KINDS
from streamer.bridges.mapping_file import load_mapping
from streamer.bridges.palettes import PALETTES
from streamer.publisher import Publisher
from tests.conftest import REPOSITORY
from tests.streamer.bridged import bridged, estimate, free_port, status, until

EXAMPLES = REPOSITORY / "scripts" / "examples"
QLC_NAMESPACE = {"": "http://www.qlcplus.org/Workspace"}
QLC_OSC_PORT = 7700
UNITY_STAND_INS = """
using System;
namespace UnityEngine {
    public class MonoBehaviour {}
    public class TooltipAttribute : Attribute { public TooltipAttribute(string text) {} }
    public static class JsonUtility { public static T FromJson<T>(string json) { return default(T); } }
    public static class Time {
        public static float realtimeSinceStartup { get; set; }
        public static float deltaTime { get; set; }
    }
    public static class Mathf { public static float Exp(float power) { return 0; } }
}
namespace AsyncIO { public static class ForceDotNet { public static void Force() {} } }
namespace NetMQ {
    public class NetMQFrame { public string ConvertToString() { return ""; } }
    public class NetMQMessage {
        public int FrameCount { get { return 0; } }
        public NetMQFrame this[int index] { get { return null; } }
    }
    public static class NetMQConfig { public static void Cleanup(bool block = true) {} }
    public interface IReceivingSocket {}
    public static class ReceivingSocketExtensions {
        public static bool TryReceiveMultipartMessage(
            this IReceivingSocket socket, TimeSpan timeout, ref NetMQMessage message, int expectedFrameCount = 4
        ) { return false; }
    }
}
namespace NetMQ.Sockets {
    public class SubscriberSocket : IReceivingSocket, IDisposable {
        public void Connect(string address) {}
        public void Subscribe(string topic) {}
        public void Dispose() {}
    }
}
"""
"""The names of Unity and NetMQ that the example uses, with their types: enough to compile it, not to run it."""


def crc16(address: str) -> int:
    """Compute the CRC-16/X-25, which is what QLC+ numbers OSC addresses by."""
    remainder = 0xFFFF
    for byte in address.encode():
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ 0x8408 if remainder & 1 else remainder >> 1
    return remainder ^ 0xFFFF


@contextmanager
def running(*command: object, environment: dict[str, str] | None = None) -> Iterator[Callable[[str], None]]:
    """Start a program; give a function that waits for a line of its output."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            said.extend(line.rstrip("\n") for line in iter(process.stdout.readline, ""))

    reader = threading.Thread(target=read)
    reader.start()

    def wait_for(line: str) -> None:
        until(lambda: line in said, lambda: (line, said))
        del said[: said.index(line) + 1]

    try:
        yield wait_for
    finally:
        process.kill()
        process.wait()
        reader.join()


def test_the_table_of_osc_addresses_is_what_the_bridge_sends() -> None:
    pytest.importorskip("pythonosc", reason='needs python-osc: pip install "moodring[osc]"')
    from tests.streamer.test_bridge_osc import receiving

    with (EXAMPLES / "osc_addresses.tsv").open(newline="") as file:
        rows = {row["address"]: row for row in csv.DictReader(file, delimiter="\t")}
    with receiving() as received, bridged("osc", received.to) as bridge:
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        until(lambda: received.last("/moodring/arousal") == (-0.5,), lambda: received.values)
        until(lambda: received.last("/moodring/status") == ("running",), lambda: received.values)
        assert set(received.values) == set(rows)
        for address, row in rows.items():
            values = received.last(address)
            assert values is not None
            assert "".join("s" if isinstance(value, str) else "f" for value in values) == row["types"]
            if row["types"] == "s":
                assert str(values[0]) in row["meaning"].replace(",", " ").split()
            else:
                assert all(float(row["from"]) <= float(str(value)) <= float(row["to"]) for value in values)


def test_the_sliders_of_the_qlc_workspace_listen_to_what_its_mapping_sends() -> None:
    mapping = load_mapping(EXAMPLES / "qlcplus.toml", KINDS["osc"])
    workspace = ElementTree.parse(EXAMPLES / "qlcplus.qxw").getroot()
    inputs = {int(one.attrib["Channel"]) for one in workspace.iterfind(".//Slider/Input", QLC_NAMESPACE)}
    addresses = {output.destination.describe(1) for output in mapping.outputs}
    assert "/moodring/colour" in addresses
    addresses = addresses - {"/moodring/colour"} | {f"/moodring/colour_{i}" for i in range(3)}
    assert inputs == {crc16(address) for address in addresses}


def test_qlc_plus_moves_the_sliders_and_the_lights(tmp_path: Path) -> None:
    qlc = shutil.which("qlcplus")
    if qlc is None:
        pytest.skip("QLC+ is not installed: apt-get install qlcplus")
    from websockets.sync.client import connect

    colour = [round(255 * part) for part in PALETTES["dusk"].colour(0.5, 0.5)]
    web = free_port(socket.SOCK_STREAM)
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    command = [qlc, "--web", "--web-port", web, "--operate", "--open", EXAMPLES / "qlcplus.qxw"]
    mapping = ("--map", EXAMPLES / "qlcplus.toml")
    with running(*command, environment={**os.environ, **home}):
        until(lambda: is_listening(web))
        with (
            connect(f"ws://127.0.0.1:{web}/qlcplusWS") as qlc_plus,
            bridged("osc", f"127.0.0.1:{QLC_OSC_PORT}", *mapping) as bridge,
        ):

            def channels() -> list[int]:
                qlc_plus.send("QLC+API|getChannelsValues|1|1|6")
                fields = str(qlc_plus.recv(timeout=10)).split("|")
                return [int(value) for value in fields[3::3]]

            def near(*expected: int) -> bool:
                return all(abs(a - b) <= 2 for a, b in zip(channels(), expected, strict=True))

            bridge.connected()
            bridge.publisher.publish(status(0))
            bridge.publisher.publish(estimate(0, (0.5, 0.5)))
            until(lambda: near(*colour, 255, 255, 191), channels)
            bridge.publisher.publish(estimate(1, None))
            until(lambda: near(0x40, 0x30, 0x1C, 0, 0, 0), channels)
            assert bridge.end() == 0


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_godot_3_hears_the_websocket_bridge_and_finds_it_again(tmp_path: Path) -> None:
    pytest.importorskip("websockets", reason='needs websockets: pip install "moodring[websocket]"')
    godot = shutil.which("godot3-server")
    if godot is None:
        pytest.skip("Godot 3 is not installed: apt-get install godot3-server")
    to = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    shutil.copy(EXAMPLES / "moodring_godot3.gd", tmp_path)
    (tmp_path / "project.godot").write_text('config_version=4\n[application]\nrun/main_scene="res://main.tscn"\n')
    (tmp_path / "main.tscn").write_text(
        "[gd_scene load_steps=3 format=2]\n"
        '[ext_resource path="res://main.gd" type="Script" id=1]\n'
        '[ext_resource path="res://moodring_godot3.gd" type="Script" id=2]\n'
        '[node name="Main" type="Node"]\nscript = ExtResource( 1 )\n'
        '[node name="Moodring" type="Node" parent="."]\nscript = ExtResource( 2 )\n'
        f'url = "ws://{to}"\n'
    )
    (tmp_path / "main.gd").write_text(
        "extends Node\n"
        "func _ready():\n"
        '\t$Moodring.connect("mood_changed", self, "_on_mood_changed")\n'
        '\t$Moodring.connect("state_changed", self, "_on_state_changed")\n'
        '\tprint("ready")\n'
        "func _on_mood_changed(valence, arousal, colour):\n"
        '\tprint("%.2f %.2f %s" % [valence, arousal, colour.to_html(false)])\n'
        "func _on_state_changed(state):\n"
        "\tprint(state)\n"
    )
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with running(godot, "--path", tmp_path, environment={**os.environ, **home}) as wait_for:
        wait_for("ready")
        for sequence in range(2):
            with bridged("websocket", to) as bridge:
                bridge.connected()
                bridge.publisher.publish(status(sequence))
                bridge.publisher.publish(estimate(sequence, (0.5, -0.25)))
                wait_for("tracking")
                colour = "".join(f"{round(255 * part):02x}" for part in PALETTES["vivid"].colour(0.5, -0.25))
                wait_for(f"0.50 -0.25 {colour}")
                bridge.publisher.publish(estimate(sequence + 1, None))
                wait_for("silence")
                assert bridge.end() == 0
            wait_for("dead")


def test_node_subscribes_to_the_publisher_itself(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not installed")
    root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True, check=True).stdout.strip()
    if not (Path(root) / "zeromq").exists():
        pytest.skip("the package zeromq is not installed: npm install --global zeromq")
    (tmp_path / "node_modules").symlink_to(root)
    program = shutil.copy(EXAMPLES / "zeromq_subscriber.mjs", tmp_path)
    with Publisher("tcp://127.0.0.1:*") as publisher, running(node, program, publisher.endpoint) as wait_for:
        publisher.publish(estimate(0, (0.25, -0.5)))
        wait_for("stage: valence 0.25, arousal -0.50, tracking")
        publisher.publish(estimate(1, None))
        wait_for("stage: silence")
        publisher.set_status("stage", "failed", 0.0, "the device is away")
        wait_for("stage: failed the device is away")
        publisher.close()
        wait_for("no tracker")


def test_the_component_for_unity_is_valid_c_sharp(tmp_path: Path) -> None:
    compiler = shutil.which("mcs")
    if compiler is None:
        pytest.skip("no C# compiler is installed: apt-get install mono-mcs")
    stand_ins = tmp_path / "StandIns.cs"
    stand_ins.write_text(UNITY_STAND_INS)
    program = EXAMPLES / "MoodringSubscriber.cs"
    compiled = subprocess.run(
        [compiler, "-target:library", f"-out:{tmp_path / 'example.dll'}", "-warnaserror", stand_ins, program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
