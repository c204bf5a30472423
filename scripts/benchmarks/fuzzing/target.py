"""What every target is, and what is asked of whatever it lets through."""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from streamer.messages import Estimate, decode, encode

_LONGEST_LINE = 2000


class Target(Protocol):
    """Makes input, and gives it to a part of moodring.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    """

    name: str

    def make(self, chance: random.Random) -> bytes:
        """Return a case."""
        ...

    def check(self, content: bytes) -> bool:
        """Tell whether a case is accepted; False if it is refused as it should be. Anything raised is a crash."""
        ...


class Scratch:
    """A file, in memory where there is such a place, that each case is written to."""

    def __init__(self, name: str = "case") -> None:
        memory = Path("/dev/shm")
        place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
        self._folder = tempfile.TemporaryDirectory(prefix="moodring-fuzz-", dir=place)
        self.folder = Path(self._folder.name)
        self.path = self.folder / name

    def write(self, content: bytes) -> Path:
        """Write a case; return where."""
        with self.path.open("wb", buffering=0) as file:
            file.write(content)
        return self.path


def check_message(error: object) -> None:
    """Assert that an error is one line that a terminal can show, and does not give back all that it was given."""
    line = str(error)
    assert line.isprintable(), repr(line)
    assert len(line) < _LONGEST_LINE, len(line)


def check_estimates(estimates: Iterable[Estimate]) -> int:
    """Assert that estimates are in their ranges and can be sent; return how many there are."""
    count = 0
    for estimate in estimates:
        count += 1
        values = (estimate.valence, estimate.arousal, estimate.mood.valence, estimate.mood.arousal)
        assert all(value is None or -1 <= value <= 1 for value in values), estimate
        assert math.isfinite(estimate.loudness), estimate
        assert all(std is None or 0 <= std <= 10 for std in (estimate.valence_std, estimate.arousal_std)), estimate
        decode(encode(estimate))
    return count
