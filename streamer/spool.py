"""Text that waits for its turn: in memory while it is short, then in a file without a name, gone with the process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from streamer.table import TableError

_IN_MEMORY = 1 << 20
"""Bytes of rows that are kept in memory: two hours of audio."""
_LINES_PER_READ = 1000


class Spool:
    """Lines that are appended, and read once.

    Parameters
    ----------
    folder : Path or None
        Where there is room for what is long; the system's folder for temporary files if None.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115  # closed by `close`

    def write(self, lines: bytes) -> None:
        """Append whole lines.

        Raises
        ------
        TableError
            If the disk is full.
        """
        try:
            self._file.write(lines)
        except OSError as error:
            raise TableError(f'cannot write to "{self._folder or tempfile.gettempdir()}": {error.strerror}') from error

    def read(self) -> Iterator[list[bytes]]:
        """Yield the lines, some at a time."""
        self._file.seek(0)
        while lines := [line for _, line in zip(range(_LINES_PER_READ), self._file, strict=False)]:
            yield lines

    def close(self) -> None:
        """Forget them."""
        self._file.close()
