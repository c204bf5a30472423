"""What the dashboard remembers: how each stream is doing, and every estimate of the last ten minutes."""

from __future__ import annotations

import math
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, get_args

from streamer.messages import FINAL_STATES, Estimate, EstimateState, Status

KEPT_SECONDS: Final = 600.0
"""How far back the page can look."""
MAXIMUM_ROWS: Final = 1_000_000
"""Estimates kept of all streams together, some 150 MB: ten minutes of 1600 a second."""
MAXIMUM_STREAMS: Final = 1024
"""Streams told apart, as many as a `Subscriber` knows the status of; estimates of others are counted, not shown."""
DEAD_AFTER: Final = 2.5
"""Seconds without a message after which a stream's tracker counts as dead. It sends one a second at least; the page
knows a quarter of a second later, and so within the protocol's 3 s."""
OVERVIEW_POINTS: Final = 30_000
"""Points of all streams together that a page gets when it is opened, 2 MB; a screen has fewer columns."""
OVERVIEW_INTERVAL: Final = 0.25
"""Seconds between them if there are few streams: less than a pixel's width of the curves."""
_OLD_NEWS = 5.0
"""A stream's first estimate is not news if it is older than that: publishers send last values to whoever comes."""
_LATENCIES = 41
"""Latest latencies of which the median is shown."""

_STATES: Final = get_args(EstimateState)
_ROW = struct.Struct("<QdddfffffffB")

Point = list[float | int | None]
"""Arrival (UTC), valence, arousal, their standard deviations, loudness, and the index of the estimate's state."""


@dataclass(frozen=True)
class Row:
    """An estimate as it is kept for the table.

    Attributes
    ----------
    arrived : float
        UTC at which it came, in seconds since the epoch.
    stream : str
        The stream's name.
    started : float or None
        `Status.started` of its run; None if not known.
    sequence, time, position, valence, arousal, valence_std, arousal_std, state, loudness
        As in `Estimate`.
    mood_valence, mood_arousal : float or None
        `Estimate.mood`.
    """

    arrived: float
    stream: str
    started: float | None
    sequence: int
    time: float
    position: float
    valence: float | None
    arousal: float | None
    valence_std: float | None
    arousal_std: float | None
    mood_valence: float | None
    mood_arousal: float | None
    state: EstimateState
    loudness: float

    @property
    def point(self) -> Point:
        """What the page draws of it."""
        return _point(self, self.arrived)


