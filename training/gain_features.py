"""Features of clips that are turned up or down, which no estimate should depend on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.features import FloatArray
from training.altered_sound import extract_samples
from training.audio import read_as_it_is
from training.feature_cache import Extractor


@dataclass(frozen=True)
class WithGain:
    """What another extractor makes of a file with a gain.

    Samples stay floats at the file's own rate, so that nothing but the level changes: a gain of 0 dB gives the other
    extractor's own array.

    Attributes
    ----------
    extractor : Extractor
        The other one.
    gain : float
        In dB.
    """

    extractor: Extractor
    gain: float

    @property
    def key(self) -> bytes:
        """The gain and the other extractor's key."""
        return f"gain {float(self.gain)!r} ".encode() + self.extractor.key

    @property
    def column_count(self) -> int:
        """The other extractor's."""
        return self.extractor.column_count

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the other extractor's array for a file with the gain."""
        samples, rate = read_as_it_is(source, sound_font)
        louder = samples * np.float32(10 ** (self.gain / 20))
        return extract_samples(self.extractor, louder, rate, source, sound_font)
