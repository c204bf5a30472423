"""An ear: a network that hears more in a frame's sound than a frontend computes, and puts it into a few numbers.

Every ear looks at the same picture, a mel spectrogram of the frame (`EarFrontend`), whose gain is removed by the mean
power of the last ten seconds (`EarMemory`): neither looks at what is still to come. What precedes a stream's first
frame is taken to be that frame again and again.

Kinds
-----
musicnn
    The frozen convolutions and the dense layer of networks that were trained to tag music (`model.musicnn`); their
    weights stay in their own package.
distilled
    A small network that was taught to say what those say (`model.distilled_ear`), of whole frames without context; its
    weights are in the checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.features import FRAMES_AT_ONCE, FloatArray, columns_of, mean_square, power_spectrum, spectrum_taper

SAMPLE_RATE = 22050
FRAME_LENGTH = 11025
FFT_WINDOW = 705
"""32 ms, as long as musicnn's 512 samples at 16 kHz."""
FFT_HOP = 344
COLUMNS = 31
"""Columns of a frame; none reaches into a neighbour."""
MEL_BANDS = 96
MEL_HIGH = 8000.0
_POWER_SCALE = (512 / FFT_WINDOW) ** 2
_USUAL_POWER = 10 ** (-17 / 10)
"""Mean power that music is brought to, about that of mastered recordings."""
_LEAST_POWER = 1e-9
LEVEL_SPAN = 20
"""Frames whose mean power the gain is removed by."""
LONGEST_SPAN, MOST_FILTERS = 64, 4096
"""Of a distilled ear: frames that it may pool, and filters that it may pool of each."""


class EarFrontend:
    """Computes the mel spectrogram of frames, before the gain is removed.

    Parameters
    ----------
    mel_filterbank : ndarray, shape (MEL_BANDS, FFT_WINDOW // 2 + 1)
        Weights from FFT bins to mel bands.

    Raises
    ------
    ValueError
        If the filterbank has another shape.
    """

    def __init__(self, mel_filterbank: FloatArray) -> None:
        shape = (MEL_BANDS, FFT_WINDOW // 2 + 1)
        if mel_filterbank.shape != shape:
            raise ValueError(f"the ear's mel filterbank has shape {mel_filterbank.shape}, not {shape}")
        self.mel_filterbank = np.ascontiguousarray(mel_filterbank, dtype=np.float32)
        self._weights = np.ascontiguousarray(self.mel_filterbank.T) * np.float32(_POWER_SCALE)
        self._taper = spectrum_taper(FFT_WINDOW)

    def __call__(self, frames: FloatArray) -> FloatArray:
        """Return mel energies, shape (n, COLUMNS, MEL_BANDS), of frames of float32 samples, shape (n, FRAME_LENGTH)."""
        if len(frames) > FRAMES_AT_ONCE:
            starts = range(0, len(frames), FRAMES_AT_ONCE)
            return np.concatenate([self(frames[start : start + FRAMES_AT_ONCE]) for start in starts])
        columns = columns_of(np.ascontiguousarray(frames, dtype=np.float32), FFT_WINDOW, FFT_HOP)
        energies: FloatArray = np.matmul(power_spectrum(columns * self._taper), self._weights)
        return energies


def build_ear_frontend() -> EarFrontend:
    """Make the frontend with librosa's filterbank; takes seconds, for training only."""
    import librosa.filters

    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT_WINDOW, n_mels=MEL_BANDS, fmin=0.0, fmax=MEL_HIGH)
    return EarFrontend(bank.astype(np.float32))


@dataclass(frozen=True)
class EarShape:
    """What an ear needs of the past and how much it says.

    Attributes
    ----------
    context : int
        Frames before the newest one that its convolutions look at.
    span : int
        Frames whose convolved columns are pooled into what it says.
    outputs : int
        Numbers that it says of every frame.
    """

    context: int
    span: int
    outputs: int


def _compressed(energies: FloatArray, gain: FloatArray | np.float32) -> FloatArray:
    compressed: FloatArray = np.log10(np.float32(1e4) * gain * energies + 1)
    return compressed


