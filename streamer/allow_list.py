"""Who may subscribe: the public keys in a folder, which is looked at again and again while a publisher runs."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import NamedTuple

from streamer.key_files import KeyFileError, list_public_keys, read_public_key

_SETTLED = 2_000_000_000
"""Nanoseconds after which a file's time of change tells its versions apart; some file systems count in steps of 2 s."""

_log = logging.getLogger("moodring.allow_list")


class _File(NamedTuple):
    version: tuple[int, ...]
    settled: bool
    key: bytes | None
    trouble: str


class AllowList:
    """The public keys in a folder's ``*.key`` files, as `refresh` last saw them.

    A file that is not a public key lets nobody in and stops no other; a folder that has gone lets nobody in. Both are
    logged once, and looked at again.

    Parameters
    ----------
    folder : Path
        On a local disk: `refresh` waits for it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trouble = ""
        self._files: dict[Path, _File] = {}
        self._names: dict[bytes, str] = {}
        self.refresh()

    def __contains__(self, key: bytes) -> bool:
        return key in self._names

    def name(self, key: bytes) -> str:
        """Give the name of the file that allows a key.

        Parameters
        ----------
        key : bytes
            A public key that is in the list: 40 characters in Z85.

        Returns
        -------
        str
        """
        return self._names[key]

    def refresh(self) -> bool:
        """Look at the folder, and read what is new in it.

        Returns
        -------
        bool
            Whether a key has gone.
        """
        try:
            paths = list_public_keys(self._folder)
            trouble = ""
        except KeyFileError as error:
            paths = []
            trouble = f"{error}; nobody is let in"
        if trouble and trouble != self._trouble:
            _log.error("%s", trouble)
        self._trouble = trouble
        self._files = {path: self._look(path) for path in paths}
        names = {file.key: path.name for path, file in self._files.items() if file.key is not None}
        for key in names.keys() - self._names.keys():
            _log.info("%s may subscribe", names[key])
        gone = self._names.keys() - names.keys()
        for key in gone:
            _log.info("%s may subscribe no more", self._names[key])
        self._names = names
        return bool(gone)

    def _look(self, path: Path) -> _File:
        before = self._files.get(path)
        # before reading: what is written meanwhile is then seen next time
        version, settled = _version(path)
        if before is not None and before.settled and before.version == version:
            return before
        try:
            return _File(version, settled, read_public_key(path), "")
        except KeyFileError as error:
            trouble = str(error)
        if before is None or before.trouble != trouble:
            _log.warning("%s; passed over", trouble)
        return _File(version, settled, None, trouble)


def _version(path: Path) -> tuple[tuple[int, ...], bool]:
    """Give what changes when a file does, and whether it would change if the file did now."""
    try:
        found = os.stat(path)
    except OSError:
        return (), False
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED
    return (found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns), settled
