"""What is remembered of one stream between frames: the window, silence, the slow mood."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from model.ear import EarMemory
from model.estimator import Estimator
from model.features import FloatArray, RecentColumns
from streamer.framer import Frame
from streamer.messages import Estimate, EstimateState, Mood
from streamer.recent_rows import RecentRows

SILENCE_THRESHOLD = -70.0
"""dBFS (root mean square over a frame) below which a frame is quiet: dither and good microphones, not music."""
LONGEST_REST = 2.0
"""Seconds that music may pause. A longer pause is silence, and so is a longer loss of audio: what comes then is heard
without what was before."""
LONGEST_LEAD_IN = 1.0
"""Seconds at the beginning of music that may be no music yet: noise before it, or the end of a frame in which it
began."""
LEAD_IN_RISE = 20.0
"""dB by which music is louder than what leads into it; then it is heard without that."""
MOOD_SPAN = 60.0
"""Seconds that the slow mood is the mean of."""


_TOLERANCE = 1e-6
"""Seconds by which positions may differ that are the same: rounding, and less than a sample."""


Pair = tuple[float, float]
"""Of valence and of arousal."""


@dataclass(frozen=True)
class Attention:
    """A new frame, and whether it is music that goes on.

    Attributes
    ----------
    frame : Frame
        The frame.
    loudness : float
        Its level in dBFS.
    begins : bool
        What was heard before is forgotten.
    silent : bool
        There is nothing to be estimated.
    memory : EarMemory or None
        What its features need of the frames before.
    """

    frame: Frame
    loudness: float
    begins: bool
    silent: bool
    memory: EarMemory | None


@dataclass(frozen=True)
class Heard:
    """A frame and what its stream's history makes of it.

    Attributes
    ----------
    frame : Frame
        The frame.
    loudness : float
        Its level in dBFS.
    rows : ndarray of float32, shape (frames, feature_count), or None
        What the network shall estimate, oldest frame first; None if there is nothing to be estimated.
    state : EstimateState
        The state that the estimate will have.
    """

    frame: Frame
    loudness: float
    rows: FloatArray | None
    state: EstimateState


@dataclass
class _Told:
    """What a stream's estimates have been so far."""

    sequence: int = 0
    newest: deque[tuple[float, Pair, Pair | None]] = field(default_factory=deque)
    mood: _RunningMean = field(default_factory=lambda: _RunningMean(MOOD_SPAN))