class EarMemory:
    """What an ear remembers of one stream."""

    def __init__(self, shape: EarShape) -> None:
        self._powers: deque[float] = deque(maxlen=LEVEL_SPAN)
        self._spectrograms: deque[FloatArray] = deque(maxlen=shape.context)
        self._pooled: deque[FloatArray] = deque(maxlen=shape.span - 1)

    def remove_gain(self, energies: FloatArray, power: float) -> FloatArray:
        """Bring a frame's mel energies to the usual level, and take their logarithm.

        Parameters
        ----------
        energies : ndarray of float32, shape (COLUMNS, MEL_BANDS)
        power : float
            Mean square of the frame's samples.

        Returns
        -------
        ndarray of float32, shape (COLUMNS, MEL_BANDS)
            ``log10(10000 x + 1)``, as musicnn takes it.
        """
        return _compressed(energies, np.float32(self.gain(power)))

    def gain(self, power: float) -> float:
        """Return the gain that brings a frame's power to the usual level, and remember the frame's mean square."""
        self._powers.append(power)
        return _USUAL_POWER / max(sum(self._powers) / len(self._powers), _LEAST_POWER)

    def with_context(self, spectrograms: FloatArray) -> FloatArray:
        """Put what was heard before new frames' spectrograms, shape (n, …), in front of them, and remember them."""
        missing = (self._spectrograms.maxlen or 0) - len(self._spectrograms)
        context = [spectrograms[0]] * missing if not self._spectrograms else list(self._spectrograms)
        whole = np.concatenate([np.stack(context), spectrograms]) if context else spectrograms
        if missing and not self._spectrograms:
            self._spectrograms.extend(context)
        self._spectrograms.extend(spectrograms)
        return whole

    def with_span(self, pooled: FloatArray) -> FloatArray:
        """Return the last `span` frames' pooled columns up to each new frame, shape (n, span, …), and remember them."""
        span = (self._pooled.maxlen or 0) + 1
        if not self._pooled:
            self._pooled.extend([pooled[0]] * (span - 1))
        whole = np.concatenate([np.stack(list(self._pooled)), pooled]) if span > 1 else pooled
        self._pooled.extend(pooled)
        spans: FloatArray = whole[np.arange(len(pooled))[:, np.newaxis] + np.arange(span)]
        return spans


class Ear(ABC):
    """What every kind of ear has in common; a kind says how it convolves and reads out.

    Attributes
    ----------
    kind : str
        Its name in a checkpoint.
    frontend : EarFrontend
        From samples to spectrograms.
    shape : EarShape
        Its needs.
    """

    kind: str
    frontend: EarFrontend
    shape: EarShape

    def memory(self) -> EarMemory:
        """Return an empty memory, for a stream's beginning."""
        return EarMemory(self.shape)

    @abstractmethod
    def convolved(self, spectrograms: FloatArray) -> FloatArray:
        """Look at spectrograms, shape (batch, context + n, COLUMNS, MEL_BANDS); return shape (batch, n, columns)."""

    @abstractmethod
    def said_of(self, pooled: FloatArray) -> FloatArray:
        """Turn what was convolved, shape (batch, span, columns), into what the ear says, shape (batch, outputs)."""

    @abstractmethod
    def digest(self) -> bytes:
        """Identify the ear: different for ears that say different things."""

    def hear(
        self, frames: FloatArray, memories: Sequence[EarMemory], powers: NDArray[np.float64] | None = None
    ) -> FloatArray:
        """Hear frames of one or more streams.

        Parameters
        ----------
        frames : ndarray of float32, shape (n, FRAME_LENGTH)
            Mono samples, full scale at ±1; those of one stream in their order.
        memories : sequence of EarMemory
            Of the stream of each frame.
        powers : ndarray of float64, shape (n,), optional
            The mean squares of the frames' samples, if they are known.

        Returns
        -------
        ndarray of float32, shape (n, outputs)
        """
        levels: list[float] = (mean_square(frames) if powers is None else powers).tolist()
        if self.shape.context == 0:
            gains = [memory.gain(power) for memory, power in zip(memories, levels, strict=True)]
            compressed = _compressed(self.frontend(frames), np.array(gains, dtype=np.float32)[:, None, None])
            pooled = self.convolved(compressed[:, np.newaxis])
            return self.said_of(np.concatenate([m.with_span(one) for m, one in zip(memories, pooled, strict=True)]))
        rows_of: dict[int, list[int]] = {}
        for row, memory in enumerate(memories):
            rows_of.setdefault(id(memory), []).append(row)
        energies = self.frontend(frames)
        said = np.empty((len(frames), self.shape.outputs), dtype=np.float32)
        for length in sorted({len(rows) for rows in rows_of.values()}):
            chosen = [rows for rows in rows_of.values() if len(rows) == length]
            spectrograms = np.stack(
                [[memories[row].remove_gain(energies[row], levels[row]) for row in rows] for rows in chosen]
            )
            heard = self.hear_spectrograms(spectrograms, [memories[rows[0]] for rows in chosen])
            said[np.concatenate(chosen)] = heard.reshape(-1, self.shape.outputs)
        return said

    def hear_spectrograms(self, spectrograms: FloatArray, memories: Sequence[EarMemory]) -> FloatArray:
        """Hear frames whose gain is removed already, as many of each stream.

        Parameters
        ----------
        spectrograms : ndarray of float32, shape (streams, n, COLUMNS, MEL_BANDS)
            What `EarMemory.remove_gain` gave; frames of a stream in their order.
        memories : sequence of EarMemory
            Of each stream.

        Returns
        -------
        ndarray of float32, shape (streams, n, outputs)
        """
        looked_at = [memory.with_context(part) for memory, part in zip(memories, spectrograms, strict=True)]
        pooled = self.convolved(np.stack(looked_at))
        spans = [memory.with_span(part) for memory, part in zip(memories, pooled, strict=True)]
        return self.said_of(np.concatenate(spans)).reshape(*spectrograms.shape[:2], -1)
