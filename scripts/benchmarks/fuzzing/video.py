"""Files that PyAV reads, made by ffmpeg; a case's first line is the ending of its name."""

from __future__ import annotations

import random
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from model.features import FeatureParameters
from scripts.benchmarks.fuzzing.mutations import damage
from scripts.benchmarks.fuzzing.target import Scratch, check_message
from streamer.framer import Framer
from streamer.opening import open_file
from streamer.source import SourceError

_SOUND = ("-f", "lavfi", "-i", "sine=d=0.6:r=22050")
_PICTURE = ("-f", "lavfi", "-i", "testsrc=d=0.6:s=32x32:r=5")
_FILES = {
    "m4a": ("-c:a", "aac"),
    "aac": ("-c:a", "aac"),
    "wma": ("-c:a", "wmav2"),
    "mp4": (*_PICTURE, "-c:v", "mpeg4", "-c:a", "alac"),
    "webm": (*_PICTURE, "-c:v", "vp8", "-c:a", "libopus"),
    "mkv": (*_PICTURE, "-c:v", "mpeg4", "-c:a", "libvorbis"),
    "avi": (*_PICTURE, "-c:v", "mpeg4", "-c:a", "libmp3lame"),
}


class VideoTarget:
    """`open_file`, then `Framer`."""

    name = "video"

    def __init__(self) -> None:
        self._valid = []
        self._scratches = {ending: Scratch(f"case.{ending}") for ending in _FILES}
        with tempfile.TemporaryDirectory() as folder:
            for ending, arguments in _FILES.items():
                path = Path(folder) / f"valid.{ending}"
                command = ["ffmpeg", "-v", "error", *_SOUND, *arguments, str(path)]
                subprocess.run(command, check=True, timeout=60)
                self._valid.append((ending, path.read_bytes()))

    def make(self, chance: random.Random) -> bytes:
        """Return a damaged file; every format is as likely as every other."""
        ending, content = chance.choice(self._valid)
        return ending.encode() + b"\n" + damage(chance, content, [content])

    def check(self, content: bytes) -> bool:
        """Read the file to its end."""
        ending, _, content = content.partition(b"\n")
        scratch = self._scratches.get(ending.decode(errors="replace"))
        if scratch is None:
            return False
        try:
            source = open_file(scratch.write(content))
            framer = Framer(source.sample_rate, FeatureParameters())
            for block in source.blocks():
                framer.skip(block.lost)
                for frame in framer.push(block.samples):
                    assert np.isfinite(frame.samples).all()
        except SourceError as error:
            check_message(error)
            return False
        return True
