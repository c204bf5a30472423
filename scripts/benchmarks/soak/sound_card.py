"""A virtual sound card of one's own (PulseAudio), on which music is played for ever, and which can be taken away."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import soundfile

from scripts.benchmarks.soak.processes import PATIENCE
from scripts.benchmarks.soak.simulated_card import SAMPLE_RATE, Music

_SONG_SECONDS = 300


class VirtualCard:
    """A sound server with a sink `virt`, whose monitor is the default input `mic`.

    Parameters
    ----------
    folder : Path
        For its socket, its home and the music.

    Attributes
    ----------
    environment : dict of str to str
        In which programs use this server and no other.
    """

    def __init__(self, folder: Path) -> None:
        for program in ("pulseaudio", "pactl", "paplay"):
            if shutil.which(program) is None:
                raise SystemExit(f"there is no {program}; scripts/test installs it")
        home = folder / "home"
        home.mkdir(mode=0o700)
        self._socket = folder / "pulse.sock"
        self._song = folder / "song.wav"
        music = Music(seed=0)
        with soundfile.SoundFile(self._song, "w", SAMPLE_RATE, 1) as file:
            for _ in range(_SONG_SECONDS):
                file.write(music.take(SAMPLE_RATE))
        self.environment = os.environ | {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PULSE_SERVER": f"unix:{self._socket}",
        }
        self._closed = threading.Event()
        self._server: subprocess.Popen[bytes] | None = None
        self.start()
        self._playing = threading.Thread(target=self._play, name="player", daemon=True)
        self._playing.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        modules = (
            f"module-native-protocol-unix socket={self._socket}",
            f"module-null-sink sink_name=virt rate={SAMPLE_RATE} channels=1 norewinds=1",
            "module-remap-source master=virt.monitor source_name=mic",
        )
        loading = [option for module in modules for option in ("-L", module)]
        environment = {name: value for name, value in self.environment.items() if name != "PULSE_SERVER"}
        self._server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr", *loading],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._control("set-default-source", "mic"):
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError("the sound server did not start")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def suspend(self, suspended: bool) -> None:
        """Make the input stop delivering without a word, or deliver again."""
        if not self._control("suspend-source", "mic", "1" if suspended else "0"):
            raise RuntimeError("the sound server does not take orders")

    def close(self) -> None:
        """Stop everything."""
        self._closed.set()
        self.kill()
        self._playing.join()

    def _control(self, *order: str) -> bool:
        return not subprocess.run(
            ["pactl", *order], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        ).returncode

    def _play(self) -> None:
        while not self._closed.is_set():
            subprocess.run(
                ["paplay", "--device=virt", str(self._song)],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            self._closed.wait(0.5)
