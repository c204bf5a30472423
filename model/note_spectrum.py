"""What a frame's spectrum shows of each of a piano's notes: the bands around its first partials and half its frequency.

Harmonic stacking: Bittner et al. 2017, "Deep salience representations for f0 estimation in polyphonic music". Bands of
a higher octave are those of the octave below at half the resolution, as in the constant-Q transform of Schörkhuber &
Klapuri 2010: a bin there is the mean of its neighbours, weighted by a triangle.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

NOTES = 88
LOWEST_NOTE = 21
"""A piano's lowest key, in MIDI's numbers."""
BANDS_PER_SEMITONE = 3
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8)
MOST_BANDS_PER_HARMONIC = 33

_LOWEST_FREQUENCY = 27.5
_OCTAVE = 12 * BANDS_PER_SEMITONE
_FINE_OCTAVES = 3
"""Octaves that need the full resolution; the others have that of the one above these."""
_DYNAMIC_RANGE = np.float32(80.0)
_SMALLEST_ENERGY = np.float32(1e-20)
_QUIETEST = 10 * np.log10(_SMALLEST_ENERGY) + _DYNAMIC_RANGE
"""What is taken as 0 dB at least, so that in silence every band is silent."""
_SILENT = np.float32(-2.0)


SPECTRUM_BANDS = _OCTAVE + BANDS_PER_SEMITONE * NOTES + int(_OCTAVE * np.log2(HARMONICS[-1]))
_BANDS = SPECTRUM_BANDS - _OCTAVE
_POSITION = np.linspace(-1, 1, NOTES, dtype=np.float32)


class NoteSpectrum:
    """What a frame's spectrum shows of each note.

    Parameters
    ----------
    frame_length, sample_rate : int
        Of the frames.
    """

    def __init__(self, frame_length: int, sample_rate: int) -> None:
        width = sample_rate / frame_length
        fine, octave = _OCTAVE * _FINE_OCTAVES, slice(_OCTAVE * _FINE_OCTAVES, _OCTAVE * (_FINE_OCTAVES + 1))
        bands = triangular_bands(frame_length // 2 + 1, width)
        self._bands = int(np.count_nonzero(_frequencies(_BANDS) < sample_rate / 2))
        self._octaves = max(0, -(-(self._bands - fine) // _OCTAVE))
        looked_at = np.flatnonzero(bands[:, octave].any(axis=1))
        self._bins = slice(int(looked_at[0]), int(looked_at[-1]) + 1) if looked_at.size else slice(0, 1)
        self._fine = np.ascontiguousarray(bands[: self._bins.stop, :fine])
        self._octave = np.ascontiguousarray(bands[self._bins, octave])

    def bands(self, energies: FloatArray) -> FloatArray:
        """Return the mean energies in three bands per semitone from the lowest note on, shape (n, bands).

        Those above half the sample rate are left out.
        """
        n, (first, stop) = len(energies), (self._bins.start, self._bins.stop)
        # stacks are multiplied frame by frame, so a row's rounding does not depend on how many there are
        fine = np.matmul(energies[:, np.newaxis, :stop], self._fine)[:, 0]
        margin = 1 << self._octaves
        padded = np.zeros((n, margin + energies.shape[1] + margin), dtype=np.float32)
        padded[:, margin:-margin] = energies
        coarser = np.zeros((n, self._octaves, stop - first), dtype=np.float32)
        for octave in range(self._octaves):
            step = 1 << octave
            there = min(stop, (energies.shape[1] - 1) // step + 1) - first
            # what each bin of this octave is the mean of, without copying it
            neighbours = np.ndarray(
                (n, max(0, there), 2 * step - 1),
                np.float32,
                padded,
                (margin + (first - 1) * step + 1) * padded.itemsize,
                (padded.strides[0], step * padded.itemsize, padded.itemsize),
            )
            np.matmul(neighbours, _triangle(step), out=coarser[:, octave, : max(0, there)])
        bands = np.concatenate([fine, np.matmul(coarser, self._octave).reshape(n, -1)], axis=1)
        return bands[:, : self._bands]

    def spectrum(self, energies: FloatArray) -> FloatArray:
        """Return the bands without their gain.

        Parameters
        ----------
        energies : ndarray of float32, shape (n, frame_length // 2 + 1)
            Of FFT bins, from `model.features.power_spectrum` of whole frames.

        Returns
        -------
        ndarray of float32, shape (n, SPECTRUM_BANDS)
            Three bands per semitone, -2 for 80 dB or more below the loudest one, 2 for as loud; the first octave lies
            below the notes, and what lies there or above half the sample rate is -2.
        """
        decibels = 10 * np.log10(np.maximum(self.bands(energies), _SMALLEST_ENERGY))
        loudest = np.maximum(decibels.max(axis=1, keepdims=True), _QUIETEST)
        spectrum = np.full((len(energies), SPECTRUM_BANDS), _SILENT)
        heard = spectrum[:, _OCTAVE : _OCTAVE + self._bands]
        heard[:] = np.maximum((decibels - loudest + _DYNAMIC_RANGE / 2) / (_DYNAMIC_RANGE / 4), _SILENT)
        return spectrum


def inputs_of(bands_per_harmonic: int) -> int:
    """Return how many numbers `around_notes` gives of each note."""
    return len(HARMONICS) * bands_per_harmonic + 2


def around_notes(spectrum: FloatArray, bands_per_harmonic: int) -> FloatArray:
    """Return what is seen of each note: the bands around `HARMONICS`, the mean of all bands, and where the note lies.

    Parameters
    ----------
    spectrum : ndarray of float32, shape (n, SPECTRUM_BANDS)
        From `NoteSpectrum.spectrum`.
    bands_per_harmonic : int
        Odd: as many on either side of the harmonic's own.

    Returns
    -------
    ndarray of float32, shape (n, NOTES, inputs_of(bands_per_harmonic))
        From -2 to 2.
    """
    margin, places = _places(bands_per_harmonic)
    wider = np.full((len(spectrum), margin + SPECTRUM_BANDS + margin), _SILENT)
    wider[:, margin:-margin] = spectrum
    seen = np.empty((len(spectrum), NOTES, inputs_of(bands_per_harmonic)), dtype=np.float32)
    seen[..., :-2] = wider[:, places]
    seen[..., -2] = spectrum.mean(axis=1, keepdims=True)
    seen[..., -1] = _POSITION
    return seen


@lru_cache
def _places(bands_per_harmonic: int) -> tuple[int, NDArray[np.intp]]:
    """Return how many bands are needed beyond either end, and in which bands each note is seen, counted with these."""
    margin = max(1, bands_per_harmonic // 2)
    middle = margin + _OCTAVE + BANDS_PER_SEMITONE // 2 + np.round(_OCTAVE * np.log2(HARMONICS)).astype(int)
    seen = middle[:, np.newaxis] + np.arange(bands_per_harmonic) - bands_per_harmonic // 2
    places: NDArray[np.intp] = BANDS_PER_SEMITONE * np.arange(NOTES)[:, np.newaxis] + seen.ravel()
    return margin, places


def _frequencies(bands: int) -> NDArray[np.float64]:
    # the middle one of a semitone's bands is the note
    steps = (np.arange(bands) - BANDS_PER_SEMITONE // 2) / _OCTAVE
    frequencies: NDArray[np.float64] = _LOWEST_FREQUENCY * 2**steps
    return frequencies


def triangular_bands(bins: int, width: float) -> FloatArray:
    """Return overlapping bands at full resolution, the weights of FFT bins of a given width in Hz.

    A band reaches over two thirds of a semitone to either side, or over two bins where that is less, and its weights
    sum to 1; 0 where no bins are.

    Returns
    -------
    ndarray of float32, shape (bins, (_FINE_OCTAVES + 1) * _OCTAVE)
    """
    centres = _frequencies((_FINE_OCTAVES + 1) * _OCTAVE)
    reach = 2 * np.maximum(centres * (2 ** (1 / _OCTAVE) - 1), width)
    weights = np.maximum(1 - np.abs(np.arange(bins)[:, np.newaxis] * width - centres) / reach, 0)
    bands: FloatArray = (weights / np.maximum(weights.sum(axis=0), 1e-9)).astype(np.float32)
    return bands


@lru_cache
def _triangle(step: int) -> FloatArray:
    """Return weights of 2 * step - 1 bins, 1 together."""
    triangle: FloatArray = ((step - np.abs(np.arange(1 - step, step))) / step**2).astype(np.float32)
    return triangle
