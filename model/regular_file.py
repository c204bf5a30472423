"""Opens files that anybody may have named: nothing is waited for, and nothing large is read unasked."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


class FileError(ValueError):
    """A file is not of its kind, or larger than its reader allows; the text ends a sentence about the file."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read.

    Raises
    ------
    FileError
        If it is something else than a file.
    OSError
        If it cannot be opened.
    """
    try:
        # opening a named pipe would wait for its writer
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileError("is not a file")
        return path.open("rb")
    except OSError:
        raise
    except ValueError as error:  # a null character in the path
        raise error if isinstance(error, FileError) else FileNotFoundError(str(error)) from error


def size_of(file: BinaryIO, most_bytes: int) -> int:
    """Return how many bytes an open file has.

    Raises
    ------
    FileError
        If it has more than `most_bytes`.
    """
    size = os.fstat(file.fileno()).st_size
    if size > most_bytes:
        raise FileError(f"has {size} bytes; at most {most_bytes} are allowed")
    return size
