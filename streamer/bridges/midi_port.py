"""A MIDI output port: found by a part of its name and waited for when it goes away, or offered under a name."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterable

import rtmidi

from model.errors import MoodringError, shown
from streamer.limited_log import LimitedLog

CLIENT = "moodring"
LOOK_INTERVAL = 1.0
"""Seconds between two looks at whether the port is there."""
_MOST_NAMES = 8
_JACK_ANSWERS = 5.0
"""Seconds that JACK may take to answer."""
_ASK_JACK = "import rtmidi; rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name='probe').delete()"
_JACK_PERIOD = 0.2
"""Seconds after which JACK has delivered what was sent: more than the 8192 frames of its longest usual period."""
_logger = logging.getLogger("moodring.bridge")


def choose(names: list[str], wanted: str) -> str:
    """Find a port by its name or a part of it, in upper or lower case.

    Parameters
    ----------
    names : list of str
        Of the ports that there are.
    wanted : str
        What the user says.

    Returns
    -------
    str
        One of `names`.

    Raises
    ------
    MoodringError
        If none or several would do.
    """
    found = [name for name in names if wanted.casefold() in name.casefold()]
    exact = [name for name in found if name.casefold() == wanted.casefold()]
    if exact or len(found) == 1:
        return (exact or found)[0]
    if found:
        raise MoodringError(f'--to "{shown(wanted)}" is a part of several MIDI ports; give one of {_list(found)}')
    there = f"there are {_list(names)}" if names else "there is none; --virtual NAME offers one to other programs"
    raise MoodringError(f'--to "{shown(wanted)}" is no MIDI output port; {there}')


class OutputPort:
    """A port that messages go out of.

    Parameters
    ----------
    to : str or None
        Name, or a part of the name, of another program's or a device's port.
    virtual : str or None
        Name of a port that other programs connect to, instead.
    jack : bool
        Whether to speak to a JACK server; otherwise to the system's own MIDI.

    Raises
    ------
    MoodringError
        If there is no such port, or no MIDI.
    """

    def __init__(self, to: str | None, virtual: str | None, jack: bool) -> None:
        self._to = to
        self._log = LimitedLog(_logger)
        self._name: str | None = None
        self._looked = time.monotonic()
        system = rtmidi.API_LINUX_ALSA if sys.platform == "linux" else rtmidi.API_UNSPECIFIED
        self._jack = jack
        if jack:
            _ask_jack()
        try:
            self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK if jack else system, name=CLIENT)
        except rtmidi.RtMidiError as error:
            if jack:
                raise MoodringError("--jack: no JACK server answers; start one, such as jackd or PipeWire's") from error
            way_out = "; give --jack, or load its module (modprobe snd-seq)" if sys.platform == "linux" else ""
            raise MoodringError(f"this system's MIDI cannot be used{way_out}: {error}") from error
        try:
            if to is None:
                self._out.open_virtual_port(virtual)
            else:
                self._open(choose(self._out.get_ports(), to))
        except (rtmidi.RtMidiError, NotImplementedError) as error:
            what = f'--to "{shown(to)}"' if to is not None else f'--virtual "{shown(virtual or "")}"'
            raise MoodringError(f"{what}: no such MIDI port can be opened: {shown(str(error))}") from error

    def look(self) -> bool:
        """Look, once a second, whether the port is still there; return whether it has come back."""
        now = time.monotonic()
        if self._to is None or now - self._looked < LOOK_INTERVAL:
            return False
        self._looked = now
        names = self._out.get_ports()
        if self._name in names:
            return False
        if self._name is not None:
            self._log.warning("gone", f'the MIDI port "{shown(self._name)}" has gone; waiting for it')
            self._name = None
            self._out.close_port()
        try:
            self._open(choose(names, self._to))
        except (MoodringError, rtmidi.RtMidiError):
            return False
        return True

    def send(self, messages: Iterable[list[int]]) -> None:
        """Send messages, each a status byte and what belongs to it; drop them while the port is away."""
        if self._to is not None and self._name is None:
            return
        try:
            for message in messages:
                self._out.send_message(message)
        except rtmidi.RtMidiError as error:
            self._log.warning("failed", f"a MIDI message cannot be sent: {shown(str(error))}; going on")

    def close(self) -> None:
        """Close it; what has been sent leaves before."""
        if self._jack:
            time.sleep(_JACK_PERIOD)  # a port that is closed takes the messages of its last period with it
        self._out.close_port()
        self._out.delete()

    def _open(self, name: str) -> None:
        self._out.open_port(self._out.get_ports().index(name), CLIENT)
        self._name = name


def _ask_jack() -> None:
    """Raise a `MoodringError` unless a JACK server answers: in a child, as JACK's library can wait without end."""
    if rtmidi.API_UNIX_JACK not in rtmidi.get_compiled_api():
        raise MoodringError("--jack: python-rtmidi knows no JACK on this system; leave it out")
    try:
        subprocess.run(
            [sys.executable, "-c", _ASK_JACK], stdin=subprocess.DEVNULL, capture_output=True, timeout=_JACK_ANSWERS
        )
    except subprocess.TimeoutExpired as error:
        raise MoodringError(
            f"--jack: JACK has not answered for {_JACK_ANSWERS:.0f} s; restart its server or, where a program that was "
            "killed has left a lock, end all that use JACK and move /dev/shm/jack_db-UID away (UID: id -u)"
        ) from error


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(f'"{shown(name)}"' for name in names[:_MOST_NAMES]) + more
