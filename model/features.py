"""From the samples of 500 ms frames to their features; the same code for training and streaming.

Every frame is analysed by itself: no column of its spectrogram reaches into a neighbour. So a frame's
features depend on its own samples only, and streaming and offline use give identical values, bit for bit.

The filterbanks are librosa's, computed once by :func:`build_frontend` (which needs librosa) and stored in the
checkpoint; :class:`Frontend` itself is plain numpy, because librosa takes seconds to warm up.

Features of a frame, by column name
-----------------------------------
``logmel_mean``, ``logmel_std``
    mean and standard deviation, over the spectrogram's columns inside the frame, of the log-mel energies in dB
    (Malik et al. 2017, section 2.1, use the mean).
``logchroma``
    12 pitch classes from C upwards, in dB, from one FFT as long as the frame: their energy, the notes that sound
    (`model.chroma`), or one behind the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.chroma import PITCH_CLASSES, EnergyChroma, NoteChroma, chroma_of
from model.errors import shown
from model.kinds import check_kinds

FloatArray = NDArray[np.float32]

MOST_SAMPLES_PER_FRAME = 1 << 18
"""A longer frame is refused: 5 s at 48 kHz fit, and 64 frames at once stay below 100 MB."""
MOST_TAPERED_SAMPLES = 1 << 19
"""Samples of all the spectrogram columns of a frame together: 17 times what the defaults take, and 64 frames at once
stay below 1 GB. Without a bound, a hop of one sample would need gigabytes for a frame."""

FRAMES_AT_ONCE = 4
"""Frames whose spectra are computed together: those of more do not fit into a processor's cache, which takes almost
twice as long."""
SILENCE_DBFS = -200.0
"""Loudness given to a frame of exact zeros, in dBFS: below anything that 32-bit samples can hold."""

LARGEST_FILTER_WEIGHT = 100.0
"""Of a filterbank; librosa's reach 1. Larger ones would let the energies of loud sounds overflow."""

SMALLEST_ENERGY_FLOOR = 1e-30
"""Below it, 32-bit floats lose precision and then become 0, which has no logarithm."""

CHROMAS = {"energy": ("energy",), "notes": ("notes",), "both": ("energy", "notes")}
"""Of each value of `FeatureParameters.chroma`, what stands behind what in ``logchroma``."""