class _RunningMean:
    """The mean of the valence and arousal of the last `span` seconds."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._values: deque[tuple[float, float, float]] = deque()
        self._valence = self._arousal = 0.0

    def add(self, position: float, valence: float, arousal: float) -> None:
        self._values.append((position, valence, arousal))
        self._valence += valence
        self._arousal += arousal

    def at(self, position: float) -> Mood:
        while self._values and self._values[0][0] <= position - self._span:
            _, valence, arousal = self._values.popleft()
            self._valence -= valence
            self._arousal -= arousal
        count = len(self._values)
        if not count:
            self._valence = self._arousal = 0.0  # without what rounding has left
            return Mood(None, None)
        return Mood(_bounded(self._valence / count), _bounded(self._arousal / count))


class StreamHistory:
    """One stream's past, from frame to frame.

    Parameters
    ----------
    stream : str
        The stream's name.
    checkpoint : Estimator
        The model that will estimate it.
    lag : int
        Frames to look back from the newest one.
    beside : StreamHistory, optional
        The history of another phase of the same stream, where frames overlap: they share the sequence numbers of
        their estimates and the slow mood, and each estimate is the mean of those of frames that end within the last
        frame's duration: one of each phase. Those of single phases differ by as much from one to the next as
        estimates that lie a whole frame apart, and lights would flicker.

    Attributes
    ----------
    columns : RecentColumns or None
        What is known of the spectra of frames before, where frames overlap; all phases' own.
    """

    def __init__(self, stream: str, checkpoint: Estimator, lag: int = 0, beside: StreamHistory | None = None) -> None:
        self.stream = stream
        self._checkpoint = checkpoint
        self._lag = lag
        self._frame_duration = checkpoint.frontend.parameters.frame_duration
        self._rows = RecentRows(checkpoint.history)
        self._memory = checkpoint.memory()
        self._quiet_frames = 0
        self._music = False
        self._since_beginning = 0
        self._loudest = -math.inf
        self._told: _Told = _Told() if beside is None else beside._told
        self.columns: RecentColumns | None = None

    def attend(self, frame: Frame, loudness: float) -> Attention:
        """Take the next frame, before its features are known.

        Parameters
        ----------
        frame : Frame
            The frame.
        loudness : float
            Its level in dBFS.

        Returns
        -------
        Attention
            For `hear`, which must be called in the same order.
        """
        begins = frame.gap > LONGEST_REST
        if begins:
            self._music = False
        self._quiet_frames = self._quiet_frames + 1 if loudness < SILENCE_THRESHOLD else 0
        self._music = self._music or not self._quiet_frames
        silent = not self._music or self._quiet_frames * self._frame_duration >= LONGEST_REST
        if silent:
            self._music = False
            begins = True
        led_in = self._since_beginning * self._frame_duration <= LONGEST_LEAD_IN
        begins = begins or (led_in and loudness > self._loudest + LEAD_IN_RISE)
        if begins:
            self._memory = self._checkpoint.memory()
            self._since_beginning = 0
            self._loudest = -math.inf
        if not silent:
            self._since_beginning += 1
            self._loudest = max(self._loudest, loudness)
        return Attention(frame, loudness, begins, silent, self._memory)

    def hear(self, attention: Attention, features: FloatArray | None) -> Heard:
        """Take the features of a frame.

        Parameters
        ----------
        attention : Attention
            From `attend`.
        features : ndarray of float32, shape (feature_count,), or None
            Its features; None if it is silent.

        Returns
        -------
        Heard
        """
        if attention.begins:
            self._rows.clear()
        if attention.silent or features is None:
            return Heard(attention.frame, attention.loudness, None, "silence")
        self._rows.append(features)
        rows = self._rows.array() if len(self._rows) > self._lag else None
        state: EstimateState = "tracking" if len(self._rows) >= self._checkpoint.window else "warming"
        return Heard(attention.frame, attention.loudness, rows, state)

    def estimate(self, heard: Heard, values: Pair | None, stds: Pair | None = None, counted: bool = True) -> Estimate:
        """Make the estimate of a frame, in the order in which the frames were heard.

        Parameters
        ----------
        heard : Heard
            From `hear`.
        values : tuple of float, or None
            The network's valence and arousal of `heard.rows`; None if that is None.
        stds : tuple of float, or None
            Their standard deviations, if the network gives them.
        counted : bool
            Whether the estimate takes a sequence number; not so if it will not be published.

        Returns
        -------
        Estimate
        """
        frame = heard.frame
        valence, arousal, valence_std, arousal_std = None, None, None, None
        if values is not None:
            self._told.mood.add(frame.position, *values)
            self._told.newest.append((frame.position, values, stds))
            while self._told.newest[0][0] <= frame.position - self._frame_duration + _TOLERANCE:
                self._told.newest.popleft()
            valence, arousal = _mean([of_phase for _, of_phase, _ in self._told.newest])
            if stds is not None:
                valence_std, arousal_std = _mean([std for _, _, std in self._told.newest if std is not None])
        estimate = Estimate(
            stream=self.stream,
            sequence=self._told.sequence,
            time=frame.time,
            position=frame.position,
            valence=valence,
            arousal=arousal,
            valence_std=valence_std,
            arousal_std=arousal_std,
            mood=self._told.mood.at(frame.position),
            state=heard.state,
            loudness=heard.loudness,
            lag=self._lag * self._frame_duration,
            model=self._checkpoint.name,
        )
        self._told.sequence += counted
        return estimate


def phase_histories(stream: str, checkpoint: Estimator, lag: int, phases: int) -> list[StreamHistory]:
    """Begin a stream.

    Parameters
    ----------
    stream : str
        The stream's name.
    checkpoint : Estimator
        The model.
    lag : int
        Frames to look back from the newest one.
    phases : int
        How many frames begin while one lasts.

    Returns
    -------
    list of StreamHistory
        One for each phase's frames.
    """
    first = StreamHistory(stream, checkpoint, lag)
    histories = [first, *(StreamHistory(stream, checkpoint, lag, first) for _ in range(phases - 1))]
    if phases > 1:
        columns = RecentColumns(phases)
        for history in histories:
            history.columns = columns
    return histories


def _bounded(mean: float) -> float:
    # what is added and taken away again leaves rounding errors
    return max(-1.0, min(1.0, mean))


def _mean(values: list[Pair]) -> Pair:
    if len(values) == 1:
        return values[0]
    valences, arousals = zip(*values, strict=True)
    return sum(valences) / len(values), sum(arousals) / len(values)
