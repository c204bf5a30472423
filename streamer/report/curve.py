"""What a file was heard to be like, moment by moment, in a bounded number of points."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.estimator import Estimator
from streamer.framer import Framer
from streamer.history import LONGEST_REST
from streamer.messages import Estimate
from streamer.offline import track
from streamer.opening import open_file
from streamer.report.envelope import EnvelopedSource, Waveform
from streamer.source import SourceError

Values = NDArray[np.float64]

HINDSIGHT: Final = 3.0
"""Seconds after a moment at which the estimate is made that describes it best: by then its sound has been heard long
enough to count (training/RESULTS.md, "Lag")."""
MOST_POINTS: Final = 21600
"""Points of a curve: three hours at two a second. Those of longer files are means over more time each, so that the
page stays below a few megabytes, and finding its sections takes seconds."""


@dataclass(frozen=True)
class Curve:
    """A file's mood at equal steps of time.

    Attributes
    ----------
    step : float
        Seconds from each point to the next; the first describes the time from 0 to `step`.
    valence, arousal : ndarray of float64, shape (n,)
        In [-1, 1]; NaN in silence.
    valence_std, arousal_std : ndarray of float64, shape (n,)
        Standard deviations; NaN in silence and where the model gives none.
    loudness : ndarray of float64, shape (n,)
        dBFS (root mean square).
    warming : ndarray of bool, shape (n,)
        Whether too little had been heard for a full estimate.
    """

    step: float
    valence: Values
    arousal: Values
    valence_std: Values
    arousal_std: Values
    loudness: Values
    warming: NDArray[np.bool_]

    @property
    def heard(self) -> NDArray[np.bool_]:
        """Of each point, whether there is an estimate, and not silence."""
        return ~np.isnan(self.valence)

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Of each point, whether there is an estimate and no first guess; where there are but first guesses, those."""
        settled = self.heard & ~self.warming
        return settled if settled.any() else self.heard

    def index(self, time: float) -> int:
        """Return the number of the point that describes a time in seconds."""
        return int(min(max(time / self.step, 0), len(self.valence) - 1))


@dataclass(frozen=True)
class Hearing:
    """All that there is to report of a file.

    Attributes
    ----------
    duration : float
        Seconds of audio.
    curve : Curve
        Its mood over time.
    waveform : Waveform
        Its shape.
    model : str
        Name of the model.
    window, frame_duration : float
        Seconds that it hears at once, and from one estimate to the next.
    problem : str
        Why it was not heard to its end; empty if it was.
    invalid : int
        How many of its samples were not finite, and taken as silence.
    """

    duration: float
    curve: Curve
    waveform: Waveform
    model: str
    window: float
    frame_duration: float
    problem: str
    invalid: int


class _Frames:
    """Columns of numbers, one row per frame: less than a list of estimates takes."""

    _COLUMNS = ("position", "valence", "arousal", "valence_std", "arousal_std", "loudness")

    def __init__(self) -> None:
        self._values = array("d")
        self._warming = bytearray()

    def __len__(self) -> int:
        return len(self._warming)

    def add(self, estimate: Estimate) -> None:
        for column in self._COLUMNS:
            value = getattr(estimate, column)
            self._values.append(np.nan if value is None else value)
        self._warming.append(estimate.state == "warming")

    def curve(self, frame_duration: float) -> Curve:
        columns = np.array(self._values).reshape(-1, len(self._COLUMNS)).T
        position, loudness = columns[0], columns[5]
        order = hindsight(position, ~np.isnan(columns[1]), frame_duration)
        estimates = columns[1:5, order]
        warming = np.frombuffer(self._warming, np.uint8)[order].astype(bool)
        merged = max(1, -(-round(position[-1] / frame_duration) // MOST_POINTS))
        step = frame_duration * merged
        points = max(1, int(np.ceil(position[-1] / step - 1e-6)))
        at = np.minimum((position - frame_duration / 2) / step, points - 1).astype(int)
        valence, arousal, valence_std, arousal_std = (_means(values, at, points) for values in estimates)
        counted = np.bincount(at, minlength=points)
        power = np.bincount(at, 10 ** (loudness / 10), points) / np.maximum(counted, 1)
        return Curve(
            step,
            valence,
            arousal,
            valence_std,
            arousal_std,
            10 * np.log10(np.maximum(power, 10**-20)),
            np.bincount(at, warming & ~np.isnan(estimates[0]), points) > 0,
        )


def hindsight(position: Values, heard: NDArray[np.bool_], frame_duration: float) -> NDArray[np.intp]:
    """Say which frame's estimate describes each frame: the one that ends `HINDSIGHT` seconds later.

    Where the music ends before that, it is the last one before its end; a frame of silence keeps its own.

    Parameters
    ----------
    position : ndarray of float64, shape (n,)
        Seconds at the frames' ends, ascending.
    heard : ndarray of bool, shape (n,)
        Whether there is an estimate.
    frame_duration : float
        Seconds.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    changes = (heard[1:] != heard[:-1]) | (np.diff(position) > frame_duration + LONGEST_REST)
    borders = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(position)]])
    last = np.repeat(borders[1:] - 1, np.diff(borders))
    own = np.arange(len(position))
    return np.where(heard, np.minimum(own + round(HINDSIGHT / frame_duration), last), own)


def _means(values: Values, at: NDArray[np.int_], points: int) -> Values:
    known = ~np.isnan(values)
    counted = np.bincount(at[known], minlength=points)
    total = np.bincount(at[known], values[known], points)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


def hear_file(
    path: str,
    checkpoint: Estimator,
    on_progress: Callable[[float, float], None] = lambda heard, duration: None,
    ask: Callable[[], None] = lambda: None,
) -> Hearing:
    """Track a file to its end, or to where it breaks off; it is never loaded whole.

    Parameters
    ----------
    path : str
        The file.
    checkpoint : Estimator
        The model.
    on_progress : callable
        Is told how many seconds have been read, and how many there are, 0 if the file does not say.
    ask : callable
        Called after every estimate; may raise to stop.

    Returns
    -------
    Hearing

    Raises
    ------
    SourceError
        If it cannot be read, or holds less than one frame.
    """
    opened = open_file(path)
    duration = float(getattr(opened, "duration", 0.0))
    source = EnvelopedSource(opened, lambda heard: on_progress(heard, duration))
    parameters = checkpoint.frontend.parameters
    framer = Framer(source.sample_rate, parameters)
    frames = _Frames()
    problem = ""
    try:
        for estimate in track(source, framer, checkpoint, "file"):
            ask()
            frames.add(estimate)
    except SourceError as error:
        if not len(frames):
            raise
        problem = str(error)
    return Hearing(
        source.envelope.duration,
        frames.curve(parameters.frame_duration),
        source.envelope.waveform(),
        checkpoint.name,
        checkpoint.window * parameters.frame_duration,
        parameters.frame_duration,
        problem,
        framer.invalid,
    )
