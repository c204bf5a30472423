"""What crosses the process boundary: estimates and statuses, as objects and as ZeroMQ frames.

The protocol is described in PROTOCOL.md beside this file. Needs the standard library only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, cast, get_args

PROTOCOL_VERSION: Final = 1
DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:5588"
ESTIMATE_TOPIC: Final = "emotion/"
STATUS_TOPIC: Final = "status/"
HEARTBEAT_INTERVAL: Final = 1.0
"""Seconds between statuses of a stream when nothing changes."""
MAXIMUM_BODY_BYTES: Final = 1 << 16
LARGEST_NUMBER: Final = 1e12
"""Magnitude of the largest number in a body: 30 000 years in seconds. Larger ones cannot be shown as times."""
LONGEST_TEXT: Final = 4096
"""Characters of a text that a reader keeps, as many as a path may have: it remembers texts of thousands of streams."""
LARGEST_COUNT: Final = (1 << 53) - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8259, section 6)."""

EstimateState = Literal["warming", "tracking", "silence"]
StreamState = Literal["starting", "running", "stalled", "ended", "failed"]
FINAL_STATES: Final = ("ended", "failed")
"""States of a stream's last status: what comes after it is a new run."""

_STREAM_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


class MessageError(ValueError):
    """Frames that are not a message of this protocol version; the text says why."""


@dataclass(frozen=True)
class Mood:
    """The slow estimate: the mean over about the last minute.

    Attributes
    ----------
    valence, arousal : float or None
        In [-1, 1]; None while there was no music in the last minute.
    """

    valence: float | None
    arousal: float | None


@dataclass(frozen=True)
class Estimate:
    """Valence and arousal of a stream at one instant.

    Attributes
    ----------
    stream : str
        The stream's name.
    sequence : int
        Counts this stream's estimates from 0, without gaps at the publisher.
    time : float
        UTC of the newest frame's end, in seconds since the epoch.
    position : float
        Seconds of audio since the stream began, up to the newest frame's end.
    valence, arousal : float or None
        In [-1, 1]; None in silence, and until there is something to estimate.
    valence_std, arousal_std : float or None
        Standard deviation of the estimate; None if the model gives none.
    mood : Mood
        The mean over about the last minute.
    state : {'warming', 'tracking', 'silence'}
        `warming` until the model's window is full.
    loudness : float
        Level of the newest frame in dBFS (root mean square); -200 for exact zeros.
    lag : float
        How many seconds before `position` the described instant lies.
    model : str
        Name of the model.
    """

    stream: str
    sequence: int
    time: float
    position: float
    valence: float | None
    arousal: float | None
    valence_std: float | None
    arousal_std: float | None
    mood: Mood
    state: EstimateState
    loudness: float
    lag: float
    model: str
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True)
class Status:
    """How a stream is doing; sent on every change and at least once a second.

    Attributes
    ----------
    stream : str
        The stream's name.
    sequence : int
        Counts this stream's statuses from 0, without gaps at the publisher.
    time : float
        UTC at which it was sent, in seconds since the epoch.
    state : {'starting', 'running', 'stalled', 'ended', 'failed'}
        `stalled`: the source is open, but no audio comes.
    dropped : float
        Seconds of audio lost since the stream began.
    reason : str
        Why the state is what it is; may be empty.
    invalid : int
        Samples since the stream began that were not finite numbers, and were taken as silence.
    started : float or None
        UTC at which the stream's run began, in seconds since the epoch: another value means that the tracker was
        started again. None from a publisher that does not say.
    """

    stream: str
    sequence: int
    time: float
    state: StreamState
    dropped: float
    reason: str
    invalid: int = 0
    started: float | None = None
    version: int = PROTOCOL_VERSION


def validate_stream_name(name: str) -> str:
    """Return the name if it can be part of a topic.

    Parameters
    ----------
    name : str
        1 to 100 letters, digits, ``.``, ``_`` and ``-``.

    Returns
    -------
    str

    Raises
    ------
    MessageError
        If it has other characters, or none, or too many.
    """
    if not _STREAM_NAME.fullmatch(name):
        raise MessageError(f'stream name "{name[:100]}" may hold only letters, digits, ".", "_" and "-" (1 to 100)')
    return name


def encode(message: Estimate | Status) -> list[bytes]:
    """Turn a message into its ZeroMQ frames.

    Parameters
    ----------
    message : Estimate or Status

    Returns
    -------
    list of bytes
        Topic and body.
    """
    kind = ESTIMATE_TOPIC if isinstance(message, Estimate) else STATUS_TOPIC
    return [f"{kind}{message.stream}/".encode(), to_json(message).encode()]


