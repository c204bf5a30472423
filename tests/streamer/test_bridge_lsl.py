"""The Lab Streaming Layer bridge, as a process, with the library's inlet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pylsl", reason='needs pylsl: pip install "moodring[lsl]"')

from tests.streamer.bridged import bridged, estimate, status, until

READER = """
import sys
import pylsl

found = pylsl.resolve_byprop("name", sys.argv[1], timeout=20)
inlet = pylsl.StreamInlet(found[0])
channel = inlet.info(20).desc().child("channels").first_child()
labels = []
while not channel.empty():
    labels.append(channel.child_value("label"))
    channel = channel.next_sibling()
print(*labels, flush=True)
inlet.open_stream(20)
print("open", flush=True)
while True:
    sample, time = inlet.pull_sample(timeout=20)
    print(*(f"{number:g}" for number in sample), flush=True)
"""


@pytest.fixture(autouse=True)
def _on_this_machine_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "lsl.cfg"
    configuration.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n")
    monkeypatch.setenv("LSLAPICFG", str(configuration))


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Iterator[str]]:
    command = [sys.executable, "-c", READER, tmp_path.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as reader:
        assert reader.stdout is not None
        yield (line.strip() for line in reader.stdout)
        reader.kill()


def test_estimates_come_to_an_inlet_with_a_label_for_each_channel(lines: Iterator[str], tmp_path: Path) -> None:
    with bridged("lsl", tmp_path.name, "--insecure") as bridge:
        bridge.connected()
        labels = "valence arousal valence_std arousal_std mood_valence mood_arousal loudness music"
        assert next(lines) == labels
        assert next(lines) == "open"
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        assert next(line for line in lines if line.startswith("0.25 ")) == "0.25 -0.5 0.2 0.2 0.25 -0.25 -20 1"
        bridge.publisher.publish(estimate(1, None))
        assert next(line for line in lines if line.endswith(" 0")) == "0.25 -0.5 0.2 0.2 0.25 -0.25 -70 0"
        assert bridge.end() == 0


def test_a_colour_is_a_channel_for_each_part(lines: Iterator[str], tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[outputs.light]\nsource = "mood"\n[outputs.name]\nsource = "valence"\nkey = "v"\n')
    with bridged("lsl", tmp_path.name, "--insecure", "--map", path):
        assert next(lines) == "light.r light.g light.b v"


def test_it_is_open_to_the_network_only_when_that_is_meant() -> None:
    with bridged("lsl", "moodring") as bridge:
        until(lambda: bridge.process.poll() is not None)
        assert bridge.process.returncode == 1
        bridge.says("give --insecure")
