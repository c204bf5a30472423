"""A one-minute piece of music for demonstrations, computed from a score: no recording, no sample, no copyright.

Four sections of 15 s stand in the four corners of the valence-arousal plane. Each join changes one thing only: the
music wakes up (arousal), turns from major to minor and harsh (valence), and sinks (arousal), so that a tracker's
trail walks around the plane. The means are those that the listening studies found: tempo, loudness, register and
articulation carry arousal, mode and consonance carry valence (A. Gabrielsson and E. Lindström, "The role of structure
in the musical expression of emotions", in Juslin and Sloboda, Handbook of Music and Emotion, 2010).

The instruments were chosen by trying which arrangement the bundled model hears as intended, so the piece shows what
moodring does, not how well it does it.

Notes are sums of decaying partials; distortion, drums (noise and a falling sine) and a room (noise that decays) do
the rest. Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamer.score import SCORES, Part, Score, Timbre

FloatArray = NDArray[np.float32]

PEAK: Final = 0.89
SECTION_SECONDS: Final = 15.0
_TAIL_SECONDS = 2.0
"""How far a section's last notes and its reverberation reach into the next section."""
_FADE_SECONDS = 1.5
_SEED = 1980
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True)
class Section:
    """A part of the piece with one mood.

    Attributes
    ----------
    name : str
        The mood it was written for, as a word.
    start, end : float
        In seconds.
    valence, arousal : int
        Signs, -1 or 1, of the corner of the plane.
    """

    name: str
    start: float
    end: float
    valence: int
    arousal: int


SECTIONS: Final = tuple(
    Section(score.name, index * SECTION_SECONDS, (index + 1) * SECTION_SECONDS, score.valence, score.arousal)
    for index, score in enumerate(SCORES)
)
"""The sections in the order in which they sound; together they are the whole piece."""


def compose(sample_rate: int = 44100) -> FloatArray:
    """Compute the piece.

    Parameters
    ----------
    sample_rate : int
        Samples per second, at least 16000.

    Returns
    -------
    ndarray of float32, shape (60 * sample_rate, 2)
        Left and right; the largest sample is `PEAK`. The same for every call.

    Raises
    ------
    ValueError
        If the sample rate is too low for the notes' partials.
    """
    if sample_rate < 16000:
        raise ValueError(f"sample_rate must be at least 16000, not {sample_rate}")
    total = round(SECTIONS[-1].end * sample_rate)
    piece = np.zeros((total + round(_TAIL_SECONDS * sample_rate), 2), np.float32)
    random = np.random.default_rng(_SEED)
    for section, score in zip(SECTIONS, SCORES, strict=True):
        start = round(section.start * sample_rate)
        rendered = _in_a_room(_render(score, sample_rate, random), sample_rate)
        root_mean_square = np.sqrt(np.mean(np.square(rendered)))
        piece[start : start + len(rendered)] += rendered * (10 ** (score.level / 20) / root_mean_square)
    piece = piece[:total]
    fade = round(_FADE_SECONDS * sample_rate)
    piece[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32))[:, np.newaxis] ** 2
    piece *= np.float32(PEAK / np.abs(piece).max())
    return piece


def _render(score: Score, sample_rate: int, random: np.random.Generator) -> FloatArray:
    bars = score.bars.split("|")
    beat = SECTION_SECONDS / (len(bars) * score.beats_per_bar)
    mixed = np.zeros((round((SECTION_SECONDS + _TAIL_SECONDS) * sample_rate), 2), np.float32)
    for part in (score.singer, *score.parts):
        track = np.zeros(len(mixed), np.float32)
        notes: dict[tuple[int, float], FloatArray] = {}
        for when, pitch, length in _melody(score) if part is score.singer else _accompaniment(score, part):
            key = (pitch, length)
            if key not in notes:
                notes[key] = _note(part.timbre, pitch, length * beat, sample_rate)
            accent = 1.0 if when % 1 == 0 else 0.8
            _add(track, notes[key] * (accent * random.uniform(0.9, 1.0)), round(when * beat * sample_rate))
        if part.drive:
            track = np.tanh(part.drive * track) / np.tanh(part.drive)
        angle = np.pi / 4 * (1 + part.pan)
        mixed += part.gain * track[:, np.newaxis] * np.array([np.cos(angle), np.sin(angle)], np.float32)
    if score.drums:
        step = score.beats_per_bar * beat / len(score.drums)
        track = np.zeros(len(mixed), np.float32)
        hits = {name: _drum(name, sample_rate, random) for name in "ksh"}
        for index, name in enumerate(score.drums * len(bars)):
            if name != "-":
                _add(track, hits[name], round(index * step * sample_rate))
        mixed += score.drum_gain * track[:, np.newaxis]
    return mixed


