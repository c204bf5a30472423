"""A virtual sound card of one's own, on which music is played for ever, and which can be taken away."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import soundfile

from scripts.benchmarks.soak.simulated_card import SAMPLE_RATE, Music
from scripts.benchmarks.sound_server import SoundServer, missing_program

_SONG_SECONDS = 300
_CARD = "mic"


class VirtualCard:
    """A sound server whose default input hears music.

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
        missing = missing_program()
        if missing:
            raise SystemExit(f"there is no {missing}; scripts/test installs it")
        self._song = folder / "song.wav"
        music = Music(seed=0)
        with soundfile.SoundFile(self._song, "w", SAMPLE_RATE, 1) as file:
            for _ in range(_SONG_SECONDS):
                file.write(music.take(SAMPLE_RATE))
        self._server = SoundServer(folder, [_CARD], SAMPLE_RATE)
        self.environment = self._server.environment
        self._closed = threading.Event()
        self._playing = threading.Thread(target=self._play, name="player", daemon=True)
        self._playing.start()

    def start(self) -> None:
        """Start the server again after it was killed, and wait until it answers."""
        self._server.start(_CARD)

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self._server.kill()

    def suspend(self, suspended: bool) -> None:
        """Make the input stop delivering without a word, or deliver again."""
        self._server.suspend(_CARD, suspended)

    def close(self) -> None:
        """Stop everything."""
        self._closed.set()
        self.kill()
        self._playing.join()

    def _play(self) -> None:
        while not self._closed.is_set():
            subprocess.run(
                ["paplay", f"--device={_CARD}_sink", str(self._song)],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            self._closed.wait(0.5)
