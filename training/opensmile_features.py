"""The 260 features of the MediaEval task: mean and deviation of ComParE's descriptors per 500 ms, by openSMILE.

openSMILE's set of the ComParE challenge of 2013 has 65 low-level descriptors, one of each every 10 ms; with their first
derivatives 130, and the standard deviation and the mean of each over 500 ms make 260. DEAM comes with them, as
``features/ID.csv``; here they are read from there, or computed from any audio with the package `opensmile` (the set of
2016: the same descriptors with numerical fixes).

A descriptor's 10 ms frame belongs to the 500 ms frame that it begins in. The pitch and voice quality descriptors are 0
where there is no pitch, and that counts. The deviation is the population's. Audio is brought to 44.1 kHz, the rate of
DEAM's, since several descriptors depend on it.

Notes
-----
openSMILE is audEERING's and not free for every purpose; see `LICENCE`. moodring contains nothing of it.

The deltas of the six pitch and voice quality descriptors fade with the time since the file began, about as 1/t, since
openSMILE's cDeltaRegression, kept within voiced segments, sums up its norm over the file. They are left as they are.

References
----------
Weninger et al., "On the acoustics of emotion in audio: what speech, music, and sound have in common", Frontiers in
Psychology 2013. Aljanaki, Yang, Soleymani, "Developing a benchmark for emotional analysis of music", PLOS ONE 2017.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.features import FloatArray
from training.audio import SOUND_FONT, read_mono
from training.clips import DynamicLabels
from training.tables import DataError

if TYPE_CHECKING:
    import opensmile

LICENCE = (
    "openSMILE (audEERING) is under the audEERING Research License: for non-commercial purposes and for research; "
    "features computed with it, and models trained on them, may not go into a product without audEERING's licence"
)

FRAME_DURATION = 0.5

_LAYOUT = 1
"""Raised when the arithmetic changes in a way that the names do not show."""

_RATE = 44100
_FRAME_LENGTH = 22050
_STEPS_PER_SECOND = 100
_STEPS_PER_FRAME = 50

# openSMILE keeps a file's descriptors until its end (90 MB a minute); so a longer one is cut, and each piece begins
# early enough for the filters and the pitch tracker to have settled
_BLOCK_FRAMES = 1200
_LEAD_FRAMES = 20
_TAIL_FRAMES = 2
_LARGEST = float(np.finfo(np.float32).max)


def _descriptor_names(order: str) -> list[str]:
    voice = ["F0final", "voicingFinalUnclipped", "jitterLocal", "jitterDDP", "shimmerLocal", "logHNR"]
    level = ["audspec_lengthL1norm", "audspecRasta_lengthL1norm", "pcm_RMSenergy", "pcm_zcr"]
    spectral = ["fband250-650", "fband1000-4000"]
    spectral += [f"spectralRollOff{share}.0" for share in (25, 50, 75, 90)]
    spectral += ["spectralFlux", "spectralCentroid", "spectralEntropy", "spectralVariance", "spectralSkewness"]
    spectral += ["spectralKurtosis", "spectralSlope", "psySharpness", "spectralHarmonicity"]
    return [
        *(f"{name}_{order}" for name in voice + level),
        *(f"audSpec_Rfilt_{order}[{band}]" for band in range(26)),
        *(f"pcm_fftMag_{name}_{order}" for name in spectral),
        *(f"pcm_fftMag_mfcc_{order}[{index}]" for index in range(1, 15)),
    ]


DESCRIPTOR_NAMES = (*_descriptor_names("sma"), *_descriptor_names("sma_de"))
"""The 65 low-level descriptors, then their 65 deltas, as openSMILE named them in 2013."""

FEATURE_NAMES = tuple(f"{name}_{what}" for name in DESCRIPTOR_NAMES for what in ("stddev", "amean"))
"""The 260 features in the order of DEAM's files: of every descriptor the deviation, then the mean."""


def _of_2013(name: str) -> str:
    return f"pcm_fftMag_{name}" if name.startswith("mfcc_") else name


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Features of consecutive frames of a song.

    Attributes
    ----------
    positions : ndarray of float64, shape (n,)
        Ends of the frames in seconds.
    values : ndarray of float32, shape (n, 260)
        In the order of `FEATURE_NAMES`.
    """

    positions: NDArray[np.float64]
    values: FloatArray

    def lay_out(self, labels: DynamicLabels) -> FloatArray:
        """Lay labels out on the rows.

        Parameters
        ----------
        labels : DynamicLabels
            Labels that lie on no row are dropped.

        Returns
        -------
        ndarray of float32, shape (n, 2)
            NaN where a row has no label.
        """
        skipped = round(float(self.positions[0]) / FRAME_DURATION) - 1
        return labels.per_frame(skipped + len(self.positions), FRAME_DURATION)[skipped:]


def read_features_csv(path: Path) -> FeatureRows:
    """Read a file as DEAM gives them.

    Parameters
    ----------
    path : Path
        ``;``-separated; a header of ``frameTime`` and the names of `FEATURE_NAMES` in any order (the mfcc may lack
        their ``pcm_fftMag_``). The frame of a row covers the time from ``frameTime`` to 0.5 s later.

    Returns
    -------
    FeatureRows
        From the first row's time on: songs need not begin at 0.

    Raises
    ------
    DataError
        If the file is unreadable, lacks a feature or has another, holds something that is not a finite number, or its
        times do not go by steps of 0.5 s.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=";")
            order = _column_order(path, next(lines, []))
            rows = list(_numbers(path, lines))
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'"{path}" is not a CSV file in UTF-8') from error
    if not rows:
        raise DataError(f'"{path}" has no rows')
    table = np.array([numbers for _, numbers in rows])
    frames = np.rint(table[:, 0] / FRAME_DURATION)
    wrong = (np.abs(table[:, 0] - frames * FRAME_DURATION) > 0.01) | (frames != frames[0] + np.arange(len(frames)))
    if frames[0] < 0 or wrong.any():
        row = rows[int(np.argmax(wrong))][0]
        raise DataError(f'"{path}", row {row}: frameTime must go by steps of {FRAME_DURATION} s')
    return FeatureRows((frames + 1) * FRAME_DURATION, table[:, order].astype(np.float32))


