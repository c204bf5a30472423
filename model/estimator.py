"""What a tracker asks of a model, whatever its network runs in: features of frames, and estimates of their windows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from model.ear import Ear, EarMemory
from model.errors import MoodringError
from model.features import FloatArray, Frontend, RecentColumns
from model.network_parameters import NetworkParameters


class Estimator(ABC):
    """A model that is ready to use; a runtime says how its network is computed.

    Attributes
    ----------
    name : str
        What estimates are labelled with.
    frontend : Frontend
        Samples of frames to features.
    ear : Ear or None
        Adds columns to the features.
    runtime : str
        The distribution that computes the network: ``torch`` or ``onnxruntime``.
    """

    name: str
    frontend: Frontend
    ear: Ear | None
    runtime: ClassVar[str]

    @property
    @abstractmethod
    def network_parameters(self) -> NetworkParameters:
        """Inputs and sizes of the network."""

    @abstractmethod
    def estimate_with_std(self, windows: FloatArray, lag: int = 0) -> tuple[FloatArray, FloatArray | None]:
        """Estimate as `estimate` does, and say how far listeners' ratings lie from it.

        Returns
        -------
        values : ndarray of float32, shape (n, 2)
            Valence and arousal in [-1, 1].
        stds : ndarray of float32, shape (n, 2), or None
            Standard deviations; None if the network does not give them.
        """

    def estimate_histories(
        self, histories: Sequence[FloatArray], lag: int = 0
    ) -> list[tuple[FloatArray, FloatArray | None]]:
        """Estimate windows that need not be of the same length.

        Parameters
        ----------
        histories : sequence of ndarray of float32, shape (frames, feature_count + ear_columns)
            Oldest frame first, as `estimate` takes them.
        lag : int
            Frames to look back from the newest one.

        Returns
        -------
        list of tuple
            Of each: values and standard deviations, shape (2,), as `estimate_with_std` gives them.
        """
        results: list[tuple[FloatArray, FloatArray | None]] = [(np.empty(0, np.float32), None)] * len(histories)
        for length in {len(history) for history in histories}:
            members = [i for i, history in enumerate(histories) if len(history) == length]
            # of one, as a rule: a view instead of a copy
            windows = (
                histories[members[0]][np.newaxis] if len(members) == 1 else np.stack([histories[i] for i in members])
            )
            values, stds = self.estimate_with_std(windows, lag)
            for place, i in enumerate(members):
                results[i] = values[place], None if stds is None else stds[place]
        return results

    @abstractmethod
    def digest(self) -> str:
        """Identify everything that estimates are computed with, as hexadecimal digits."""

    @abstractmethod
    def use_one_thread(self) -> None:
        """Compute in the thread that asks, and in no other; holds for the process."""

    @property
    def window(self) -> int:
        """Frames of the network's window; with fewer, estimates are of a stream that warms up."""
        return self.network_parameters.window

    @property
    def history(self) -> int:
        """Frames that the whole network looks back over."""
        return self.network_parameters.history

    def memory(self) -> EarMemory | None:
        """Return what features of a new stream need to remember; None if each frame's are its own alone."""
        return None if self.ear is None else self.ear.memory()

    def features(
        self,
        frames: FloatArray,
        memories: Sequence[EarMemory | None],
        powers: NDArray[np.float64] | None = None,
        overlapping: Sequence[tuple[RecentColumns, int]] | None = None,
    ) -> FloatArray:
        """Compute the rows that the network takes.

        Parameters
        ----------
        frames : ndarray of float32, shape (n, frame_length)
            Mono samples, full scale at ±1; those of one stream in their order.
        memories : sequence of EarMemory or None
            Of the stream of each frame, from `memory`.
        powers : ndarray of float64, shape (n,), optional
            The mean squares of the frames' samples, if they are known.
        overlapping : sequence of tuple, optional
            As `Frontend` takes it, where frames of a stream overlap.

        Returns
        -------
        ndarray of float32, shape (n, feature_count + ear_columns)
        """
        return feature_rows(self.frontend, self.ear, frames, memories, powers, overlapping)

    def frames_of_lag(self, lag: float) -> int:
        """Turn a lag in seconds into frames.

        Parameters
        ----------
        lag : float
            Seconds, a multiple of the frame's duration and shorter than what the network looks back over.

        Returns
        -------
        int

        Raises
        ------
        MoodringError
            If the lag is negative, not finite, between frames, or too long.
        """
        duration = self.frontend.parameters.frame_duration
        frames = round(lag / duration) if math.isfinite(lag) else -1
        longest = self.history - 1
        if not 0 <= frames <= longest or abs(frames * duration - lag) > 1e-6:
            raise MoodringError(
                f"a lag of {lag:g} s is not possible with this model; choose a multiple of {duration:g} s "
                f"from 0 to {longest * duration:g} s"
            )
        return frames

    def estimate(self, windows: FloatArray, lag: int = 0) -> FloatArray:
        """Estimate valence and arousal of windows of features.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, frames, feature_count + ear_columns)
            Oldest frame first; `frames` is `history`, or fewer while there is less.
        lag : int
            Frames to look back from the newest one.

        Returns
        -------
        ndarray of float32, shape (n, 2)
            Valence and arousal in [-1, 1].
        """
        return self.estimate_with_std(windows, lag)[0]


def feature_rows(
    frontend: Frontend,
    ear: Ear | None,
    frames: FloatArray,
    memories: Sequence[EarMemory | None],
    powers: NDArray[np.float64] | None = None,
    overlapping: Sequence[tuple[RecentColumns, int]] | None = None,
) -> FloatArray:
    """Compute the rows that a network takes, features and then what the ear says; see `Estimator.features`."""
    rows = frontend(frames, overlapping)
    if ear is None:
        return rows
    heard = ear.hear(frames, [memory for memory in memories if memory is not None], powers)
    return np.concatenate([rows, heard], axis=1)
