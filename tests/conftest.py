"""What several tests need: real audio, the default checkpoint, a virtual sound card, the command line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does, and before numpy is imported

import hypothesis
import numpy as np
import pytest
import soundfile

from model.checkpoint import Checkpoint, load_checkpoint
from streamer.cli import main
from streamer.composer import compose

# how long an example takes says nothing about it on a machine that does other things as well
hypothesis.settings.register_profile("moodring", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("moodring")

# a shell starts what runs in its background with Ctrl-C ignored, nohup with SIGHUP, and children would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REPOSITORY = Path(__file__).resolve().parent.parent
LABELLED_MUSIC = Path(os.environ.get("MOODRING_DATA", REPOSITORY.parent / "shared" / "data"))


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line came to."""

    status: int
    output: str
    errors: str


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return load_checkpoint()


@pytest.fixture(scope="session")
def piece() -> np.ndarray:
    """Give the demo piece: shape (n, 2), 44.1 kHz."""
    return compose()


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory, piece: np.ndarray) -> Path:
    """Give the demo piece as a 16-bit WAV file of 44.1 kHz."""
    path = tmp_path_factory.mktemp("audio") / "song.wav"
    soundfile.write(path, piece, 44100)
    return path


@pytest.fixture(scope="session")
def recording() -> Path:
    """Give a real recording, an MP3 file."""
    path = LABELLED_MUSIC / "emomusic" / "audio" / "2.mp3"
    if not path.is_file():
        pytest.skip(f"no labelled music in {LABELLED_MUSIC}; set MOODRING_DATA to where it is")
    return path


@pytest.fixture
def moodring(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Give a function that runs the command line in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["moodring", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capfd.readouterr()
        return Outcome(ended.value.code or 0, output, errors)  # type: ignore[arg-type]

    return run


@pytest.fixture
def sound_server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start a sound server with a virtual microphone; gives the environment in which it is the default input.

    What is played into its sink ``virt`` is what the microphone hears. `PULSE_PID` is the server's process.
    """
    if shutil.which("pulseaudio") is None or shutil.which("paplay") is None:
        pytest.skip("pulseaudio is not installed; scripts/test installs it")
    socket = tmp_path / "pulse.sock"
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    # where the ALSA plug-in for JACK is installed, a process that is killed while it is tried leaves a lock taken
    (home / ".asoundrc").write_text("pcm.!jack { type hw\n card 77 }\n")
    environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "XDG_CONFIG_HOME": str(home)}
    environment.pop("PULSE_SERVER", None)
    server = subprocess.Popen(
        [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--log-target=stderr",
            "-L",
            f"module-native-protocol-unix socket={socket}",
            "-L",
            "module-null-sink sink_name=virt rate=22050 channels=1 norewinds=1",
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    environment["PULSE_SERVER"] = f"unix:{socket}"
    try:
        # pactl retries nothing; asking until it answers is the server's own readiness protocol
        for _ in range(100):
            ready = subprocess.run(["pactl", "info"], env=environment, capture_output=True, check=False)
            if ready.returncode == 0:
                break
            try:
                server.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail("the sound server did not start")
        else:
            pytest.fail("the sound server does not answer")
        yield {**environment, "PULSE_PID": str(server.pid)}
    finally:
        server.send_signal(signal.SIGCONT)
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
