"""What is remembered of one stream between frames: the window, silence, the slow mood."""

from __future__ import annotations

from collections import deque

import numpy as np

from model.checkpoint import Checkpoint
from model.features import FloatArray
from streamer.framer import Frame
from streamer.messages import Estimate, EstimateState, Mood

SILENCE_THRESHOLD = -70.0
"""dBFS (root mean square over a frame) below which a frame is quiet: dither and good microphones, not music."""
LONGEST_REST = 2.0
"""Seconds that music may pause. A longer pause is silence, and so is a longer loss of audio: what comes then is heard
without what was before."""
MOOD_SPAN = 60.0
"""Seconds that the slow mood is the mean of."""


class StreamHistory:
    """One stream's past, from frame to frame.

    Parameters
    ----------
    stream : str
        The stream's name.
    checkpoint : Checkpoint
        The model that will estimate it.
    lag : int
        Frames to look back from the newest one.
    """

    def __init__(self, stream: str, checkpoint: Checkpoint, lag: int = 0) -> None:
        self.stream = stream
        self._checkpoint = checkpoint
        self._lag = lag
        self._frame_duration = checkpoint.frontend.parameters.frame_duration
        self._rows: deque[FloatArray] = deque(maxlen=checkpoint.window)
        self._quiet_frames = 0
        self._music = False
        self._recent: deque[tuple[float, float, float]] = deque()
        self._sequence = 0

    def hear(self, frame: Frame, features: FloatArray, loudness: float) -> FloatArray | None:
        """Take the next frame.

        Parameters
        ----------
        frame : Frame
            The frame; only where it lies is used.
        features : ndarray of float32, shape (feature_count,)
            Its features.
        loudness : float
            Its level in dBFS.

        Returns
        -------
        ndarray of float32, shape (frames, feature_count), or None
            What the network shall estimate, oldest frame first; None if there is nothing to be estimated.
        """
        if frame.gap > LONGEST_REST:
            self._forget()
        self._quiet_frames = self._quiet_frames + 1 if loudness < SILENCE_THRESHOLD else 0
        self._music = self._music or not self._quiet_frames
        if not self._music or self._quiet_frames * self._frame_duration >= LONGEST_REST:
            self._forget()
            return None
        self._rows.append(features)
        return np.stack(self._rows) if len(self._rows) > self._lag else None

    def estimate(self, frame: Frame, loudness: float, values: FloatArray | None) -> Estimate:
        """Make the estimate of the frame that was heard last.

        Parameters
        ----------
        frame : Frame
            The frame.
        loudness : float
            Its level in dBFS.
        values : ndarray of float32, shape (2,), or None
            The network's valence and arousal; None if `hear` returned None.

        Returns
        -------
        Estimate
        """
        valence, arousal = (None, None) if values is None else (float(values[0]), float(values[1]))
        if valence is not None and arousal is not None:
            self._recent.append((frame.position, valence, arousal))
        while self._recent and self._recent[0][0] <= frame.position - MOOD_SPAN:
            self._recent.popleft()
        estimate = Estimate(
            stream=self.stream,
            sequence=self._sequence,
            time=frame.time,
            position=frame.position,
            valence=valence,
            arousal=arousal,
            valence_std=None,
            arousal_std=None,
            mood=self._mood(),
            state=self._state(),
            loudness=loudness,
            lag=self._lag * self._frame_duration,
            model=self._checkpoint.name,
        )
        self._sequence += 1
        return estimate

    def _state(self) -> EstimateState:
        if not self._rows:
            return "silence"
        return "tracking" if len(self._rows) == self._rows.maxlen else "warming"

    def _mood(self) -> Mood:
        if not self._recent:
            return Mood(None, None)
        _, valences, arousals = zip(*self._recent, strict=True)
        return Mood(sum(valences) / len(valences), sum(arousals) / len(arousals))

    def _forget(self) -> None:
        self._rows.clear()
        self._music = False
