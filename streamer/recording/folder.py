"""Where a recording is: a folder for each run of a stream, of which nothing is ever overwritten.

``messages.jsonl`` has a line for every message as it was published (`streamer.recording.lines`), ``audio-000.flac`` the
first hour of what was heard, ``audio-001.flac`` the next (`streamer.recording.audio`), and ``recording.json`` says what
was recorded when, by which model. Nobody but the user may look into it: it is what was said and played in a room.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from itertools import count
from pathlib import Path

from model.errors import MoodringError

MESSAGES = "messages.jsonl"
DESCRIPTION = "recording.json"
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


class RecordingError(MoodringError):
    """A recording cannot be written or read; the message names it."""


def create_folder(parent: Path, stream: str, began: float) -> Path:
    """Make the folder of a new recording.

    Parameters
    ----------
    parent : Path
        Where recordings are; made if it is not there.
    stream : str
        The stream's name.
    began : float
        UTC in seconds since the epoch.

    Returns
    -------
    Path
        Below `parent`, named by stream and time, such as ``stage-20261124T101500Z``; with ``-2`` and so on after it
        where there is one of that name already.

    Raises
    ------
    RecordingError
        If it cannot be made.
    """
    when = datetime.fromtimestamp(began, timezone.utc)
    name = f"{stream}-{when:%Y%m%dT%H%M%SZ}"
    try:
        parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for number in count(1):
            folder = parent / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir(mode=_FOLDER_MODE)
            except FileExistsError:
                continue
            return folder
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecordingError(f'cannot record to "{parent}": {reason}') from error
    raise AssertionError("count ends")


def create_file(path: Path) -> int:
    """Make a file of a recording and return its descriptor; `OSError` if it is there already, or cannot be made."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, _FILE_MODE)


def write_description(folder: Path, description: Mapping[str, object]) -> None:
    """Write ``recording.json``, in one piece or not at all.

    Parameters
    ----------
    folder : Path
        The recording's.
    description : mapping
        What JSON can hold.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    temporary = folder / f".{DESCRIPTION}.new"
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(create_file(temporary), "w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(description, indent=1, allow_nan=False) + "\n")
        temporary.replace(folder / DESCRIPTION)
    finally:
        temporary.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove the folder of a recording of which there is nothing but the description."""
    (folder / DESCRIPTION).unlink(missing_ok=True)
    (folder / MESSAGES).unlink(missing_ok=True)
    folder.rmdir()


def find_messages(path: Path) -> Path:
    """Find the messages of a recording.

    Parameters
    ----------
    path : Path
        The recording's folder, the folder in which it is the only one, or the file itself.

    Returns
    -------
    Path

    Raises
    ------
    RecordingError
        If there is none, or more than one.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise RecordingError(f'there is no recording "{path}"')
        if not os.path.isfile(path):
            raise RecordingError(f'"{path}" is neither a folder nor a regular file')
        return path
    if os.path.isfile(path / MESSAGES):
        return path / MESSAGES
    try:
        found = sorted(below.name for below in path.iterdir() if os.path.isfile(below / MESSAGES))
    except OSError as error:
        raise RecordingError(f'cannot read "{path}": {error.strerror}') from error
    if not found:
        raise RecordingError(f'"{path}" holds no recording: there is no {MESSAGES} in it')
    if len(found) > 1:
        raise RecordingError(f'"{path}" holds {len(found)} recordings; choose one, such as "{path / found[-1]}"')
    return path / found[0] / MESSAGES
