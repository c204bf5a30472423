"""Random windows of a data set's clips, as a live stream would meet them: only the past is known.

A window ends at the frame that it is about. Most have the tracker's full length; some are shorter, as when a stream
has just begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from training.clips import Clip, DynamicLabels, FloatArray, SignLabels
from training.state import tensors_digest


class WindowSampler:
    """Draws windows from the clips of one data set.

    Clips are drawn evenly in proportion to the root of their length, so that a few long songs do not dominate; ends
    of windows evenly within a clip.

    Parameters
    ----------
    clips : sequence of Clip
        All with labels of one kind: signs, or pairs (static and dynamic ones may mix).
    features : sequence of ndarray of float32, shape (frames, feature_count)
        One array per clip.
    frame_duration : float
        Seconds.
    shares : sequence of float, optional
        By how much more often each clip is drawn than by its length alone.

    Raises
    ------
    ValueError
        If signs and pairs are mixed, or no clip has a labelled frame.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        features: Sequence[FloatArray],
        frame_duration: float,
        shares: Sequence[float] | None = None,
    ) -> None:
        kinds = {isinstance(clip.labels, SignLabels) for clip in clips}
        if len(kinds) != 1:
            raise ValueError("a sampler takes clips with labels of one kind")
        self.has_signs = kinds.pop()
        labels = [
            _labels_per_frame(clip, len(rows), frame_duration) for clip, rows in zip(clips, features, strict=True)
        ]
        self.features = torch.from_numpy(np.concatenate(features))
        self.labels = torch.from_numpy(np.concatenate(labels))
        self._starts = torch.tensor(np.cumsum([0, *(len(rows) for rows in features)])[:-1])
        # the last labelled frame, so that rendered reverberation after the labels is not drawn
        self._lengths = torch.tensor(
            [int(np.flatnonzero(~np.isnan(rows[:, 0])).max(initial=-1)) + 1 for rows in labels]
        )
        self._weights = self._lengths.double().sqrt()
        if shares is not None:
            self._weights *= torch.tensor(shares, dtype=torch.float64)
        if not self._weights.sum() > 0:
            raise ValueError("no clip has a labelled frame")

    def tensors(self) -> dict[str, Tensor]:
        """Return all that is drawn from, for `from_tensors`."""
        return {
            "features": self.features,
            "labels": self.labels,
            "starts": self._starts,
            "lengths": self._lengths,
            "weights": self._weights,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], has_signs: bool) -> WindowSampler:
        """Make the sampler anew that gave `tensors`, in another process."""
        sampler = cls.__new__(cls)
        sampler.has_signs = has_signs
        sampler.features, sampler.labels = tensors["features"], tensors["labels"]
        sampler._starts, sampler._lengths = tensors["starts"], tensors["lengths"]
        sampler._weights = tensors["weights"]
        return sampler

    @property
    def mean(self) -> FloatArray:
        """Mean of the labels over all labelled frames, shape (2,)."""
        mean: FloatArray = np.nanmean(self.labels.numpy(), axis=0)
        return mean

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of all features and labels, and how often they are drawn."""
        drawn_from = {"features": self.features, "labels": self.labels, "starts": self._starts}
        return tensors_digest({**drawn_from, "weights": self._weights})

    def draw_length(self, shortest: int, longest: int, generator: torch.Generator) -> int:
        """Draw how many frames a stream has heard by a random moment of a random clip.

        Parameters
        ----------
        shortest, longest : int
            The answer lies between them.
        generator : torch.Generator

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If no clip has `shortest` frames.
        """
        length = int(self._lengths[self._draw_clips(1, shortest, generator)])
        end = int(torch.randint(shortest, length + 1, (1,), generator=generator))
        return min(end, longest)

    def draw(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw windows.

        Parameters
        ----------
        count : int
            How many.
        length : int
            Frames in each.
        generator : torch.Generator

        Returns
        -------
        features : Tensor, shape (count, length, feature_count)
        labels : Tensor, shape (count, length, 2)
            NaN where a frame has no label.

        Raises
        ------
        ValueError
            If no clip is as long.
        """
        drawn = self._draw_clips(count, length, generator)
        room = self._lengths[drawn] - length + 1
        return self._windows(self._starts[drawn] + (torch.rand(count, generator=generator) * room).long(), length)

    def draw_beginnings(self, count: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw windows that start where their clips do: the first frames' ear has heard nothing before them either.

        Parameters, returns and raises are those of `draw`.
        """
        return self._windows(self._starts[self._draw_clips(count, length, generator)], length)

    def _draw_clips(self, count: int, shortest: int, generator: torch.Generator) -> Tensor:
        weights = torch.where(self._lengths >= shortest, self._weights, torch.zeros_like(self._weights))
        if not weights.sum() > 0:
            raise ValueError(f"no clip has {shortest} frames")
        return torch.multinomial(weights, count, replacement=True, generator=generator)

    def _windows(self, first: Tensor, length: int) -> tuple[Tensor, Tensor]:
        rows = first[:, None] + torch.arange(length)
        return self.features[rows], self.labels[rows]


def _labels_per_frame(clip: Clip, frames: int, frame_duration: float) -> FloatArray:
    if isinstance(clip.labels, DynamicLabels):
        return clip.labels.per_frame(frames, frame_duration)
    return np.tile(np.array([clip.labels.valence, clip.labels.arousal], dtype=np.float32), (frames, 1))
