"""``moodring doctor``: with a virtual sound card, without any, and on machines on which something is wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from scripts.benchmarks.sound_server import SoundServer
from streamer.doctor import devices, level, packages
from streamer.doctor.devices import judge, look_at_devices, loopback_hint
from streamer.doctor.level import Level, level_of
from streamer.doctor.packages import EXTRAS, install_command, look_at_extras
from streamer.doctor.ports import look_at_ports
from streamer.microphone import InputDevice, input_devices
from streamer.publisher import Publisher
from streamer.source import SourceError
from tests.conftest import Outcome
from tests.streamer.bridged import free_port, until
from tests.streamer.dashboards import dashboard
from tests.streamer.keyring import Keyring

MOODRING = [sys.executable, "-m", "streamer.cli"]
NOWHERE = {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}
RATE = 22050
MICROPHONE = InputDevice("USB Audio", "ALSA", 1, 48000, True, 0)


def doctor(environment: dict[str, str], *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run it; give its exit status and its findings by subject."""
    ended = subprocess.run(
        [*MOODRING, "doctor", "--json", *options], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    told = json.loads(ended.stdout)
    assert told["works"] == (ended.returncode == 0)
    return ended.returncode, {finding["subject"]: finding for finding in told["findings"]}


def test_each_device_is_listened_to_and_what_is_muted_is_named(sound_card: SoundServer, tmp_path: Path) -> None:
    times = np.arange(60 * RATE) / RATE
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(2 * np.pi * 440 * times), RATE)
    sound_card.pactl("set-source-mute", "desk", "1")
    player = subprocess.Popen(["paplay", "--device=stage_sink", tmp_path / "tone.wav"], env=sound_card.environment)
    try:
        until(lambda: sound_card.pactl("list", "short", "sink-inputs"))
        status, findings = doctor(sound_card.environment)
        shown = subprocess.run(
            [*MOODRING, "doctor", "--device", "stage"],
            env=sound_card.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        player.kill()
        player.wait()
    assert status == 0
    stage, desk = findings["stage (ALSA)"], findings["desk (ALSA)"]
    assert stage["verdict"] == "ok"
    assert stage["details"]["peak"] == pytest.approx(-20, abs=0.5)
    assert stage["details"]["rms"] == pytest.approx(-23, abs=0.5)
    assert (desk["verdict"], desk["details"]["zeros"]) == ("warning", True)
    assert "only exact zeros" in desk["text"]
    muted = [one for one in findings.values() if one["details"].get("muted")]
    assert [one["remedy"] for one in muted] == ["pactl set-source-mute desk 0"]
    assert (
        "PULSE_SOURCE=stage_sink.monitor moodring listen --device pulse"
        in findings["what this computer plays"]["remedy"]
    )
    assert findings["PortAudio"]["details"]["version"].startswith("PortAudio")
    assert findings["ZeroMQ"]["details"]["curve"] is True
    (model,) = [finding["details"] for subject, finding in findings.items() if subject.startswith("model ")]
    assert 0 < model["frame"] <= model["longest_frame"]
    assert model["budget"] == 0.5
    assert {"moodring", "soundfile", "onnxruntime", "messages", "port 5588", "port 8765"} <= set(findings)

    assert "  ok       stage (ALSA): [################|-------] rms -23 dBFS, peak -20 dBFS\n" in shown, shown
    assert "desk (ALSA)" not in shown
    assert "moodring can track music here" in shown


def test_no_device_is_no_failure_but_a_named_one_that_is_not_there_is() -> None:
    status, findings = doctor(NOWHERE)
    assert (status, findings["devices"]["verdict"]) == (0, "warning")
    assert findings["devices"]["text"] == "there is no input device"
    assert "files and pipes can be tracked" in findings["devices"]["remedy"]
    status, findings = doctor(NOWHERE, "--device", "USB")
    assert (status, findings["devices"]["verdict"]) == (1, "failure")


def test_without_portaudio_its_package_is_named(tmp_path: Path) -> None:
    # what the library's own module does without it
    (tmp_path / "sounddevice.py").write_text('raise OSError("PortAudio library not found")\n')
    status, findings = doctor({**NOWHERE, "PYTHONPATH": str(tmp_path)})
    assert (status, findings["devices"]["verdict"]) == (0, "warning")
    assert "apt-get install libportaudio2" in findings["devices"]["text"]


def test_a_package_that_is_broken_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "soxr.py").write_text('raise ImportError("libsoxr.so.0: cannot open shared object file")\n')
    ended = subprocess.run(
        [*MOODRING, "doctor"], env={**NOWHERE, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "  FAILURE  soxr: cannot be imported, and brings audio to the model's rate: libsoxr.so.0" in ended.stdout
    assert "moodring cannot track music here: see FAILURE above" in ended.stdout
    assert ended.stderr == ""


def test_a_model_that_cannot_be_used_is_a_failure(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    outcome = moodring("doctor", "--model", tmp_path / "broken.onnx", "--device", "none")
    assert outcome.status == 1
    assert "FAILURE  tracking: " in outcome.output
    assert "broken.onnx" in outcome.output
    assert "port 5588" in outcome.output  # the rest is looked at nevertheless


def test_a_sound_system_that_hangs_does_not_hang_the_doctor(
    sound_card: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "PULSE_SERVER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, sound_card.environment[name])
    monkeypatch.setattr(devices, "ANSWER_TIMEOUT", 1.0)
    monkeypatch.setattr(level, "OPENING_TIMEOUT", 1.0)
    stage = next(device for device in input_devices() if device.name == "stage")
    sound_card.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    (finding,) = look_at_devices()
    assert (finding.verdict, finding.subject) == ("warning", "devices")
    assert "the sound system does not answer; restart the sound server" in finding.text
    with pytest.raises(SourceError, match='input device "stage" cannot be had: the sound system does not answer'):
        level.listen_to(stage)
    assert time.monotonic() - began < 10


def test_ports_that_are_free_and_who_is_at_those_that_are_not(tmp_path: Path) -> None:
    def look(publishing: int, page: int) -> tuple[str, str]:
        return tuple(f"{one.verdict}: {one.text}" for one in look_at_ports(f"tcp://127.0.0.1:{publishing}", page))  # type: ignore[return-value]

    free = free_port(socket.SOCK_STREAM)
    assert look(free, free) == ("ok: free, for publishing", "ok: free, for the dashboard")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        publishing, page = look(port, port)
    assert publishing == "warning: in use, and no moods come from there"
    assert page == "warning: in use, but not by a dashboard"
    with Publisher("tcp://127.0.0.1:*", keys=Keyring(tmp_path).server()) as publisher:
        port = int(publisher.endpoint.rpartition(":")[2])
        publishing, _ = look(port, free)
    # which of two reasons depends on whether the connection is ended before it was read why
    assert publishing.startswith("warning: in use, and no moods come from there: it ")
    assert "keys (--key" in publishing
    with Publisher("tcp://127.0.0.1:*") as publisher:
        publisher.set_status("bar", "stalled", 0.0, "the device is away")
        publisher.set_status("stage", "running")
        port = int(publisher.endpoint.rpartition(":")[2])
        assert look(port, free)[0] == (
            'note: moodring publishes there already: stream "bar" stalled (the device is away), stream "stage" running'
        )
    for options in ((), ("--host", "0.0.0.0")):
        with dashboard("tcp://127.0.0.1:9", *options) as running:
            assert look(free, running.port)[1] == "note: the dashboard is served there already"


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros((100, 2)), (-200.0, -200.0, True, "[------------------------]")),
        (np.array([[0.5], [-0.5]]), (-6.0, -6.0, False, "[#####################|--]")),
        (np.array([[1.0, 0.0], [-1.0, 0.0]]), (0.0, -3.0, False, "[#######################|]")),
        (np.full((10, 1), 1e-5), (-100.0, -100.0, False, "[------------------------]")),
        (np.array([[np.nan], [0.1], [np.inf], [-0.1]]), (-20.0, -23.0, False, "[################|-------]")),
    ],
)
def test_levels(samples: np.ndarray, expected: tuple[float, float, bool, str]) -> None:
    measured = level_of(samples.astype(np.float32))
    assert (measured.peak, measured.rms) == pytest.approx(expected[:2], abs=0.1)
    assert (measured.zeros, measured.meter()) == expected[2:]


@pytest.mark.parametrize(
    ("measured", "platform", "verdict", "words"),
    [
        (Level(-200, -200, True), "darwin", "warning", "Privacy & Security, Microphone"),
        (Level(-200, -200, True), "linux", "warning", "unmute it"),
        (Level(-200, -200, True), "win32", "warning", "let desktop apps access the microphone"),
        (Level(0, -6, False), "linux", "warning", "turn the input's gain down"),
        (Level(-60, -75, False), "linux", "note", "Below -70 dBFS all is silence"),
        (Level(-6, -18, False), "linux", "ok", ""),
    ],
)
def test_what_a_level_means(measured: Level, platform: str, verdict: str, words: str) -> None:
    finding = judge(MICROPHONE, measured, platform)
    assert finding.verdict == verdict
    assert words in finding.remedy
    assert finding.subject == "USB Audio (ALSA), the default"


def test_what_this_computer_plays_can_be_tracked_on_every_system() -> None:
    blackhole = InputDevice("BlackHole 2ch", "Core Audio", 2, 48000, False, 1)
    pulse = InputDevice("pulse", "ALSA", 32, 44100, False, 1)
    monitor = {"name": "speakers.monitor", "monitor": True}
    assert "BlackHole" in loopback_hint("darwin", [MICROPHONE], []).remedy
    assert loopback_hint("darwin", [blackhole], []).remedy == "moodring listen --device 'BlackHole 2ch'"
    assert "Stereo Mix" in loopback_hint("win32", [MICROPHONE], []).remedy
    assert "PipeWire" in loopback_hint("linux", [MICROPHONE], []).remedy
    assert "libasound2-plugins" in loopback_hint("linux", [MICROPHONE], [monitor]).remedy
    assert loopback_hint("linux", [pulse], [monitor]).details["commands"] == [
        "PULSE_SOURCE=speakers.monitor moodring listen --device pulse"
    ]


def test_extras_that_are_missing_come_with_the_command_that_adds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert set(EXTRAS) <= set(metadata.metadata("moodring").get_all("Provides-Extra") or ())
    requirements = ['click>=8; extra == "osc"', 'click>=99; extra == "midi"', 'no-such-package; extra == "lsl"']
    monkeypatch.setattr(packages, "EXTRAS", {"osc": "OSC", "midi": "MIDI", "lsl": "LSL"})
    monkeypatch.setattr(metadata, "requires", lambda name: requirements)
    found = list(look_at_extras())
    assert [(one.subject, one.verdict) for one in found] == [("installed", "ok"), ("midi", "note"), ("lsl", "note")]
    assert found[0].details == {"extras": ["osc"]}
    assert found[1].remedy == ""
    assert found[1].details == {"install": f'"{sys.executable}" -m pip install "moodring[midi]"'}
    assert found[2].remedy == f"add what you need by its name, such as: {install_command('lsl')}"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "moodring"))
    (tmp_path / "moodring").mkdir()
    (tmp_path / "moodring" / "uv-receipt.toml").touch()
    assert install_command("lsl").startswith("uv pip install --python ")
    (tmp_path / "moodring" / "pipx_metadata.json").touch()
    assert install_command("lsl") == 'pipx runpip moodring install "moodring[lsl]"'
