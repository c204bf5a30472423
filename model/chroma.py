"""Chroma, of the energy at each pitch class or of the notes that sound.

A note's partials lie on other pitch classes than its own: the third on the fifth above, the fifth on the major third.
A small network that looks, for each of a piano's notes, at the spectrum around its partials tells how likely the note
sounds; pitch classes are the sums of their notes. It was taught to say what a transcriber says
(training.note_teaching), as Bittner et al. 2022 do it with a larger one: "A lightweight instrument-agnostic model for
polyphonic note transcription and multipitch estimation".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from model.note_spectrum import (
    HARMONICS,
    LOWEST_NOTE,
    MOST_BANDS_PER_HARMONIC,
    NOTES,
    FloatArray,
    NoteSpectrum,
    around_notes,
    inputs_of,
)

PITCH_CLASSES = 12
LAYERS = ("first", "second", "third")
MOST_UNITS = 256
LARGEST_WEIGHT = 1e3

_NAMED = "notes."
_UNSURE = np.float32(0.03)
"""Of a note's likelihood: as much is said of notes that do not sound."""
_FLOOR = np.float32(1e-2)
_CLASS_OF_NOTE = np.zeros((NOTES, PITCH_CLASSES), dtype=np.float32)
_CLASS_OF_NOTE[np.arange(NOTES), (LOWEST_NOTE + np.arange(NOTES)) % PITCH_CLASSES] = 1


class EnergyChroma:
    """From the FFT of whole frames to the energy at each pitch class.

    Parameters
    ----------
    filterbank : ndarray, shape (12, bins)
        Weights from FFT bins to pitch classes.
    floor : float
        Energies below it count as this much.
    """

    def __init__(self, filterbank: FloatArray, floor: float) -> None:
        self.filterbank = np.ascontiguousarray(filterbank, dtype=np.float32)
        self._weights = np.ascontiguousarray(self.filterbank.T)
        self._floor = np.float32(floor)

    def tensors(self) -> dict[str, FloatArray]:
        """Return what of it is numbers, by names for a file."""
        return {"chroma_filterbank": self.filterbank}

    def __call__(self, energies: FloatArray) -> FloatArray:
        """Return chroma in dB, shape (n, 12), of FFT bins' energies, shape (n, bins)."""
        # matmul of a stack multiplies frame by frame, so a row's rounding does not depend on how many there are
        summed = np.matmul(energies[:, np.newaxis], self._weights)[:, 0]
        chroma: FloatArray = 10 * np.log10(np.maximum(summed, self._floor))
        return chroma


class NoteChroma:
    """From the FFT of whole frames to the chroma of the notes in it.

    Parameters
    ----------
    weights : mapping of str to ndarray
        Of the network, by names such as ``first.weight`` and ``first.bias`` for each of `LAYERS`; a weight has shape
        (inputs, outputs), and the last layer one output. How much the first layer sees of the spectrum around each
        harmonic follows from its inputs.
    frame_length, sample_rate : int
        Of the frames.

    Raises
    ------
    ValueError
        If a tensor is missing, has another shape, or a weight is beyond `LARGEST_WEIGHT`.
    """

    def __init__(self, weights: Mapping[str, FloatArray], frame_length: int, sample_rate: int) -> None:
        self._layers: list[tuple[FloatArray, FloatArray]] = []
        first = _checked(weights, f"{LAYERS[0]}.weight")
        self._bands_per_harmonic = _bands_of(first)
        inputs = first.shape[0]
        for layer in LAYERS:
            weight, bias = (_checked(weights, f"{layer}.{part}") for part in ("weight", "bias"))
            outputs = 1 if layer == LAYERS[-1] else bias.size
            if weight.shape != (inputs, outputs) or bias.shape != (outputs,) or not 1 <= outputs <= MOST_UNITS:
                raise ValueError(f'the notes\' "{layer}" has weights of shapes {weight.shape} and {bias.shape}')
            self._layers.append((weight, bias))
            inputs = outputs
        self._spectrum = NoteSpectrum(frame_length, sample_rate)

    def tensors(self) -> dict[str, FloatArray]:
        """Return what of it is numbers, by names for a file."""
        return {
            f"{_NAMED}{layer}.{part}": values
            for layer, both in zip(LAYERS, self._layers, strict=True)
            for part, values in zip(("weight", "bias"), both, strict=True)
        }

    def likelihoods(self, energies: FloatArray) -> FloatArray:
        """Return how likely each note sounds, from 0 to 1, shape (n, NOTES), of FFT bins' energies."""
        scores = around_notes(self._spectrum.spectrum(energies), self._bands_per_harmonic)
        for layer, (weight, bias) in zip(LAYERS, self._layers, strict=True):
            scores = np.matmul(scores, weight)
            scores += bias
            if layer != LAYERS[-1]:
                np.maximum(scores, 0, out=scores)
        likelihoods: FloatArray = 0.5 * (1 + np.tanh(0.5 * scores[..., 0]))
        return likelihoods

    def __call__(self, energies: FloatArray) -> FloatArray:
        """Return chroma in dB, shape (n, 12): 20 log10 of the sum of the squared likelihoods of each pitch class."""
        # squared, because a class has seven notes or eight, most of which do not sound and are a little likely
        sounding = np.maximum(self.likelihoods(energies) - _UNSURE, 0) ** 2
        # as a stack, for the reason that `EnergyChroma` has
        of_classes = np.matmul(sounding[:, np.newaxis], _CLASS_OF_NOTE)[:, 0]
        chroma: FloatArray = 20 * np.log10(of_classes + _FLOOR)
        return chroma


def chroma_of(tensors: Mapping[str, FloatArray], frame_length: int, sample_rate: int) -> NoteChroma:
    """Make it from what `NoteChroma.tensors` gave, among other tensors; a `ValueError` as `NoteChroma` raises it."""
    weights = {name[len(_NAMED) :]: values for name, values in tensors.items() if name.startswith(_NAMED)}
    return NoteChroma(weights, frame_length, sample_rate)


def _bands_of(first: FloatArray) -> int:
    bands: int = (first.shape[0] - inputs_of(0)) // len(HARMONICS)
    if not (0 < bands <= MOST_BANDS_PER_HARMONIC and bands % 2 and first.shape[0] == inputs_of(bands)):
        raise ValueError(f'the notes\' "{LAYERS[0]}" has weights of shape {first.shape}')
    return bands


def _checked(weights: Mapping[str, FloatArray], name: str) -> FloatArray:
    if name not in weights:
        raise ValueError(f'tensor "{_NAMED}{name}" is missing')
    values = np.ascontiguousarray(weights[name], dtype=np.float32)
    if not (np.abs(values) <= LARGEST_WEIGHT).all():
        raise ValueError(f'tensor "{_NAMED}{name}" must have weights from -{LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}')
    return values
