"""A sound server whose sources can be taken away and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

ALSA_CONFIGURATION = """
# where the ALSA plug-in for JACK is installed, a process that is killed while it is tried leaves a lock taken
pcm.!jack { type hw
 card 77 }
pcm.stage { type pulse
 device stage }
pcm.desk { type pulse
 device desk }
"""
"""Two devices, each of which is one source of the server."""


class SoundCard:
    """A sound server with a source ``stage`` and a source ``desk``, both silent, each with a sink of its own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("pulseaudio") is None or shutil.which("pactl") is None:
            pytest.skip("pulseaudio is not installed; scripts/test installs it")
        self._socket = folder / "pulse.sock"
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        (self.home / ".asoundrc").write_text(ALSA_CONFIGURATION)
        home = str(self.home)
        self._server_environment = {**os.environ, "HOME": home, "XDG_RUNTIME_DIR": home, "XDG_CONFIG_HOME": home}
        self._server_environment.pop("PULSE_SERVER", None)
        self.environment = {**self._server_environment, "PULSE_SERVER": f"unix:{self._socket}"}
        self.start(default="desk_sink.monitor")

    def start(self, default: str) -> None:
        """Start the server; `default` is the default source."""
        modules = [f"module-native-protocol-unix socket={self._socket}"]
        for source in ("stage", "desk"):
            modules += self._modules(source)
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr"]
            + [word for module in modules for word in ("-L", module)],
            env=self._server_environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            # pactl retries nothing; asking until it answers is the server's own readiness protocol
            ready = subprocess.run(["pactl", "info"], env=self.environment, capture_output=True, check=False)
            if ready.returncode == 0:
                break
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("the sound server did not start")
        else:
            pytest.fail("the sound server does not answer")
        self.pactl("set-default-source", default)

    def pactl(self, *arguments: str) -> str:
        """Tell the server to do something."""
        done = subprocess.run(
            ["pactl", *arguments], env=self.environment, capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout

    def unload(self, source: str) -> None:
        """Take a source away, and its sink."""
        for line in self.pactl("list", "short", "modules").splitlines():
            number, module, *rest = line.split("\t")
            if module == "module-null-sink" and f"sink_name={source}_sink" in rest[0]:
                self.pactl("unload-module", number)

    def load(self, source: str, rate: int = 22050) -> None:
        """Bring a source back, and its sink."""
        for module in self._modules(source, rate):
            self.pactl("load-module", *module.split())

    def kill(self) -> None:
        """End the server at once."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the server."""
        self.process.send_signal(signal.SIGCONT)
        self.kill()

    @staticmethod
    def _modules(source: str, rate: int = 22050) -> list[str]:
        return [
            f"module-null-sink sink_name={source}_sink rate={rate} channels=1 norewinds=1",
            f"module-remap-source master={source}_sink.monitor source_name={source}",
        ]
