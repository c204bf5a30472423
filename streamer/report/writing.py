"""Files that appear under their name when they are complete, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from model.errors import MoodringError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside where it belongs, and move it there.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    content : bytes
        All of it.

    Raises
    ------
    MoodringError
        If it cannot be written; nothing is left behind then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise MoodringError(f'cannot write "{path}": {reason}') from error
