"""Raw PCM on a pipe."""

from __future__ import annotations

import os
import random

import numpy as np

from model.estimator import Estimator
from model.loading import load_model
from scripts.benchmarks.fuzzing.mutations import FLOATS, damage
from scripts.benchmarks.fuzzing.target import check_estimates, check_message
from streamer.framer import Framer
from streamer.offline import track
from streamer.pcm import FORMATS
from streamer.pipe import Pipe
from streamer.source import SourceError

_CHANNELS = (1, 2, 6, 1024)
_RATES = (8000, 22050, 44100, 1000, 768000)
_TRACKED = 20
"""One of so many cases is tracked by the bundled model; the others are cut into frames."""
_CAPACITY = 60_000
"""A pipe takes this much before its writer has to wait for its reader."""
_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"FORM", b"\x1aE\xdf\xa3")


class PCMTarget:
    """`Pipe` at a real pipe, then `Framer`, and for some the model.

    The first four bytes of a case choose format, channels, rate, and whether it is tracked.
    """

    name = "pcm"

    def __init__(self) -> None:
        self._checkpoint: Estimator = load_model()
        time = np.arange(24_000) / 22050
        tone = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6)) / 4
        self._music = {
            "s16le": (tone * 2**15).astype("<i2").tobytes(),
            "s24le": (tone * 2**31).astype("<i4").view("u1").reshape(-1, 4)[:, 1:].tobytes(),
            "s32le": (tone * 2**31).astype("<i4").tobytes(),
            "f32le": tone.astype("<f4").tobytes(),
        }

    def make(self, chance: random.Random) -> bytes:
        """Return four bytes that choose, and then PCM."""
        sample_format = chance.randrange(len(FORMATS))
        long = chance.random() < 0.1
        channels = chance.choice((0, 0, 1, 1, 2, 3))
        choices = bytes([sample_format, channels, chance.randrange(len(_RATES)), 0 if long else 1])
        size = chance.randrange(_CAPACITY) if long else chance.randrange(2000)
        if chance.random() < 0.7:
            size -= size % (_CHANNELS[channels] * list(FORMATS.values())[sample_format][1])
        kind = chance.random()
        if kind < 0.2:
            return choices + chance.randbytes(size)
        if kind < 0.5:
            picked = chance.choices(FLOATS, k=chance.randrange(1, 8))
            pattern = np.array(picked, dtype="<f4").tobytes()
            return choices + (pattern * (size // len(pattern) + 1))[:size]
        if kind < 0.55:
            return choices + chance.choice(_MAGIC) + chance.randbytes(size)
        music = self._music[list(FORMATS)[sample_format]]
        return choices + damage(chance, music[: max(size, 8)])

    def check(self, content: bytes) -> bool:
        """Read it all through a pipe."""
        choices, data = content[:4].ljust(4, b"\0"), content[4 : 4 + _CAPACITY]
        reading, writing = os.pipe()
        with os.fdopen(reading, "rb", buffering=0) as stream:
            os.write(writing, data)
            os.close(writing)
            rate = _RATES[choices[2] % len(_RATES)]
            channels = _CHANNELS[choices[1] % len(_CHANNELS)]
            pipe = Pipe(stream, rate, channels, list(FORMATS)[choices[0] % len(FORMATS)])
            framer = Framer(rate, self._checkpoint.frontend.parameters)
            try:
                if choices[3] % _TRACKED == 0:
                    check_estimates(track(pipe, framer, self._checkpoint, "a"))
                    return True
                for block in pipe.blocks():
                    for frame in framer.push(block.samples):
                        assert np.isfinite(frame.samples).all()
                for frame in framer.finish():
                    assert np.isfinite(frame.samples).all()
            except SourceError as error:
                check_message(error)
                return False
            return True
