"""Counts the processes that were killed while they did something, so that what kills is not done again and again.

Before it is begun its mark is made longer by one, afterwards it is removed; a process that is killed leaves it. The
marks are in the archive's folder, because the next process to try may be on another machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

TRIES = 2
"""How often a thing is begun: a process that was killed may have been so by mistake, or for lack of memory."""


class Strikes:
    """The marks of one archive.

    Parameters
    ----------
    archive : Path
        Its folder.
    """

    def __init__(self, archive: Path) -> None:
        self._folder = archive / ".strikes"

    def forget(self) -> None:
        """Remove all marks: a new run tries everything again."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def begin(self, thing: str) -> bool:
        """Take note that something is about to be done; False if it has killed `TRIES` times and shall not be.

        Parameters
        ----------
        thing : str
            A file's path when it is to be read, or any other name.

        Returns
        -------
        bool

        Raises
        ------
        OSError
            If the mark cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        with open(self._mark(thing), "ab") as mark:
            if mark.tell() >= TRIES:
                return False
            mark.write(b"x")
        return True

    def end(self, thing: str) -> None:
        """Take note that it is over, well or not: this process has lived through it."""
        self._mark(thing).unlink(missing_ok=True)

    def _mark(self, thing: str) -> Path:
        return self._folder / hashlib.blake2b(os.fsencode(thing), digest_size=16).hexdigest()
