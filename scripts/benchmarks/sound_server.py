"""A sound server of one's own (PulseAudio) with virtual sound cards, which can be taken away and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 120.0
"""Seconds after which a server that does not answer counts as broken; generous, for busy machines."""
_PROGRAMS = ("pulseaudio", "pactl", "paplay")


def missing_program() -> str | None:
    """Return the name of a program that a sound server needs and that is not installed, if there is one."""
    return next((program for program in _PROGRAMS if shutil.which(program) is None), None)


class SoundServer:
    """A running server with cards, each of them a sink ``CARD_sink`` and a source ``CARD`` that hears it.

    ALSA has each card under its name, too. As a context manager, it kills the server at the end.

    Parameters
    ----------
    folder : Path
        For its socket and its home.
    cards : sequence of str
        Their names.
    rate : int
        Samples per second of the cards.
    default : str, optional
        The default input; the first card if not given.

    Attributes
    ----------
    environment : dict of str to str
        In which programs use this server and no other.
    home : Path
        Of these programs.
    process : subprocess.Popen
        The server.

    Raises
    ------
    RuntimeError
        If it does not start.
    """

    def __init__(self, folder: Path, cards: Sequence[str], rate: int = 22050, default: str | None = None) -> None:
        self._socket = folder / "pulse.sock"
        self._modules = [module for card in cards for module in _modules_of(card, rate)]
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        # where the ALSA plug-in for JACK is installed, a process that is killed while it is tried leaves a lock taken
        names = ["pcm.!jack { type hw\n card 77 }\n"]
        names += [f"pcm.{card} {{ type pulse\n device {card} }}\n" for card in cards]
        (self.home / ".asoundrc").write_text("".join(names))
        self.environment = os.environ | dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"), str(self.home))
        self.environment["PULSE_SERVER"] = f"unix:{self._socket}"
        self.start(default or cards[0])

    def start(self, default: str) -> None:
        """Start the server with a default input, and wait until it answers.

        Raises
        ------
        RuntimeError
            If it does not.
        """
        modules = [f"module-native-protocol-unix socket={self._socket}", *self._modules]
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr"]
            + [word for module in modules for word in ("-L", module)],
            env={name: value for name, value in self.environment.items() if name != "PULSE_SERVER"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        # pactl retries nothing; asking until it answers is the server's own readiness protocol
        while self._control("set-default-source", default).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.kill()
                raise RuntimeError("the sound server did not start")
            time.sleep(0.05)

    def __enter__(self) -> SoundServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def pactl(self, *arguments: str) -> str:
        """Tell the server to do something; gives what it answers.

        Raises
        ------
        RuntimeError
            If it does not do it.
        """
        done = self._control(*arguments)
        if done.returncode:
            raise RuntimeError(f'the sound server does not do "{" ".join(arguments)}": {done.stderr.strip()}')
        return done.stdout

    def unload(self, card: str) -> None:
        """Take a card away."""
        for line in self.pactl("list", "short", "modules").splitlines():
            number, module, *rest = line.split("\t")
            if module == "module-null-sink" and f"sink_name={card}_sink " in rest[0]:
                self.pactl("unload-module", number)

    def load(self, card: str, rate: int = 22050) -> None:
        """Bring a card back."""
        for module in _modules_of(card, rate):
            self.pactl("load-module", *module.split())

    def suspend(self, card: str, suspended: bool) -> None:
        """Make a card's source stop delivering without a word, or deliver again."""
        self.pactl("suspend-source", card, "1" if suspended else "0")

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )


def _modules_of(card: str, rate: int) -> list[str]:
    return [
        f"module-null-sink sink_name={card}_sink rate={rate} channels=1 norewinds=1",
        f"module-remap-source master={card}_sink.monitor source_name={card}",
    ]
