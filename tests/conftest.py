"""What several tests need: real audio, the default checkpoint, a virtual sound card, the command line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does, and before numpy is imported

import hypothesis
import numpy as np
import pytest
import soundfile

from model.checkpoint import Checkpoint, load_checkpoint
from scripts.benchmarks.sound_server import SoundServer, missing_program
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

    What is played into its sink ``mic_sink`` is what the microphone hears.
    """
    with running_sound_server(tmp_path, "mic") as server:
        yield server.environment


@pytest.fixture
def sound_card(tmp_path: Path) -> Iterator[SoundServer]:
    """Start a sound server with two cards, ``stage`` and ``desk``, both silent."""
    with running_sound_server(tmp_path, "stage", "desk", default="desk_sink.monitor") as server:
        yield server


@contextmanager
def running_sound_server(folder: Path, *cards: str, default: str | None = None) -> Iterator[SoundServer]:
    missing = missing_program()
    if missing:
        pytest.skip(f"{missing} is not installed; scripts/test installs it")
    with SoundServer(folder, cards, default=default) as server:
        yield server
