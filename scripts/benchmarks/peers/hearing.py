"""What peers say of clips: decoded here, once for all of them, heard in their own processes, and kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import soundfile

from scripts.benchmarks.peers.environments import Peer
from training.audio import read_mono
from training.clips import FloatArray
from training.tables import DataError

RATE = 16000
"""What both peers hear at."""

_LAYOUT = 1
"""Raised when the rows of a `PeerExtractor` change."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What a peer said of a clip.

    Attributes
    ----------
    duration : float
        Of the clip, in seconds.
    whole : ndarray of float32, shape (k,)
        Of all of it.
    ends : ndarray of float32, shape (n,)
        Ends of its patches in seconds, rising.
    patches : ndarray of float32, shape (n, k)
        Of each patch.
    """

    duration: float
    whole: FloatArray
    ends: FloatArray
    patches: FloatArray

    @classmethod
    def of_rows(cls, rows: FloatArray) -> Heard:
        """Read what `PeerExtractor` gave."""
        return cls(float(rows[0, 0]), rows[0, 1:], rows[1:, 0], rows[1:, 1:])


class Decoder:
    """Decodes files to what all peers can read; keeps the last one, so that the next peer need not wait.

    Parameters
    ----------
    folder : Path
        Where.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clip.wav"
        self._last: tuple[Path, float] | None = None

    def __call__(self, source: Path, sound_font: Path) -> tuple[Path, float]:
        """Return a mono WAV file of `RATE`, valid until the next call, and its duration in seconds.

        Raises
        ------
        DataError
            If the file cannot be decoded.
        """
        if self._last is None or self._last[0] != source:
            samples = read_mono(source, RATE, sound_font)
            soundfile.write(self._path, samples, RATE, subtype="FLOAT")
            self._last = source, len(samples) / RATE
        return self._path, self._last[1]


class PeerProcess:
    """A peer's program in its environment, started when it is first needed.

    Parameters
    ----------
    peer : Peer
    python : Path
        Its environment's interpreter.
    """

    def __init__(self, peer: Peer, python: Path) -> None:
        self.peer = peer
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate()
        self._errors.close()

    def hear(self, audio: Path, duration: float, named: Path) -> FloatArray:
        """Return rows of a time and the peer's numbers: first of the whole file, then of each patch.

        Parameters
        ----------
        audio : Path
            What it reads.
        duration : float
            The first row's time.
        named : Path
            What `audio` was made from, for messages.

        Raises
        ------
        DataError
            If it ends, or can make nothing of the file.
        """
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{audio}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise DataError(f'{self.peer.name} ended at "{named}": {said[-1] if said else "without a word"}')
        answer = json.loads(line)
        if "error" in answer:
            raise DataError(f'{self.peer.name} can make nothing of "{named}": {answer["error"]}')
        rows = [
            [duration, *answer["whole"]],
            *([e, *n] for e, n in zip(answer["ends"], answer["patches"], strict=True)),
        ]
        return np.array(rows, dtype=np.float32)

    def _start(self) -> subprocess.Popen[str]:
        # one thread each: what is measured is not speed, and the machine may have other things to do
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("PYTHONPATH", None)
        return subprocess.Popen(
            [str(self._python), str(self.peer.program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )


@dataclass(frozen=True)
class PeerExtractor:
    """What a peer says of a file, as `training.feature_cache.ExtractorCache` keeps it: the rows of `PeerProcess.hear`.

    Attributes
    ----------
    process : PeerProcess
    decoder : Decoder
    """

    process: PeerProcess
    decoder: Decoder

    @property
    def key(self) -> bytes:
        """SHA-256 of the peer's program and pinned versions."""
        peer = self.process.peer
        digest = hashlib.sha256(f"peer {_LAYOUT} {RATE}".encode())
        digest.update(peer.program.read_bytes())
        digest.update(peer.requirements.read_bytes())
        return digest.digest()

    @property
    def column_count(self) -> int:
        """The time, and the peer's numbers."""
        return 1 + self.process.peer.numbers

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the rows."""
        audio, duration = self.decoder(source, sound_font)
        return self.process.hear(audio, duration, source)
