"""Which devices can be listened to, how loud it is there, and how to hear what this computer itself plays."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.capture import CaptureProcess
from streamer.doctor.finding import Finding, Verdict
from streamer.doctor.level import Level, listen_to
from streamer.history import SILENCE_THRESHOLD
from streamer.microphone import InputDevice, await_answer, select_input_device
from streamer.source import SourceError

ANSWER_TIMEOUT = 10.0
"""Seconds that the sound system may take to say what there is."""
LONGEST_LISTENING = 60.0
"""Seconds for all devices together; what has not been listened to by then is named."""
CLIPPING = -0.1
"""dBFS of a peak from which on the input is taken to be overdriven."""
_SILENCE = {
    "darwin": "allow the terminal to use the microphone (System Settings, Privacy & Security, Microphone) and start it "
    "again: without that macOS delivers zeros; or it is muted",
    "win32": "unmute it, and let desktop apps access the microphone (Settings, Privacy & security, Microphone)",
}
_SILENCE_ELSEWHERE = (
    "unmute it and plug something in; an input that hears what this computer plays is silent while nothing plays"
)
_LOOPBACK_NAMES = ("monitor", "loopback", "blackhole", "stereo mix", "cable output")
_LOOPBACK = {
    "darwin": "macOS has no such input: install BlackHole (brew install blackhole-2ch), make a Multi-Output Device of "
    "it and the speakers in Audio MIDI Setup, choose that as the output, and: moodring listen --device BlackHole",
    "win32": 'enable "Stereo Mix" (Sound settings, More sound settings, Recording, right click, Show Disabled Devices) '
    'or install VB-CABLE and play to it; then: moodring listen --device "Stereo Mix", or "CABLE Output"',
}
_LOOPBACK_ELSEWHERE = (
    "a sound server can hear what it plays: start PipeWire (with pipewire-pulse) or PulseAudio, "
    "install libasound2-plugins, and ask again"
)


@dataclass(frozen=True)
class SoundSystem:
    """What PortAudio and the sound server know.

    Attributes
    ----------
    portaudio : str
        Version.
    devices : list of InputDevice
        What can be listened to.
    sources : list of dict
        What the sound server can record from, as `streamer.sound_server.sources` has it.
    """

    portaudio: str
    devices: list[InputDevice]
    sources: list[dict[str, Any]]


def ask_sound_system() -> SoundSystem:
    """Ask, in a process that may hang.

    Returns
    -------
    SoundSystem

    Raises
    ------
    SourceError
        If PortAudio is not installed, or the sound system does not answer.
    """
    with CaptureProcess({"overview": True}) as process:
        answer = json.loads(await_answer(process, "the list of input devices", ANSWER_TIMEOUT).content)
    devices = [InputDevice(**device) for device in answer["devices"]]
    return SoundSystem(answer["portaudio"], devices, answer["sources"])


def look_at_devices(name: str | None = None) -> Iterator[Finding]:
    """Listen to each device for about a second.

    Parameters
    ----------
    name : str, optional
        Only to this one, which then has to work: what `streamer.microphone.find_input_device` takes.

    Yields
    ------
    Finding
    """
    missing: Verdict = "failure" if name is not None else "warning"
    try:
        system = ask_sound_system()
        chosen = system.devices if name is None else [select_input_device(system.devices, name)]
    except SourceError as error:
        yield Finding("devices", missing, str(error), "files and pipes can be tracked nevertheless" if not name else "")
        return
    yield Finding("PortAudio", "ok", system.portaudio, details={"version": system.portaudio})
    if not chosen:
        yield Finding(
            "devices",
            "warning",
            "there is no input device",
            "plug in a microphone or start the sound server; files and pipes can be tracked nevertheless",
        )
    deadline = time.monotonic() + LONGEST_LISTENING
    for device in chosen:
        if time.monotonic() < deadline:
            yield _heard(device, name is not None)
        else:
            yield Finding(
                _subject(device),
                "warning",
                f"not listened to: the devices before took more than {LONGEST_LISTENING:.0f} s",
                f"moodring doctor --device {shlex.quote(device.name)}",
            )
    for source in system.sources:
        if source["muted"]:
            yield Finding(
                source["description"],
                "warning",
                "is muted in the sound server",
                f"pactl set-source-mute {shlex.quote(source['name'])} 0",
                {"source": source["name"], "muted": True},
            )
    yield loopback_hint(sys.platform, system.devices, system.sources)


def judge(device: InputDevice, level: Level, platform: str) -> Finding:
    """Say what a level means.

    Parameters
    ----------
    device : InputDevice
        What was listened to.
    level : Level
        What was heard.
    platform : str
        As `sys.platform` has it.

    Returns
    -------
    Finding
    """
    details = {"device": device.name, "host_api": device.host_api, "default": device.default}
    details |= {"channels": device.channels, "sample_rate": device.sample_rate}
    details |= {"peak": level.peak, "rms": level.rms, "zeros": level.zeros}
    subject = _subject(device)
    if level.zeros:
        remedy = _SILENCE.get(platform, _SILENCE_ELSEWHERE)
        return Finding(subject, "warning", f"{level.meter()} only exact zeros", remedy, details)
    text = f"{level.meter()} rms {level.rms:.0f} dBFS, peak {level.peak:.0f} dBFS"
    if level.peak >= CLIPPING:
        return Finding(subject, "warning", f"{text}: overdriven", "turn the input's gain down", details)
    if level.rms < SILENCE_THRESHOLD:
        remedy = f"is music playing? Below {SILENCE_THRESHOLD:.0f} dBFS all is silence: turn the input's gain up"
        return Finding(subject, "note", f"{text}: very quiet", remedy, details)
    return Finding(subject, "ok", text, details=details)


def loopback_hint(platform: str, devices: Sequence[InputDevice], sources: Sequence[dict[str, Any]]) -> Finding:
    """Say how to track what this computer itself plays.

    Parameters
    ----------
    platform : str
        As `sys.platform` has it.
    devices : sequence of InputDevice
        What PortAudio lists.
    sources : sequence of dict
        What the sound server lists.

    Returns
    -------
    Finding
    """
    subject = "what this computer plays"
    ready = [device.name for device in devices if any(name in device.name.casefold() for name in _LOOPBACK_NAMES)]
    commands = [f"moodring listen --device {shlex.quote(name)}" for name in ready]
    through = next((device.name for device in devices if device.name in ("pulse", "pipewire", "default")), None)
    monitors = [source["name"] for source in sources if source["monitor"]]
    if through is not None:
        commands += [f"PULSE_SOURCE={shlex.quote(name)} moodring listen --device {through}" for name in monitors]
    details = {"commands": commands}
    if commands:
        return Finding(subject, "note", "can be tracked while it plays", "\n".join(commands), details)
    hint = _LOOPBACK.get(platform, _LOOPBACK_ELSEWHERE)
    if monitors:
        hint = (
            "the sound server has it, but PortAudio does not reach the server: install libasound2-plugins and ask again"
        )
    return Finding(subject, "note", "no input delivers it", hint, details)


def _heard(device: InputDevice, needed: bool) -> Finding:
    try:
        level = listen_to(device)
    except SourceError as error:
        details = {"device": device.name, "host_api": device.host_api, "default": device.default}
        return Finding(_subject(device), "failure" if needed else "warning", str(error), details=details)
    return judge(device, level, sys.platform)


def _subject(device: InputDevice) -> str:
    return f"{device.name} ({device.host_api}){', the default' if device.default else ''}"