def _column_order(path: Path, header: Sequence[str]) -> list[int]:
    names = [_of_2013(name.strip()) for name in header]
    if names[:1] != ["frameTime"]:
        raise DataError(f'"{path}" does not begin with a column frameTime')
    places = {name: place for place, name in enumerate(names)}
    for place, name in enumerate(FEATURE_NAMES, start=1):
        if name not in places:
            there = names[place] if place < len(names) else "nothing"
            raise DataError(f'"{path}" has no column {name} (but {there[:60]} in its place)')
    if len(names) != len(FEATURE_NAMES) + 1:
        raise DataError(f'"{path}" has {len(names) - 1} columns of features, not {len(FEATURE_NAMES)}')
    return [places[name] for name in FEATURE_NAMES]


def _numbers(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[int, list[float]]]:
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(FEATURE_NAMES) + 1:
            raise DataError(f'"{path}", row {number}: has {len(cells)} cells, not {len(FEATURE_NAMES) + 1}')
        try:
            values = [float(cell) for cell in cells]
        except ValueError as error:
            raise DataError(f'"{path}", row {number}: holds something that is not a number') from error
        if not all(abs(value) <= _LARGEST for value in values):
            raise DataError(f'"{path}", row {number}: holds a number that is not finite')
        yield number, values


@dataclass(frozen=True)
class OpensmileExtractor:
    """`compute`, as the feature cache wants it."""

    @property
    def key(self) -> bytes:
        """SHA-256 of the features' names and openSMILE's version.

        Raises
        ------
        DataError
            If the package is missing.
        """
        return hashlib.sha256(json.dumps(["opensmile", _LAYOUT, _version(), FEATURE_NAMES]).encode()).digest()

    @property
    def column_count(self) -> int:
        """260."""
        return len(FEATURE_NAMES)

    def __call__(self, source: Path, sound_font: Path) -> FloatArray:
        """Return the features, shape (frames, 260)."""
        return compute(source, sound_font)


def compute(source: Path, sound_font: Path = SOUND_FONT) -> FloatArray:
    """Compute the features of a file with openSMILE, which must run in one thread of a process at a time.

    Parameters
    ----------
    source : Path
        Audio that libsndfile reads, or MIDI.
    sound_font : Path
        What MIDI is rendered with.

    Returns
    -------
    ndarray of float32, shape (frames, 260)
        One row per whole 500 ms, in the order of `FEATURE_NAMES`.

    Raises
    ------
    DataError
        If the package is missing or fails, the file cannot be decoded or rendered, or is shorter than a frame.
    """
    smile = _smile()
    mono = read_mono(source, _RATE, sound_font)
    count = len(mono) // _FRAME_LENGTH
    if count == 0:
        raise DataError(f'"{source}" is shorter than a frame of {FRAME_DURATION} s')
    # openSMILE takes 16 bits, to which its package would wrap louder samples around
    np.clip(mono, -1, 1 - 2**-15, out=mono)
    features = np.empty((count, len(FEATURE_NAMES)), dtype=np.float32)
    for first in range(0, count, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, count)
        begin = max(first - _LEAD_FRAMES, 0)
        piece = mono[begin * _FRAME_LENGTH : (last + _TAIL_FRAMES) * _FRAME_LENGTH]
        try:
            frames = smile.process_signal(piece, _RATE)
        except Exception as error:
            raise DataError(f'openSMILE fails on "{source}": {error}') from error
        steps = np.rint(frames.index.get_level_values("start").total_seconds() * _STEPS_PER_SECOND).astype(np.int64)
        features[first:last] = _statistics(frames.to_numpy(), steps, last - begin)[first - begin :]
    if not np.isfinite(features).all():
        raise DataError(f'openSMILE gives values that are not finite for "{source}"')
    return features


def _statistics(descriptors: FloatArray, steps: NDArray[np.int64], count: int) -> FloatArray:
    bounds = np.searchsorted(steps, np.arange(count + 1) * _STEPS_PER_FRAME)
    statistics = np.empty((count, descriptors.shape[1], 2), dtype=np.float32)
    for frame, (begin, end) in enumerate(itertools.pairwise(bounds)):
        values = descriptors[begin:end].astype(np.float64)
        statistics[frame, :, 0] = values.std(axis=0)
        statistics[frame, :, 1] = values.mean(axis=0)
    return statistics.reshape(count, -1)


def _version() -> str:
    try:
        return importlib.metadata.version("opensmile")
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError("openSMILE's features need its package: install moodring[opensmile]") from error


@lru_cache(maxsize=1)
def _smile() -> opensmile.Smile:
    _version()
    try:
        import opensmile
    except (ImportError, OSError) as error:
        raise DataError(f"cannot load the package opensmile: {error}") from error

    own = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    descriptors = Path(own.default_config_root) / "compare" / "ComParE_2016_core.lld.conf.inc"
    smile = opensmile.Smile(
        str(Path(__file__).with_name("opensmile.conf")), "frames", options={"descriptors": str(descriptors)}
    )
    names = tuple(map(_of_2013, smile.feature_names))
    if names != DESCRIPTOR_NAMES:
        raise DataError(f"openSMILE {_version()} has other descriptors than ComParE's of 2013")
    return smile
