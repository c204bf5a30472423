"""The MIDI bridge, as a process, with a JACK server between it and a receiver; and the laws of its messages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mido", reason='needs mido: pip install "moodring[midi]"')
pytest.importorskip("rtmidi", reason='needs python-rtmidi: pip install "moodring[midi]"')

import rtmidi
from mido import Message, Parser

from model.errors import MoodringError
from streamer.bridges.destinations import KINDS
from streamer.bridges.engine import Engine
from streamer.bridges.mapping_file import MappingError, parse_mapping
from streamer.bridges.midi import MIDISender
from streamer.bridges.midi_port import choose
from tests.conftest import Outcome
from tests.streamer.bridged import bridged, estimate, status, until

MAPPING = """
[outputs.valence]
source = "valence"
control = 20
[outputs.fine]
source = "arousal"
channel = 2
control = 1
bits = 14
[outputs.colour]
source = "emotion"
channel = 16
control = 70
[outputs.beat]
source = "arousal"
on = 0.5
off = 0
to = [0, 100]
channel = 10
note = 36
[outputs.sound]
source = "state"
values = { tracking = 5, silence = 9 }
channel = 3
program = true
[scenes.end]
outputs = { valence = 7 }
"""


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    """Start a JACK server of our own name, without sound: other programs do not see it, nor the tests theirs."""
    if shutil.which("jackd") is None:
        pytest.skip("jackd is not installed; scripts/test installs it")
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        pytest.skip("this python-rtmidi has no JACK")
    log = tmp_path_factory.mktemp("jack") / "log"
    with pytest.MonkeyPatch.context() as environment, log.open("w") as written:
        environment.setenv("JACK_DEFAULT_SERVER", f"moodring-test-{os.getpid()}")
        environment.setenv("JACK_NO_AUDIO_RESERVATION", "1")
        # long periods: what a program on a busy machine is too late for, JACK drops
        command = ["jackd", "--no-realtime", "-d", "dummy", "-r", "48000", "-p", "4096"]
        server = subprocess.Popen(command, stdout=written, stderr=written)
        try:
            until(lambda: server.poll() is not None or answers(), log.read_text)
            assert server.poll() is None, log.read_text()
            yield server
        finally:
            server.terminate()
            server.wait(20)


def answers() -> bool:
    try:
        rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="probe").delete()
    except rtmidi.RtMidiError:
        return False
    return True


class Receiver:
    """A program with a MIDI input, and what it has got."""

    def __init__(self, name: str) -> None:
        self.messages: list[Message] = []
        self._in = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name=name)
        self._in.set_callback(lambda event, data: self.messages.append(Message.from_bytes(event[0])))

    def offer(self) -> None:
        self._in.open_virtual_port("input")

    def connect(self, name: str) -> None:
        until(lambda: any(name in port for port in self._in.get_ports()), self._in.get_ports)
        self._in.open_port(next(i for i, port in enumerate(self._in.get_ports()) if name in port), "input")

    def of(self, kind: str, channel: int = 1) -> list[Message]:
        return [m for m in self.messages if m.type == kind and m.channel == channel - 1]

    def control(self, number: int, channel: int = 1) -> int | None:
        """Give the last value of a controller."""
        return next((m.value for m in reversed(self.of("control_change", channel)) if m.control == number), None)

    def tail(self) -> list[str]:
        return [str(message) for message in self.messages[-20:]]

    def close(self) -> None:
        if not self._in.is_deleted:
            self._in.close_port()
            self._in.delete()


@contextmanager
def receiver(name: str = "receiver", offered: bool = True) -> Iterator[Receiver]:
    opened = Receiver(name)
    try:
        if offered:
            opened.offer()
        yield opened
    finally:
        opened.close()


def test_who_connects_to_the_port_that_is_offered_hears_estimates_silence_death_and_end(
    jack: subprocess.Popen[bytes],
) -> None:
    with receiver(offered=False) as heard, bridged("midi", None, "--jack") as bridge:
        bridge.says('to its own port "moodring", 6 outputs')
        heard.connect("moodring:moodring")
        bridge.connected()
        bridge.publisher.publish(status(0))
        bridge.publisher.publish(estimate(0, (0.25, -0.5)))
        until(lambda: (heard.control(20), heard.control(21), heard.control(25)) == (79, 32, 127), heard.tail)
        until(lambda: (heard.control(22), heard.control(23), heard.control(24)) == (79, 48, 91), heard.tail)
        bridge.publisher.publish(estimate(1, (-1.0, -0.5)))
        until(lambda: heard.control(20) == 0, heard.tail)
        assert any(0 < m.value < 79 for m in heard.of("control_change") if m.control == 20)  # it has glided
        bridge.publisher.publish(estimate(2, None))
        until(lambda: heard.control(25) == 0, heard.tail)
        assert heard.control(20) == 0
        bridge.publisher.publish(estimate(3, (0.5, 0.5)))
        until(lambda: heard.control(25) == 127, heard.tail)
        until(lambda: heard.control(25) == 0 and heard.control(24) == 0, heard.tail)  # 3 s without any message
        bridge.publisher.publish(estimate(4, (0.5, 0.5)))
        until(lambda: heard.control(25) == 127, heard.tail)
        assert bridge.end() == 0
        until(lambda: heard.control(25) == 0 and heard.control(24) == 0, heard.tail)


def test_fine_controls_colours_notes_and_programs_go_to_a_port_by_a_part_of_its_name(
    jack: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = tmp_path / "map.toml"
    path.write_text(MAPPING)
    with receiver("Big Desk") as heard, bridged("midi", "DESK", "--jack", "--map", path) as bridge:
        bridge.connected()
        bridge.publisher.publish(estimate(0, (-1.0, 0.5)))
        until(lambda: heard.of("program_change", 3), lambda: bridge.lines)
        assert [m.program for m in heard.of("program_change", 3)] == [5]
        assert (heard.control(20), heard.control(1, 2), heard.control(33, 2)) == (0, 12287 >> 7, 12287 & 127)
        assert [m.control for m in heard.of("control_change", 2)] == [1, 33]
        assert {m.control for m in heard.of("control_change", 16)} == {70, 71, 72}
        assert [(m.note, m.velocity) for m in heard.of("note_on", 10)] == [(36, 100)]
        bridge.publisher.publish(estimate(1, (1.0, 0.25)))  # between on and off
        until(lambda: heard.control(20) == 127)
        assert heard.control(20) == 127
        assert len(heard.of("note_on", 10)) == 1
        assert not heard.of("note_off", 10)
        assert len(heard.of("program_change", 3)) == 1
        bridge.publisher.publish(estimate(2, (0.0, -0.25)))
        until(lambda: [m.note for m in heard.of("note_off", 10)] == [36])
        bridge.publisher.publish(estimate(3, (0.0, 0.75)))
        until(lambda: len(heard.of("note_on", 10)) == 2)
        path.write_text(MAPPING.replace("note = 36", "note = 38"))
        bridge.says("has changed: 5 outputs")
        until(lambda: len(heard.of("note_off", 10)) == 2)
        until(lambda: [m.note for m in heard.of("note_on", 10)] == [36, 36, 38])
        assert bridge.end() == 0
        until(lambda: [m.note for m in heard.of("note_off", 10)] == [36, 36, 38] and heard.control(20) == 7)


def test_a_port_that_goes_away_is_waited_for_and_told_everything_again(jack: subprocess.Popen[bytes]) -> None:
    with bridged("midi", "Synth", "--jack") as bridge:
        bridge.says('moodring: --to "Synth" is no MIDI output port; there is none; --virtual NAME offers one')
        assert bridge.process.wait(20) == 1
    with receiver("Synth") as before, receiver("Other"), bridged("midi", "Synth", "--jack") as bridge:
        bridge.connected()
        bridge.publisher.publish(estimate(0, (0.25, 0.0)))
        until(lambda: before.control(20) == 79)
        before.close()
        bridge.says('the MIDI port "Synth:input" has gone; waiting for it')
        with receiver("Synth") as again:
            until(lambda: again.control(20) == 79, lambda: bridge.lines)
            assert bridge.end() == 0


def test_a_server_that_hangs_is_not_waited_for_without_end(jack: subprocess.Popen[bytes]) -> None:
    jack.send_signal(signal.SIGSTOP)
    try:
        with bridged("midi", None, "--jack") as bridge:
            bridge.says("moodring: --jack: JACK has not answered for 5 s; restart its server or")
            assert bridge.process.wait(20) == 1
            assert len(bridge.lines) == 1
    finally:
        jack.send_signal(signal.SIGCONT)


def test_the_system_s_own_midi(tmp_path: Path) -> None:
    if sys.platform == "linux" and not os.access("/dev/snd/seq", os.W_OK):
        with bridged("midi", None) as bridge:
            bridge.says("moodring: this system's MIDI cannot be used; give --jack, or load its module")
            assert bridge.process.wait(20) == 1
            assert len(bridge.lines) == 1
        pytest.skip("there is no /dev/snd/seq: only the error has been tested")
    if sys.platform == "win32":
        pytest.skip("Windows has no virtual ports")
    with bridged("midi", None, "--virtual", "moodring test") as bridge:
        bridge.says('to its own port "moodring test"')
        bridge.connected()
        heard = rtmidi.MidiIn()
        until(lambda: any("moodring test" in name for name in heard.get_ports()))
        messages: list[Message] = []
        heard.set_callback(lambda event, data: messages.append(Message.from_bytes(event[0])))
        heard.open_port(next(i for i, name in enumerate(heard.get_ports()) if "moodring test" in name))
        bridge.publisher.publish(estimate(0, (0.25, 0.0)))
        until(lambda: any((m.control, m.value) == (20, 79) for m in messages))
        assert bridge.end() == 0
        heard.close_port()


def test_without_jack_and_with_two_ways_at_once_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "moodring-test-none")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    for arguments, said in (
        (("--jack",), "--jack: no JACK server answers"),
        (("--virtual", "a", "--to", "b"), "--to and --virtual are two ways to send; give one of them"),
    ):
        with bridged("midi", None, *arguments) as bridge:
            bridge.says(f"moodring: {said}")
            assert bridge.process.wait(20) == 1
            assert len(bridge.lines) == 1


def test_a_port_is_found_by_its_name_or_a_part_of_it() -> None:
    names = ["Midi Through:0 14:0", "USB MIDI:USB MIDI 1 24:0", "USB MIDI:USB MIDI 2 24:1", "usb"]
    assert choose(names, "through") == names[0]
    assert choose(names, "MIDI 2") == names[2]
    assert choose(names, "USB") == "usb"
    with pytest.raises(MoodringError, match="is a part of several MIDI ports; give one of "):
        choose(names, "USB MIDI")
    with pytest.raises(MoodringError, match=r'"desk" is no MIDI output port; there are "Midi Through:0 14:0", '):
        choose(names, "desk")


class Wire:
    """Takes what is sent, as a port does."""

    def __init__(self) -> None:
        self.parser = Parser()

    def send(self, messages: Iterable[list[int]]) -> None:
        for message in messages:
            self.parser.feed(message)

    def look(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def read(self) -> list[Message]:
        return list(self.parser)


@given(st.integers(0, 31), st.integers(1, 16), st.sampled_from((7, 14)), st.lists(st.floats(-10, 140), min_size=1))
def test_a_receiver_puts_the_value_together_again(control: int, channel: int, bits: int, values: list[float]) -> None:
    source = f'[outputs.v]\nsource = "valence"\nchannel = {channel}\ncontrol = {control}\nbits = {bits}\n'
    wire = Wire()
    sender = MIDISender(wire)  # type: ignore[arg-type]
    sender.set_up(parse_mapping(source.encode(), "map", KINDS["midi"]))
    for value in values:
        sender.send({"v": (value,)}, fresh=True)
        got = {m.control: m.value for m in wire.read() if m.type == "control_change" and m.channel == channel - 1}
        assert got.keys() == ({control} if bits == 7 else {control, control + 32})
        number = got[control] if bits == 7 else got[control] << 7 | got[control + 32]
        assert abs(number / ((1 << bits) - 1) - min(127, max(0, value)) / 127) <= 0.5 / ((1 << bits) - 1) + 1e-9
        sender.send({"v": (value,)}, fresh=False)
        assert not wire.read()  # nothing has changed


@given(st.lists(st.sampled_from((0.0, 0.4, 1.0, 64.0, 127.0))))
def test_every_note_that_is_struck_is_ended_once(values: list[float]) -> None:
    source = b'[outputs.n]\nsource = "state"\nvalues = { tracking = 1 }\nnote = 60\n'
    wire = Wire()
    sender = MIDISender(wire)  # type: ignore[arg-type]
    sender.set_up(parse_mapping(source, "map", KINDS["midi"]))
    for value in values:
        sender.send({"n": (value,)}, fresh=True)
    sender.close()
    sounding = 0
    for message in wire.read():
        assert message.type == ("note_off" if sounding else "note_on")
        sounding = getattr(message, "velocity", 0) if message.type == "note_on" else 0
    assert sounding == 0


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "control is missing; give control = 0 to 119, or note, or program = true"),
        ("control = 120", "control = 120 is not valid; give a whole number from 0 to 119"),
        ("control = 1\nnote = 1", "has control and note; give one of them"),
        ("control = 40\nbits = 14", "control = 40 needs control 40; with 14 bits there are 0 to 31"),
        ("control = 1\nbits = 16", "bits = 16 is not valid; give 7 or 14"),
        ("control = 1\nchannel = 0", "channel = 0 is not valid; give a whole number from 1 to 16"),
        ("note = 60", "note is for values that come in steps; give on (and off), or a state with values"),
        ("note = 60\non = 0\nattack = 1", "attack is for control; a note has no values in between"),
        ("program = false\non = 0", "program = false is not valid; give true, or leave it out"),
        ("control = 1\nto = [0, 128]", "to = [0, 128] is not valid; give two numbers from 0 to 127"),
        ('control = 1\n[outputs.w]\nsource = "mood"\ncontrol = 0', "control = 0 is taken by outputs.v.control"),
        ('control = 1\nbits = 14\n[outputs.w]\nsource = "arousal"\ncontrol = 33', "control = 33 is taken by"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_said(lines: str, problem: str) -> None:
    content = f'rate = 20\n[outputs.v]\nsource = "valence"\n{lines}\n'
    with pytest.raises(MappingError) as found:
        parse_mapping(content.encode(), "map", KINDS["midi"])
    assert any(problem in line for line in found.value.problems), found.value.problems


def test_a_scene_that_fades_strikes_a_note_once() -> None:
    content = (
        'rate = 20\n[outputs.n]\nsource = "arousal"\non = 0\nnote = 60\n[outputs.c]\nsource = "arousal"\ncontrol = 1\n'
        "[scenes.dead]\nfade = 2\noutputs = { n = 0, c = 127 }\n[scenes.end]\nfade = 1\noutputs = { n = 99, c = 0 }\n"
    )
    engine = Engine(parse_mapping(content.encode(), "map", KINDS["midi"]), 0.0)
    assert engine.values(0.0) == {"n": (0.0,), "c": (127.0,)}
    assert engine.end(1.0) == 1.0
    assert engine.values(1.5) == {"n": (99.0,), "c": (63.5,)}


def test_without_the_library_there_is_one_clear_line_that_names_the_extra() -> None:
    program = """
import sys
sys.modules["rtmidi"] = None
sys.argv = ["moodring", "bridge", "midi"]
from streamer.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    needs = 'moodring: moodring bridge midi needs mido and python-rtmidi: pip install "moodring[midi]"\n'
    assert Outcome(ended.returncode, ended.stdout, ended.stderr) == Outcome(1, "", needs)
