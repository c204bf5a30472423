"""The score of the demonstration piece: what is played, by which instruments; `composer` turns it into samples.

Notes are written as a name and an octave (``A4`` has 440 Hz), with ``:beats`` in melodies; ``-`` is a rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Timbre:
    """How a note sounds: partial k has amplitude ``k**-rolloff`` and decays ``k**damping`` times as fast as the first.

    `attack`, `decay` (time constant of the first partial) and `release` are in seconds.
    """

    partials: int
    rolloff: float
    decay: float
    damping: float = 0.7
    attack: float = 0.004
    release: float = 0.08


@dataclass(frozen=True)
class Part:
    """One instrument of a section."""

    timbre: Timbre
    steps: str
    """What it plays in each bar: words of equal length in time, each the digits of the chord's notes that start there
    (0 is the lowest; digits beyond the chord go on an octave higher) or ``-``."""
    length: float
    """Beats that a note is held."""
    gain: float
    octave: int = 0
    """Octaves above the chords as written."""
    pan: float = 0.0
    """-1 (left) to 1 (right)."""
    drive: float = 0.0
    """Distortion, 0 for none."""


@dataclass(frozen=True)
class Score:
    """One section: bars of equal length that fill the section's time, whatever their number."""

    name: str
    valence: int
    """Sign of the valence that it was written for, and likewise `arousal`."""
    arousal: int
    level: float
    """Root mean square in dB relative to the loudest section."""
    beats_per_bar: int
    bars: str
    """The chord of each bar, lowest note first."""
    melody: str
    singer: Part
    """Plays the melody, which is written as it sounds: its `steps`, `length` and `octave` stay unused."""
    parts: tuple[Part, ...]
    drums: str = ""
    """One bar in equal steps: k(ick), s(nare), h(at), ``-``."""
    drum_gain: float = 0.0


_FELT_PIANO = Timbre(partials=6, rolloff=2.0, decay=1.6, attack=0.012, release=0.4)
_WARM_PAD = Timbre(partials=4, rolloff=1.8, decay=6.0, damping=0.2, attack=0.5, release=0.7)
_DARK_PAD = Timbre(partials=3, rolloff=2.4, decay=6.0, damping=0.2, attack=0.6, release=0.8)
_CELLO = Timbre(partials=12, rolloff=1.2, decay=6.0, damping=0.2, attack=0.15, release=0.3)
_PLUCK = Timbre(partials=12, rolloff=1.1, decay=0.22, damping=0.5, release=0.03)
_BELL = Timbre(partials=10, rolloff=1.2, decay=0.5, damping=0.6)
_BASS = Timbre(partials=6, rolloff=1.3, decay=0.5)
_BRIGHT_GUITAR = Timbre(partials=30, rolloff=0.7, decay=0.7, damping=0.25, release=0.03)
_GUITAR = Timbre(partials=18, rolloff=0.9, decay=0.7, damping=0.25, release=0.03)