@dataclass
class _Stream:
    name: str
    version: int = 0
    estimate: Estimate | None = None
    arrived: float = 0.0
    status: Status | None = None
    heard: float = 0.0
    dead: bool = False
    missed: int = 0
    runs: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))

    def shown(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        status, estimate = self.status, self.estimate
        return {
            "name": self.name,
            "dead": self.dead,
            "state": None if status is None else status.state,
            "reason": "" if status is None else status.reason[:200],
            "dropped": None if status is None else round(status.dropped, 1),
            "runs": self.runs,
            "missed": self.missed,
            "latency": round(median(self.latencies), 4) if self.latencies else None,
            "position": None if estimate is None else round(estimate.position, 1),
            "point": None if estimate is None or not self.arrived else _point(estimate, self.arrived),
        }


class Record:
    """The last ten minutes, written by one thread and read by others.

    Parameters
    ----------
    now, monotonic : callable
        Give UTC in seconds since the epoch, and seconds that never jump.

    Attributes
    ----------
    trouble : str
        What keeps messages from coming although a publisher is there; see `Subscriber.trouble`.
    left_out : int
        Messages of streams beyond `MAXIMUM_STREAMS`.
    """

    def __init__(self, now: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.trouble = ""
        self.left_out = 0
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._rows: deque[tuple[float, str, bytes]] = deque(maxlen=MAXIMUM_ROWS)
        self._version = 0
        self._heard: float | None = None

    def add(self, message: Estimate | Status) -> None:
        """Take a message that has just come.

        Parameters
        ----------
        message : Estimate or Status
        """
        now, arrived = self._monotonic(), self._now()
        with self._lock:
            self._heard = now
            stream = self._streams.get(message.stream)
            if stream is None:
                if len(self._streams) >= MAXIMUM_STREAMS:
                    self.left_out += 1
                    return
                stream = self._streams[message.stream] = _Stream(message.stream)
            stream.heard = now
            stream.dead = False
            self._version += 1
            stream.version = self._version
            if isinstance(message, Status):
                _begin_run(stream, message)
                stream.status = message
            else:
                self._add_estimate(stream, message, arrived)

    def updates(self, after: int) -> tuple[int, list[dict[str, Any]]]:
        """Give what has changed.

        Parameters
        ----------
        after : int
            The version that is known; 0 for none.

        Returns
        -------
        tuple of int and list of dict
            The version now, and each stream that has changed since, as it is now: however much came in between, a
            slow reader gets one of each.
        """
        now = self._monotonic()
        with self._lock:
            changed = []
            for stream in self._streams.values():
                final = stream.status is not None and stream.status.state in FINAL_STATES
                if not stream.dead and not final and now - stream.heard > DEAD_AFTER:
                    stream.dead = True
                    self._version += 1
                    stream.version = self._version
                if stream.version > after:
                    changed.append(stream)
            return self._version, [stream.shown() for stream in changed]

    def utc(self) -> float:
        """Give UTC now, in seconds since the epoch, on the clock of the arrivals."""
        return self._now()

    def silence(self) -> float | None:
        """Give the seconds since any message came; None if none ever came."""
        heard = self._heard
        return None if heard is None else self._monotonic() - heard

    def overview(self) -> dict[str, list[Point]]:
        """Give the points of each stream, oldest first, thinned so that all together are `OVERVIEW_POINTS` at most."""
        with self._lock:
            rows = list(self._rows)
            streams = len(self._streams)
        interval = max(OVERVIEW_INTERVAL, KEPT_SECONDS * streams / OVERVIEW_POINTS)
        oldest = self._now() - KEPT_SECONDS
        points: dict[str, list[Point]] = {}
        due: dict[str, float] = {}
        for arrived, name, packed in rows:
            if arrived >= max(oldest, due.get(name, 0.0)):
                due[name] = arrived + interval
                points.setdefault(name, []).append(_unpack(arrived, name, packed).point)
        return points

    def rows(self) -> Iterator[Row]:
        """Give every estimate that is kept, in the order in which they came.

        Yields
        ------
        Row
        """
        with self._lock:
            rows = list(self._rows)
        for arrived, name, packed in rows:
            yield _unpack(arrived, name, packed)

    def _add_estimate(self, stream: _Stream, estimate: Estimate, arrived: float) -> None:
        before = stream.estimate
        stream.estimate = estimate
        if before is None and arrived - estimate.time > _OLD_NEWS:
            return
        if before is not None and estimate.sequence > before.sequence + 1:
            stream.missed += estimate.sequence - before.sequence - 1
        stream.arrived = arrived
        stream.latencies.append(arrived - estimate.time)
        started = None if stream.status is None else stream.status.started
        self._rows.append((arrived, estimate.stream, _pack(estimate, started)))
        while self._rows[0][0] < arrived - KEPT_SECONDS:
            self._rows.popleft()


def _begin_run(stream: _Stream, status: Status) -> None:
    before = stream.status
    if before is None or before.started != status.started:
        stream.runs += 1
    if before is not None and before.started != status.started:
        stream.estimate = None  # its sequence begins anew, and no gap lies between
        stream.latencies.clear()


def _point(estimate: Estimate | Row, arrived: float) -> Point:
    return [
        round(arrived, 3),
        _rounded(estimate.valence, 4),
        _rounded(estimate.arousal, 4),
        _rounded(estimate.valence_std, 4),
        _rounded(estimate.arousal_std, 4),
        round(estimate.loudness, 1),
        _STATES.index(estimate.state),
    ]


def _pack(estimate: Estimate, started: float | None) -> bytes:
    optional = (
        estimate.valence,
        estimate.arousal,
        estimate.valence_std,
        estimate.arousal_std,
        estimate.mood.valence,
        estimate.mood.arousal,
    )
    return _ROW.pack(
        estimate.sequence,
        math.nan if started is None else started,
        estimate.time,
        estimate.position,
        *(math.nan if value is None else value for value in optional),
        estimate.loudness,
        _STATES.index(estimate.state),
    )


def _unpack(arrived: float, name: str, packed: bytes) -> Row:
    sequence, started, at, position, *optional, loudness, state = _ROW.unpack(packed)
    valence, arousal, valence_std, arousal_std, mood_valence, mood_arousal = map(_number, optional)
    return Row(
        arrived=arrived,
        stream=name,
        started=None if math.isnan(started) else started,
        sequence=sequence,
        time=at,
        position=position,
        valence=valence,
        arousal=arousal,
        valence_std=valence_std,
        arousal_std=arousal_std,
        mood_valence=mood_valence,
        mood_arousal=mood_arousal,
        state=_STATES[state],
        loudness=round(loudness, 1),
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
