"""Keeps a second moodring from writing what one is writing already."""

from __future__ import annotations

import sys

from streamer.table import TableError

if sys.platform != "win32":
    import fcntl


def lock(descriptor: int, output: str) -> None:
    """Lock an open file until it is closed, or its process has gone.

    Parameters
    ----------
    descriptor : int
        Of the file.
    output : str
        What errors name.

    Raises
    ------
    TableError
        If another process holds it.
    OSError
        If the file system has no locks.
    """
    if sys.platform == "win32":
        return  # there is no such lock; nothing keeps two runs apart
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TableError(f'cannot write "{output}": another moodring is writing it') from error