def to_json(message: Estimate | Status) -> str:
    """Return the message as one line of JSON: the body that is sent, numbers rounded to what they mean."""
    # not dataclasses.asdict, which copies every value, and takes as long as all the rest
    fields = {"version": message.version} | vars(message)
    return _JSON.encode({name: _rounded(name, value) for name, value in fields.items()})


def decode(frames: Sequence[bytes]) -> Estimate | Status:
    """Turn ZeroMQ frames into a message.

    Parameters
    ----------
    frames : sequence of bytes
        Topic and body.

    Returns
    -------
    Estimate or Status
        Unknown fields of the body are ignored.

    Raises
    ------
    MessageError
        If the frames are not a message of this version with all its fields in their ranges.
    """
    if len(frames) != 2:
        raise MessageError(f"a message has 2 frames, not {len(frames)}")
    topic, body = bytes(frames[0][:200]), frames[1]
    if len(body) > MAXIMUM_BODY_BYTES:
        raise MessageError(f"a body has at most {MAXIMUM_BODY_BYTES} bytes, not {len(body)}")
    try:
        fields = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise MessageError("the body is not a JSON object")
    if type(fields.get("version")) is not int or fields["version"] != PROTOCOL_VERSION:
        raise MessageError(f"the protocol's version is not {PROTOCOL_VERSION}")
    stream = validate_stream_name(_text(fields, "stream"))
    if topic == f"{ESTIMATE_TOPIC}{stream}/".encode():
        return _decode_estimate(stream, fields)
    if topic == f"{STATUS_TOPIC}{stream}/".encode():
        return Status(
            stream=stream,
            sequence=_count(fields, "sequence"),
            time=_number(fields, "time", 0),
            state=cast(StreamState, _one_of(fields, "state", get_args(StreamState))),
            dropped=_number(fields, "dropped", 0),
            reason=_text(fields, "reason"),
            invalid=_count(fields, "invalid") if "invalid" in fields else 0,
            started=_optional(fields, "started", 0),
        )
    raise MessageError(f'topic {topic!r} is not of stream "{stream}"')


def _decode_estimate(stream: str, fields: dict[str, Any]) -> Estimate:
    mood = fields.get("mood")
    if not isinstance(mood, dict):
        raise MessageError("mood is not an object")
    return Estimate(
        stream=stream,
        sequence=_count(fields, "sequence"),
        time=_number(fields, "time", 0),
        position=_number(fields, "position", 0),
        valence=_optional(fields, "valence", -1, 1),
        arousal=_optional(fields, "arousal", -1, 1),
        valence_std=_optional(fields, "valence_std", 0),
        arousal_std=_optional(fields, "arousal_std", 0),
        mood=Mood(_optional(mood, "valence", -1, 1), _optional(mood, "arousal", -1, 1)),
        state=cast(EstimateState, _one_of(fields, "state", get_args(EstimateState))),
        loudness=_number(fields, "loudness"),
        lag=_number(fields, "lag", 0),
        model=_text(fields, "model"),
    )


_JSON = json.JSONEncoder(allow_nan=False)
_DECIMALS = {
    "time": 6,
    "started": 6,
    "position": 6,
    "valence": 4,
    "arousal": 4,
    "valence_std": 4,
    "arousal_std": 4,
    "loudness": 1,
    "lag": 3,
    "dropped": 6,
}


def _rounded(name: str, value: Any) -> Any:
    if isinstance(value, Mood):
        return {key: _rounded(key, inner) for key, inner in vars(value).items()}
    return round(value, _DECIMALS[name]) if isinstance(value, float) else value


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _number(fields: dict[str, Any], name: str, low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise MessageError(f"{name} is not a number in its range")
    return float(value)


def _optional(fields: dict[str, Any], name: str, low: float, high: float = LARGEST_NUMBER) -> float | None:
    return None if fields.get(name) is None else _number(fields, name, low, high)


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        raise MessageError(f"{name} is not a whole number from 0 to {LARGEST_COUNT}")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise MessageError(f"{name} is not a string")
    return value[:LONGEST_TEXT]


def _one_of(fields: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = fields.get(name)
    if value not in allowed:
        raise MessageError(f"{name} is none of {', '.join(allowed)}")
    return str(value)