def _melody(score: Score) -> Iterator[tuple[float, int, float]]:
    when = 0.0
    for word in score.melody.split():
        name, beats = word.split(":")
        if name != "-":
            yield when, _pitch(name), float(beats)
        when += float(beats)


def _accompaniment(score: Score, part: Part) -> Iterator[tuple[float, int, float]]:
    steps = part.steps.split()
    for bar, names in enumerate(score.bars.split("|")):
        chord = [_pitch(name) for name in names.split()]
        for index, word in enumerate(steps):
            when = (bar + index / len(steps)) * score.beats_per_bar
            for digit in word.replace("-", ""):
                octave, member = divmod(int(digit), len(chord))
                yield when, chord[member] + 12 * (octave + part.octave), part.length


def _pitch(name: str) -> int:
    """Return the MIDI number of a note such as ``F#4``."""
    return _NOTES.index(name[:-1]) + 12 * (int(name[-1]) + 1)


def _note(timbre: Timbre, pitch: int, seconds: float, sample_rate: int) -> FloatArray:
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    t = np.arange(round((seconds + timbre.release) * sample_rate)) / sample_rate
    sound = np.zeros(len(t), np.float32)
    for k in range(1, timbre.partials + 1):
        if k * frequency < 0.45 * sample_rate:
            cycles = (k * frequency * t) % 1  # reduced in double precision: the sine of it is then exact in single
            envelope = np.exp((t * (-(k**timbre.damping) / timbre.decay)).astype(np.float32))
            sound += np.float32(k**-timbre.rolloff) * envelope * np.sin((2 * np.pi * cycles).astype(np.float32))
    sound *= np.minimum(1, t / timbre.attack).astype(np.float32)
    fade = round(timbre.release * sample_rate)
    sound[-fade:] *= np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
    return sound


def _drum(name: str, sample_rate: int, random: np.random.Generator) -> FloatArray:
    seconds = {"k": 0.25, "s": 0.2, "h": 0.06}[name]
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    fade = np.exp(-6 * t / seconds) * np.minimum(1, (seconds - t) / 0.01)
    noise = random.standard_normal(len(t)) * 0.3
    if name == "k":
        # 50 Hz, starting an octave and a half higher: the phase is the integral of the falling frequency
        hit = np.sin(2 * np.pi * (50 * t + 90 * 0.03 * (1 - np.exp(-t / 0.03))))
    elif name == "s":
        hit = 0.5 * np.sin(2 * np.pi * 190 * t) + noise
    else:
        hit = 0.5 * np.diff(noise, prepend=0)
    sound: FloatArray = (hit * fade).astype(np.float32)
    return sound


def _in_a_room(sound: FloatArray, sample_rate: int) -> FloatArray:
    """Add reverberation, and take away what lies below hearing, in one multiplication of spectra."""
    t = np.arange(round(_TAIL_SECONDS * sample_rate)) / sample_rate
    noise = np.random.default_rng(_SEED).standard_normal((len(t), 2)) * np.exp(-t / 0.22)[:, np.newaxis]
    response = (0.25 * noise / np.sqrt(np.sum(noise**2, axis=0))).astype(np.float32)
    size = 1 << (len(sound) + len(t)).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / sample_rate).astype(np.float32)[:, np.newaxis]
    damped = np.fft.rfft(response, size, axis=0) / (1 + (frequency / 4000) ** 2)
    audible = 1 - np.exp(-((frequency / 20) ** 2))
    filtered = np.fft.irfft(np.fft.rfft(sound, size, axis=0) * ((1 + damped) * audible), size, axis=0)
    return filtered[: len(sound)].astype(np.float32, copy=False)


def _add(track: FloatArray, sound: FloatArray, start: int) -> None:
    end = min(len(track), start + len(sound))
    track[start:end] += sound[: end - start]
