"""Audio files in every format that libsndfile writes."""

from __future__ import annotations

import io
import random

import numpy as np
import soundfile

from model.estimator import Estimator
from model.loading import load_model
from scripts.benchmarks.fuzzing.mutations import damage
from scripts.benchmarks.fuzzing.target import Scratch, check_estimates, check_message
from streamer.audio_file import AudioFile
from streamer.framer import Framer
from streamer.offline import track
from streamer.source import SourceError

_SECONDS = 0.55
_RATE = 8000
"""Samples per second: the lowest that all formats have, for files of a few kilobytes."""
_TRACKED = 25
"""One of so many cases, by its bytes, is tracked by the bundled model; the others are cut into frames."""


class AudioTarget:
    """`AudioFile`, then `Framer`, and for some the model."""

    name = "audio"

    def __init__(self) -> None:
        self._checkpoint: Estimator = load_model()
        self._scratch = Scratch()
        time = np.arange(int(_RATE * _SECONDS)) / _RATE
        chord = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6)) / 4
        strokes = 1 - 4 * time % 1
        mono = (chord * strokes).astype(np.float32)
        self.files: dict[str, bytes] = {}
        for container in sorted(soundfile.available_formats().keys() - {"RAW", "SD2"}):  # these are no single files
            for subtype in soundfile.available_subtypes(container):
                content = io.BytesIO()
                try:
                    soundfile.write(content, mono, _RATE, format=container, subtype=subtype)
                except (soundfile.LibsndfileError, TypeError, ValueError):
                    continue
                if content.tell():
                    self.files[f"{container} {subtype}"] = content.getvalue()
        self._valid = list(self.files.values())

    def make(self, chance: random.Random) -> bytes:
        """Return a damaged file; every format is as likely as every other."""
        return damage(chance, chance.choice(self._valid), self._valid)

    def check(self, content: bytes) -> bool:
        """Read the file to its end."""
        path = self._scratch.write(content)
        try:
            source = AudioFile(path)
            framer = Framer(source.sample_rate, self._checkpoint.frontend.parameters)
            if len(content) and sum(content[-16:]) % _TRACKED == 0:
                check_estimates(track(source, framer, self._checkpoint, "a"))
                return True
            for block in source.blocks():
                for frame in framer.push(block.samples):
                    assert np.isfinite(frame.samples).all()
            for frame in framer.finish():
                assert np.isfinite(frame.samples).all()
        except SourceError as error:
            check_message(error)
            return False
        return True
