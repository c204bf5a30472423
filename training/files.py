"""Files that appear whole or not at all, whatever interrupts their writing."""

from __future__ import annotations

import os
from pathlib import Path

from training.tables import DataError


def write_whole(path: Path, content: bytes, what: str = "", make_folder: bool = False) -> None:
    """Write a file beside its place and move it there; an existing one is replaced in one step.

    Parameters
    ----------
    path : Path
    content : bytes
    what : str
        What it is, for the message: ``the training state``.
    make_folder : bool
        Make its folder if that is not there.

    Raises
    ------
    DataError
        If it cannot be written; then nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f'cannot write {what}{" " if what else ""}"{path}": {error.strerror or error}') from error