SCORES: Final = (
    Score(
        "calm",
        valence=1,
        arousal=-1,
        level=-15,
        beats_per_bar=4,
        bars="F3 A3 C4 | A#2 F3 A#3 D4 | C3 G3 C4 E4 | F3 A3 C4 F4",
        melody="A4:2 C5:1 A4:1 F4:2 D5:1 A#4:1 G4:2 C5:1.5 G4:.5 F4:4",
        singer=Part(_FELT_PIANO, "", 0, 1.5, pan=0.1),
        parts=(
            Part(_WARM_PAD, "012", 4, 0.12),
            Part(_FELT_PIANO, "0 1 2 1 3 2 1 2", 1.6, 0.25, pan=-0.3),
        ),
    ),
    Score(
        "happy",
        valence=1,
        arousal=1,
        level=-3,
        beats_per_bar=4,
        bars=(
            "D4 F#4 A4 | A3 C#4 E4 | G3 B3 D4 | A3 C#4 E4 | D4 F#4 A4 | "
            "G3 B3 D4 | A3 C#4 E4 | D4 F#4 A4 | D4 F#4 A4 | A3 C#4 E4"
        ),
        melody=(
            "F#5:.5 A5:.5 D6:1 A5:.5 F#5:.5 A5:1 E5:.5 A5:.5 C#6:1 A5:.5 E5:.5 A5:1 "
            "B5:.5 D6:.5 B5:.5 G5:.5 D6:1 B5:1 C#6:.5 B5:.5 A5:.5 B5:.5 C#6:1 E6:1 "
            "D6:.5 A5:.5 F#5:.5 A5:.5 D6:1 F#6:1 G5:.5 B5:.5 D6:.5 B5:.5 G5:1 B5:1 "
            "A5:.5 C#6:.5 E6:.5 C#6:.5 A5:.5 B5:.5 C#6:1 D6:1 A5:.5 F#5:.5 D5:1 F#5:1 "
            "F#5:.5 A5:.5 D6:1 A5:.5 F#5:.5 A5:1 E5:.5 A5:.5 C#6:1 A5:.5 E5:.5 A5:1"
        ),
        singer=Part(_BELL, "", 0, 0.9, pan=0.15),
        parts=(
            Part(_PLUCK, "0 1 2 3 2 1 2 3 4 3 2 1 2 3 2 1", 0.2, 1.0, octave=1),
            Part(_BRIGHT_GUITAR, "012 - 012 012 - 012 012 -", 0.4, 0.8, octave=-1, pan=-0.4, drive=8.0),
            Part(_BRIGHT_GUITAR, "012 - 012 012 - 012 012 -", 0.4, 0.8, octave=-1, pan=0.4, drive=8.0),
            Part(_BASS, "0 0 0 0 0 0 0 0", 0.45, 0.5, octave=-1, drive=3.0),
        ),
        drums="k-hhs-hhk-hhs-hh",
        drum_gain=3.0,
    ),
    Score(
        "angry",
        valence=-1,
        arousal=1,
        level=0,
        beats_per_bar=4,
        bars=(
            "E2 B2 E3 G3 | E2 B2 E3 G3 | F2 C3 F3 G#3 | E2 B2 E3 G3 | E2 B2 E3 G3 | "
            "A2 E3 A3 C4 | D#2 A2 D#3 F#3 | E2 B2 E3 G3 | F2 B2 F3 G#3 | E2 B2 E3 G3"
        ),
        melody=(
            "-:4 B4:.5 C5:.5 B4:.5 A#4:.5 B4:1 G4:1 G#4:.5 C5:.5 F5:.5 G#5:.5 G5:1 F5:1 B4:.5 E5:.5 G5:.5 E5:.5 F5:1 "
            "E5:1 B4:.5 C5:.5 B4:.5 A#4:.5 G4:1 E4:1 E5:.5 F5:.5 E5:.5 C5:.5 A4:1 E5:1 D#5:.5 C5:.5 A4:.5 F#4:.5 D#5:1 "
            "C5:1 G5:.5 E5:.5 B4:.5 G4:.5 E5:1 B4:1 G#4:.5 B4:.5 D5:.5 F5:.5 G#5:1 F5:1 E5:2 F5:1 E5:1"
        ),
        singer=Part(_GUITAR, "", 0, 0.5, pan=0.2, drive=5.0),
        parts=(
            Part(_GUITAR, "012 0 0 012 0 0 012 0", 0.45, 0.9, pan=-0.4, drive=8.0),
            Part(_GUITAR, "013 0 0 013 0 0 013 0", 0.45, 0.9, octave=1, pan=0.4, drive=8.0),
            Part(_BASS, "0 0 0 0 0 0 0 0", 0.45, 0.5, drive=3.0),
        ),
        drums="k-hks-hkkkhks-hs",
        drum_gain=0.6,
    ),
    Score(
        "sad",
        valence=-1,
        arousal=-1,
        level=-17,
        beats_per_bar=3,
        bars="A2 E3 A3 C4 | D3 A3 D4 F4 | E3 B3 D4 G#4 | A2 E3 A3 C4",
        melody="E4:2 C4:1 F4:1.5 E4:.5 D4:1 E4:1.5 D4:.5 B3:1 C4:1 A3:2",
        singer=Part(_CELLO, "", 0, 0.6),
        parts=(
            Part(_DARK_PAD, "013", 3, 0.6),
            Part(_FELT_PIANO, "0 1 2 3 2 1", 2.2, 0.4, pan=-0.2),
        ),
    ),
)
"""The sections in the order in which they sound."""