@dataclass(frozen=True)
class FeatureParameters:
    """What a frame is and how its features are computed. Travels inside the checkpoint.

    Attributes
    ----------
    sample_rate : int
        Samples per second that frames are cut at.
    frame_duration : float
        Length of a frame in seconds.
    fft_window : int
        Samples per spectrogram column (periodic Hann window); 1323 is the paper's 60 ms.
    fft_hop : int
        Samples between columns. With 441 (20 ms), 23 columns fill a frame exactly.
    mel_bands : int
        Bands of the mel filterbank (Slaney's scale and normalisation, librosa's default).
    mel_low, mel_high : float
        Edges of the filterbank in Hz.
    energy_floor : float
        Energies below it count as this much before the logarithm.
    dynamic_range : float
        Log-mel energies are cut off this many dB below the frame's largest one (librosa's ``top_db``).
    chroma : str
        What ``logchroma`` is made of: ``energy``, the energy at each pitch class, ``notes``, the notes that sound
        (`model.chroma`), or ``both``, the energy first.
    """

    sample_rate: int = 22050
    frame_duration: float = 0.5
    fft_window: int = 1323
    fft_hop: int = 441
    mel_bands: int = 64
    mel_low: float = 30.0
    mel_high: float = 8000.0
    energy_floor: float = 1e-10
    dynamic_range: float = 80.0
    chroma: str = "energy"

    def __post_init__(self) -> None:
        """Refuse sizes that cannot describe a frame.

        Raises
        ------
        ValueError
            If a value is of the wrong kind, a size is not positive, the FFT window is longer than the frame, or a
            frame would take more memory than is allowed.
        """
        check_kinds(self)
        if not 8000 <= self.sample_rate <= 192000:
            raise ValueError(f"sample_rate must be between 8000 and 192000, not {self.sample_rate}")
        if not 0.05 <= self.frame_duration <= 5.0:
            raise ValueError(f"frame_duration must be between 0.05 and 5 s, not {self.frame_duration}")
        if not 0 < self.fft_hop <= self.fft_window <= self.frame_length:
            raise ValueError("fft_hop, fft_window and the frame must grow in this order")
        if self.frame_length > MOST_SAMPLES_PER_FRAME:
            raise ValueError(f"a frame has at most {MOST_SAMPLES_PER_FRAME} samples, not {self.frame_length}")
        columns = (self.frame_length - self.fft_window) // self.fft_hop + 1
        if columns * self.fft_window > MOST_TAPERED_SAMPLES:
            raise ValueError(f"{columns} columns of {self.fft_window} samples are too many; take a larger fft_hop")
        if not 1 <= self.mel_bands <= 512:
            raise ValueError(f"mel_bands must be between 1 and 512, not {self.mel_bands}")
        if not 0 <= self.mel_low < self.mel_high <= self.sample_rate / 2:
            raise ValueError("mel_low and mel_high must lie between 0 and half the sample rate")
        if not SMALLEST_ENERGY_FLOOR <= self.energy_floor < 1:
            raise ValueError(f"energy_floor must be from {SMALLEST_ENERGY_FLOOR} to below 1, not {self.energy_floor}")
        if not 0 < self.dynamic_range <= 1000:
            raise ValueError(f"dynamic_range must be between 0 and 1000 dB, not {self.dynamic_range}")
        if self.chroma not in CHROMAS:
            raise ValueError(f'chroma must be "energy", "notes" or "both", not {shown(self.chroma)}')

    @property
    def frame_length(self) -> int:
        """Samples per frame."""
        return round(self.sample_rate * self.frame_duration)

    @property
    def chromas(self) -> tuple[str, ...]:
        """What ``logchroma`` is made of, in its order: ``energy``, ``notes``."""
        return CHROMAS[self.chroma]

    @property
    def columns(self) -> dict[str, slice]:
        """Where each named group of features stands in a feature row."""
        return {
            "logmel_mean": slice(0, self.mel_bands),
            "logmel_std": slice(self.mel_bands, 2 * self.mel_bands),
            "logchroma": slice(2 * self.mel_bands, self.feature_count),
        }

    @property
    def feature_count(self) -> int:
        """Length of a feature row."""
        return 2 * self.mel_bands + PITCH_CLASSES * len(self.chromas)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a JSON object; `chroma` only where notes are in it, as the first files lack it."""
        described = asdict(self)
        if self.chroma == "energy":
            del described["chroma"]
        return described


class RecentColumns:
    """Log-mel columns of a stream's last frames, for frames that overlap them.

    Parameters
    ----------
    frames : int
        How many frames are remembered.
    """

    def __init__(self, frames: int) -> None:
        self._frames: deque[tuple[int, FloatArray]] = deque(maxlen=frames)

    def before(self, end: int, hop: int, columns: int) -> FloatArray | None:
        """Return the columns that a frame begins with and one of those before it has already.

        Parameters
        ----------
        end : int
            The frame's end in samples of its stream; audio that was lost is counted, and no frame reaches over it.
        hop : int
            Samples between columns.
        columns : int
            Columns of a frame.

        Returns
        -------
        ndarray of float32, shape (fewer than columns, bands), or None
            None if they have none in common.
        """
        for other, logmel in reversed(self._frames):
            new, between = divmod(end - other, hop)
            if not between and 0 < new < columns:
                return logmel[new:]
        return None

    def remember(self, end: int, logmel: FloatArray) -> None:
        """Keep the columns of a frame, shape (columns, bands), that must not be changed afterwards."""
        self._frames.append((end, logmel))


class Frontend:
    """Computes the features of frames.

    Parameters
    ----------
    parameters : FeatureParameters
        What to compute.
    mel_filterbank : ndarray, shape (mel_bands, fft_window // 2 + 1)
        Weights from FFT bins to mel bands.
    chroma_filterbank : ndarray, shape (12, frame_length // 2 + 1), optional
        Weights from FFT bins of the whole frame to pitch classes, where `FeatureParameters.chroma` is of energy.
    notes : NoteChroma, optional
        What hears the notes in the same bins, where it is of notes.

    Raises
    ------
    ValueError
        If a filterbank's shape, or what chroma is made of, does not fit the parameters.
    """

    def __init__(
        self,
        parameters: FeatureParameters,
        mel_filterbank: FloatArray,
        chroma_filterbank: FloatArray | None = None,
        notes: NoteChroma | None = None,
    ) -> None:
        given = {"energy": chroma_filterbank is not None, "notes": notes is not None}
        if any(there != (kind in parameters.chromas) for kind, there in given.items()):
            raise ValueError(f"chroma is not what the features say: {parameters.chroma}")
        _check_shape("mel", mel_filterbank, (parameters.mel_bands, parameters.fft_window // 2 + 1))
        self.parameters = parameters
        self.mel_filterbank = np.ascontiguousarray(mel_filterbank, dtype=np.float32)
        self._mel_weights = np.ascontiguousarray(self.mel_filterbank.T)
        self._chromas: list[EnergyChroma | NoteChroma] = []
        if chroma_filterbank is not None:
            _check_shape("chroma", chroma_filterbank, (PITCH_CLASSES, parameters.frame_length // 2 + 1))
            self._chromas.append(EnergyChroma(chroma_filterbank, parameters.energy_floor))
        if notes is not None:
            self._chromas.append(notes)
        self._column_taper = spectrum_taper(parameters.fft_window)
        self._frame_taper = spectrum_taper(parameters.frame_length)

    def tensors(self) -> dict[str, FloatArray]:
        """Return what of it is numbers, by names for a file; `frontend_of` makes it from them again."""
        tensors = {"mel_filterbank": self.mel_filterbank}
        for chroma in self._chromas:
            tensors |= chroma.tensors()
        return tensors

    def __call__(
        self, frames: FloatArray, overlapping: Sequence[tuple[RecentColumns, int]] | None = None
    ) -> FloatArray:
        """Compute the features of frames.

        Parameters
        ----------
        frames : ndarray of float32, shape (n, frame_length)
            Mono samples, full scale at ±1.
        overlapping : sequence of tuple, optional
            Of each frame, what is known of frames before it that it may overlap, and its end in samples of its
            stream. Spectra of columns that they have in common are computed once.

        Returns
        -------
        ndarray of float32, shape (n, feature_count)
            One row per frame, in dB, laid out as `FeatureParameters.columns` says. A row does not depend on
            the other frames of the call.

        Raises
        ------
        ValueError
            If `frames` does not have that shape.
        """
        p = self.parameters
        if frames.ndim != 2 or frames.shape[1] != p.frame_length:
            raise ValueError(f"frames must have shape (n, {p.frame_length}), not {frames.shape}")
        frames = np.ascontiguousarray(frames, dtype=np.float32)
        rows = np.empty((len(frames), p.feature_count), dtype=np.float32)
        for start in range(0, len(frames), FRAMES_AT_ONCE):
            part = slice(start, start + FRAMES_AT_ONCE)
            self._compute(frames[part], None if overlapping is None else overlapping[part], rows[part])
        return rows

    def _compute(
        self, frames: FloatArray, overlapping: Sequence[tuple[RecentColumns, int]] | None, rows: FloatArray
    ) -> None:
        p = self.parameters
        columns = columns_of(frames, p.fft_window, p.fft_hop)
        logmel = self._logmel(columns) if overlapping is None else self._logmel_of_new(columns, overlapping)
        loudest = logmel.max(axis=(1, 2), keepdims=True)
        logmel = np.maximum(logmel, loudest - np.float32(p.dynamic_range))
        count = np.float32(logmel.shape[1])
        mean = np.add.reduce(logmel, axis=1, keepdims=True) / count
        logmel -= mean
        logmel *= logmel
        where = p.columns
        rows[:, where["logmel_mean"]] = mean[:, 0]
        np.sqrt(np.add.reduce(logmel, axis=1) / count, out=rows[:, where["logmel_std"]])
        energies = power_spectrum(frames * self._frame_taper)
        first = where["logchroma"].start
        for i, chroma in enumerate(self._chromas):
            rows[:, first + PITCH_CLASSES * i : first + PITCH_CLASSES * (i + 1)] = chroma(energies)

    def _logmel(self, columns: FloatArray) -> FloatArray:
        # matmul of a stack multiplies frame by frame, so a row's rounding does not depend on how many there are
        return self._decibels(np.matmul(power_spectrum(columns * self._column_taper), self._mel_weights))

    def _logmel_of_new(self, columns: FloatArray, overlapping: Sequence[tuple[RecentColumns, int]]) -> FloatArray:
        logmel = np.empty((*columns.shape[:2], self.parameters.mel_bands), dtype=np.float32)
        for of_frame, samples, (recent, end) in zip(logmel, columns, overlapping, strict=True):
            known = recent.before(end, self.parameters.fft_hop, len(samples))
            new = 0
            if known is not None:
                new = len(known)
                of_frame[:new] = known
            of_frame[new:] = self._logmel(samples[np.newaxis, new:])[0]
            recent.remember(end, of_frame)
        return logmel

    def _decibels(self, energy: FloatArray) -> FloatArray:
        decibels: FloatArray = 10 * np.log10(np.maximum(energy, np.float32(self.parameters.energy_floor)))
        return decibels


def frontend_of(parameters: FeatureParameters, tensors: Mapping[str, FloatArray]) -> Frontend:
    """Make a frontend from what `Frontend.tensors` gave, as a file holds it.

    Raises
    ------
    ValueError
        If a tensor is missing, of another shape, or holds what is not allowed.
    """
    mel, kinds = _bank(tensors, "mel_filterbank"), parameters.chromas
    return Frontend(
        parameters,
        mel,
        _bank(tensors, "chroma_filterbank") if "energy" in kinds else None,
        chroma_of(tensors, parameters.frame_length, parameters.sample_rate) if "notes" in kinds else None,
    )


def _bank(tensors: Mapping[str, FloatArray], name: str) -> FloatArray:
    if name not in tensors:
        raise ValueError(f'tensor "frontend.{name}" is missing')
    return check_filterbank(f"frontend.{name}", tensors[name])


def _check_shape(name: str, bank: FloatArray, shape: tuple[int, int]) -> None:
    if bank.shape != shape:
        raise ValueError(f"the {name} filterbank has shape {bank.shape}, not {shape}")


def check_filterbank(name: str, bank: FloatArray) -> FloatArray:
    """Return a filterbank of a file if energies can be multiplied by it.

    Raises
    ------
    ValueError
        If a weight is negative or larger than `LARGEST_FILTER_WEIGHT`.
    """
    if not bool(((bank >= 0) & (bank <= LARGEST_FILTER_WEIGHT)).all()):
        raise ValueError(f'tensor "{name}" must have weights from 0 to {LARGEST_FILTER_WEIGHT:g}')
    return bank


def columns_of(frames: FloatArray, window: int, hop: int) -> FloatArray:
    """Return the samples of a spectrogram's columns, shape (n, columns, window), without copying them.

    Parameters
    ----------
    frames : ndarray of float32, shape (n, frame_length)
        Contiguous in memory.
    window : int
        Samples of a column.
    hop : int
        Samples between columns.
    """
    count, length = frames.shape
    shape = (count, (length - window) // hop + 1, window)
    # numpy's own sliding_window_view takes as long as the tapering after it
    columns: FloatArray = np.ndarray(
        shape, frames.dtype, frames, 0, (frames.strides[0], hop * frames.itemsize, frames.itemsize)
    )
    return columns


def mean_square(frames: FloatArray) -> NDArray[np.float64]:
    """Return the power, shape (n,), of frames of samples, shape (n, frame_length)."""
    power: NDArray[np.float64] = np.vecdot(frames, frames).astype(np.float64) / frames.shape[1]
    return power


def loudness(frames: FloatArray) -> FloatArray:
    """Root-mean-square level of frames.

    Parameters
    ----------
    frames : ndarray of float32, shape (n, frame_length)
        Mono samples, full scale at ±1.

    Returns
    -------
    ndarray of float32, shape (n,)
        dBFS (a full-scale square wave has 0); `SILENCE_DBFS` for exact zeros.
    """
    return level(mean_square(frames))


def level(powers: NDArray[np.float64]) -> FloatArray:
    """Return powers of any shape, from `mean_square`, in dBFS, as `loudness` does."""
    decibels: FloatArray = (10 * np.log10(np.maximum(powers, 10 ** (SILENCE_DBFS / 10)))).astype(np.float32)
    return decibels


def build_frontend(
    parameters: FeatureParameters | None = None, notes: Mapping[str, FloatArray] | None = None
) -> Frontend:
    """Make a frontend with librosa's filterbanks.

    Needs librosa and takes seconds: for training, and for tests that have no checkpoint. Live code gets its
    frontend from a checkpoint.

    Parameters
    ----------
    parameters : FeatureParameters, optional
        The defaults if not given.
    notes : mapping of str to ndarray, optional
        Weights of `model.chroma.NoteChroma`. With them, chroma is of ``both``, unless the parameters say ``notes``.

    Returns
    -------
    Frontend
    """
    import librosa.filters

    p = parameters or FeatureParameters()
    mel = librosa.filters.mel(sr=p.sample_rate, n_fft=p.fft_window, n_mels=p.mel_bands, fmin=p.mel_low, fmax=p.mel_high)
    if notes is not None and p.chroma == "energy":
        p = replace(p, chroma="both")
    chroma = None
    if "energy" in p.chromas:
        chroma = librosa.filters.chroma(sr=p.sample_rate, n_fft=p.frame_length, tuning=0.0).astype(np.float32)
    return Frontend(
        p,
        mel.astype(np.float32),
        chroma,
        None if notes is None else NoteChroma(notes, p.frame_length, p.sample_rate),
    )


def periodic_hann(length: int) -> FloatArray:
    """Return the periodic Hann window of so many samples."""
    # not scipy.signal.get_window: importing scipy.signal takes a second
    return np.hanning(length + 1)[:-1].astype(np.float32)


def spectrum_taper(length: int) -> FloatArray:
    """Return the periodic Hann window of so many samples for what `power_spectrum` is given."""
    # its FFT is divided by the length
    taper: FloatArray = periodic_hann(length) * np.float32(length)
    return taper


def power_spectrum(tapered: FloatArray) -> FloatArray:
    """Return the energies of the FFT bins of the last axis, of what was multiplied by a `spectrum_taper`."""
    # without a norm that it divides by, numpy computes in double precision, one signal after the other
    spectrum = np.fft.rfft(tapered, norm="forward")
    squares = spectrum.view(np.float32)
    squares *= squares
    energies: FloatArray = squares[..., ::2] + squares[..., 1::2]
    return energies
