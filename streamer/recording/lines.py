"""The messages of a recording as text: a line of JSON each, the body that was published and when that was.

``elapsed`` is how many seconds after the recording began the message was sent, on a clock that never jumps; the other
fields are the protocol's. What ``moodring watch --json`` or ``stream --json`` printed has no ``elapsed`` and no
statuses: there `time` takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import shown
from streamer.messages import (
    ESTIMATE_TOPIC,
    LARGEST_NUMBER,
    MAXIMUM_BODY_BYTES,
    STATUS_TOPIC,
    Estimate,
    MessageError,
    Status,
    decode,
)
from streamer.recording.folder import RecordingError

_LONGEST_LINE = MAXIMUM_BODY_BYTES + 1
"""Bytes of a line: what a reader takes of a body, and the end of the line."""


@dataclass(frozen=True)
class RecordedMessage:
    """A message and when it was sent.

    Attributes
    ----------
    elapsed : float
        Seconds after the recording began.
    message : Estimate or Status
        As it was sent.
    """

    elapsed: float
    message: Estimate | Status


def encode_line(elapsed: float, body: bytes) -> bytes:
    """Return the line of a message.

    Parameters
    ----------
    elapsed : float
        Seconds after the recording began.
    body : bytes
        A JSON object, as it was sent.

    Returns
    -------
    bytes
    """
    return b'{"elapsed": %.6f, %s\n' % (elapsed, body[1:])


class MessageReader:
    """Reads the messages of a recording, from its beginning each time it is iterated over.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    refused : int
        Lines of the last reading that were no messages, and were left out: the last one, where the recording program
        was killed.
    first_refused : str
        Which was the first of them and what is wrong with it.

    Raises
    ------
    RecordingError
        If the file cannot be read; while it is iterated over, too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused = 0
        self.first_refused = ""

    def __iter__(self) -> Iterator[RecordedMessage]:
        self.refused = 0
        origin: float | None = None
        elapsed = 0.0
        try:
            with self.path.open("rb") as lines:
                number = 0
                while line := lines.readline(_LONGEST_LINE):
                    number += 1
                    try:
                        message, sent = _decode_line(line)
                        if sent is None:
                            origin = message.time if origin is None else origin
                            sent = message.time - origin
                    except MessageError as error:
                        self._refuse(number, str(error))
                        continue
                    elapsed = max(elapsed, sent)
                    yield RecordedMessage(elapsed, message)
        except OSError as error:
            raise RecordingError(f'cannot read "{self.path}": {error.strerror}') from error

    def _refuse(self, number: int, reason: str) -> None:
        if not self.refused:
            self.first_refused = shown(f"line {number}: {reason}")
        self.refused += 1


def _decode_line(line: bytes) -> tuple[Estimate | Status, float | None]:
    if not line.endswith(b"\n"):
        raise MessageError("it breaks off, or is too long")
    try:
        fields: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError("it is not JSON") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("stream"), str):
        raise MessageError("it is no message")
    sent = fields.get("elapsed")
    if sent is not None and (
        isinstance(sent, bool) or not isinstance(sent, (int, float)) or not 0 <= sent <= LARGEST_NUMBER
    ):
        raise MessageError("elapsed is not a number in its range")
    kind = ESTIMATE_TOPIC if "position" in fields else STATUS_TOPIC
    topic = f"{kind}{fields['stream'][:200]}/".encode(errors="replace")
    return decode([topic, line[:-1]]), None if sent is None else float(sent)
