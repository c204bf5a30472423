"""Estimates of whole clips as a live stream would get them: the window grows until it is full, and moves on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.features import FloatArray

Estimate = Callable[[FloatArray, int], FloatArray]
"""Windows of shape (n, frames, feature_count) and a lag to values of shape (n, k): valence and arousal, and whatever
else there is to say of the frame; `Checkpoint.estimate` is one."""

_BATCH = 256
_NOTHING: FloatArray = np.empty(0, dtype=np.float32)


def track(estimate: Estimate, features: Sequence[FloatArray], window: int, lag: int = 0) -> list[FloatArray]:
    """Estimate every frame of clips.

    Parameters
    ----------
    estimate : callable
        See `Estimate`.
    features : sequence of ndarray of float32, shape (frames, feature_count)
        One array per clip.
    window : int
        Frames that the network looks back over.
    lag : int
        Frames that an estimate comes late: the value of a frame is the one given `lag` frames after it. The last
        frames of a clip, which nothing follows, get their estimates with the lag that is left.

    Returns
    -------
    list of ndarray of float32, shape (frames, k)
        One array per clip.
    """
    estimates: list[list[FloatArray]] = [[_NOTHING] * len(rows) for rows in features]
    # all the windows that hold the same number of frames and have the same lag go together: that is what is fast
    jobs: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for clip, rows in enumerate(features):
        last = len(rows) - 1
        for frame in range(len(rows)):
            newest = min(frame + lag, last)
            jobs.setdefault((min(newest + 1, window), newest - frame), []).append((clip, frame, newest))
    for (length, late), places in jobs.items():
        for start in range(0, len(places), _BATCH):
            part = places[start : start + _BATCH]
            windows = np.stack([features[clip][newest + 1 - length : newest + 1] for clip, _, newest in part])
            for (clip, frame, _), value in zip(part, estimate(windows, late), strict=True):
                estimates[clip][frame] = value
    return [np.stack(of_clip) for of_clip in estimates]
