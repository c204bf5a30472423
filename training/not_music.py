"""Sounds that are not music, made from a seed: what a model should be least sure of.

Noise of several colours, hum, crowds that talk, applause, rain, machines and clicks; no recordings. They are trained on
with labels that are drawn anew each time, so that no estimate of them is worth much (outlier exposure, Hendrycks et al.
2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.ear import Ear
from model.estimator import feature_rows
from model.features import FeatureParameters, FloatArray, Frontend
from training.clips import DEVELOPMENT, Clip, StaticLabels
from training.room_noise import babble, pink
from training.sampling import WindowSampler

NOT_MUSIC = "not music"
CLIP_SECONDS = 30
_LEVELS = (-35.0, -12.0)
"""Root mean square in dBFS between which clips are drawn."""

Samples = NDArray[np.float64]


def not_music_features(
    frontend: Frontend, ear: Ear | None, seed: int = 0, clips_per_kind: int = 6, shortest: int = 0
) -> list[FloatArray]:
    """Return the rows that a network takes of clips that are not music.

    Parameters
    ----------
    frontend : Frontend
    ear : Ear, optional
        What adds its columns.
    seed : int
        What the sounds follow from.
    clips_per_kind : int
        Clips of each kind of sound.
    shortest : int
        Frames that each has at least; `CLIP_SECONDS` long otherwise.

    Returns
    -------
    list of ndarray of float32, shape (frames, feature_count + ear_columns)
    """
    rows = []
    for clip in not_music(frontend.parameters, seed, clips_per_kind, shortest):
        memory = None if ear is None else ear.memory()
        rows.append(feature_rows(frontend, ear, clip, [memory] * len(clip)))
    return rows


def not_music_sampler(rows: Sequence[FloatArray], frame_duration: float) -> WindowSampler:
    """Return a sampler of windows of clips that are not music; see `not_music_features`."""
    labels = StaticLabels(0.0, 0.0)
    clips = [Clip(NOT_MUSIC, str(i), str(i), Path(), DEVELOPMENT, labels) for i in range(len(rows))]
    return WindowSampler(clips, rows, frame_duration)


def not_music(
    parameters: FeatureParameters, seed: int = 0, clips_per_kind: int = 6, shortest: int = 0
) -> list[FloatArray]:
    """Return frames of clips that are not music, each of shape (frames, frame_length), full scale at ±1."""
    rng = np.random.default_rng(seed)
    length = parameters.frame_length
    count = max(round(CLIP_SECONDS / parameters.frame_duration), shortest)
    clips = []
    for kind in _KINDS:
        for _ in range(clips_per_kind):
            samples = kind(count * length, parameters.sample_rate, rng)
            level = 10 ** (rng.uniform(*_LEVELS) / 20)
            samples = samples * (level / max(float(np.sqrt(np.mean(samples**2))), 1e-12))
            clips.append(np.clip(samples, -1, 1).astype(np.float32).reshape(count, length))
    return clips


def _coloured_noise(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    slope = rng.uniform(-1.2, 0.6)
    low, high = np.exp(rng.uniform(np.log(20), np.log(800))), np.exp(rng.uniform(np.log(2000), np.log(11000)))
    shape = np.maximum(frequencies, 20.0) ** slope * (frequencies > low) * (frequencies < high)
    return np.fft.irfft(spectrum * shape, length)


def _hum(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    time = np.arange(length) / sample_rate
    mains = rng.choice([50.0, 60.0]) * rng.uniform(0.99, 1.01)
    tones = sum(
        rng.uniform(0, 1) / n * np.sin(2 * np.pi * mains * n * time + rng.uniform(0, 2 * np.pi)) for n in range(1, 20)
    )
    return np.asarray(tones + 0.05 * pink(length, sample_rate, rng))


def _talk(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    return np.asarray(babble(length, sample_rate, rng), dtype=np.float64)


def _speaker(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """One voice: a buzz of gliding pitch through formants that change with every syllable, and pauses."""
    voice = np.zeros(length)
    base = rng.uniform(90, 230)
    at = 0
    while at < length:
        syllable = int(rng.uniform(0.08, 0.3) * sample_rate)
        stop = min(at + syllable, length)
        time = np.arange(stop - at) / sample_rate
        pitch = base * 2 ** (rng.uniform(-0.4, 0.4) + rng.uniform(-0.5, 0.5) * time / 0.3)
        phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
        formants = [rng.uniform(250, 850), rng.uniform(800, 2400), rng.uniform(2200, 3200)]
        sound = np.zeros(stop - at)
        for harmonic in range(1, 30):
            frequency = harmonic * float(pitch.mean())
            gain = sum(np.exp(-(((frequency - formant) / 150) ** 2)) for formant in formants) + 0.02
            sound += gain * np.sin(harmonic * phase)
        if rng.random() < 0.25:
            sound = 2 * np.diff(rng.standard_normal(stop - at + 1))
        voice[at:stop] += sound * np.hanning(stop - at)
        at = stop + int(rng.uniform(0, 0.08) * sample_rate)
        if rng.random() < 0.08:
            at += int(rng.uniform(0.2, 0.8) * sample_rate)
    return voice + 1e-3 * rng.standard_normal(length)


def _bursts(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Applause, rain or a machine gun of clicks: the density and the length of the bursts decide."""
    per_second = np.exp(rng.uniform(np.log(4), np.log(1500)))
    decay = np.exp(rng.uniform(np.log(0.0005), np.log(0.03)))
    impulses = (rng.random(length) < per_second / sample_rate) * rng.standard_normal(length)
    response = rng.standard_normal(int(5 * decay * sample_rate) + 2)
    response *= np.exp(-np.arange(len(response)) / (decay * sample_rate))
    swell = 1 + 0.8 * np.sin(2 * np.pi * np.arange(length) / sample_rate * rng.uniform(0.02, 0.3))
    size = length + len(response) - 1
    return np.fft.irfft(np.fft.rfft(impulses, size) * np.fft.rfft(response, size), size)[:length] * swell


def _machine(length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    time = np.arange(length) / sample_rate
    turns = rng.uniform(3, 40)
    strokes = np.maximum(0, np.sin(2 * np.pi * turns * time)) ** rng.integers(1, 20)
    return np.asarray(strokes * _coloured_noise(length, sample_rate, rng))


_KINDS: tuple[Callable[[int, int, np.random.Generator], Samples], ...] = (
    _coloured_noise,
    _hum,
    _talk,
    _speaker,
    _bursts,
    _machine,
)
