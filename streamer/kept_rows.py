"""The rows of files that are done, kept beside the table that they are for: a run that was killed goes on with them.

They are in ``.OUT.part``, text that is only ever appended to: a line that says what the rows depend on, then, for every
file, a line of JSON per row and one that says which file they are of, with a checksum of them all. What comes after the
last such line is of a file that was not done, and is cut off. The lock on it goes when the process does.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from model.estimator import Estimator
from streamer.table import Row, TableError, printable_name
from streamer.writer_lock import lock

_MAGIC = b"moodring rows 1 "
_ROWS_PER_READ = 1000
_LONGEST_LINE = 1 << 20
"""Bytes of a line; a damaged file may have none that ends."""
_LIBRARIES = ("moodring", "numpy", "soundfile", "soxr")
"""Packages on whose versions the rows depend, beside the one that computes the network."""
_OPTIONAL_LIBRARY = "av"


@dataclass(frozen=True)
class Identity:
    """By what a file is taken for the same: its size in bytes, and when it was changed (ns since the epoch)."""

    size: int
    modified: int


@dataclass(frozen=True)
class _Kept:
    start: int
    file: str
    rows: int
    size: int | None
    modified: int | None
    invalid: int
    problem: str | None


def identify(file: str) -> Identity | None:
    """Tell what is at a path now; None if it is no file that can be read."""
    try:
        if not os.path.isfile(file):
            return None  # opening a named pipe would wait for its writer
        with open(file, "rb") as opened:
            status = os.fstat(opened.fileno())
    except (OSError, ValueError):
        return None
    return Identity(status.st_size, status.st_mtime_ns)


def settings_of(checkpoint: Estimator, lag: int) -> dict[str, str]:
    """Name what rows depend on beside the audio.

    Parameters
    ----------
    checkpoint : Estimator
        The model.
    lag : int
        Frames to look back.

    Returns
    -------
    dict of str to str
        The model's digest (of everything that it computes with), the lag, and the versions of the packages in use.
    """
    decoders = [_OPTIONAL_LIBRARY] if find_spec(_OPTIONAL_LIBRARY) else []
    libraries = (*_LIBRARIES, *decoders, checkpoint.runtime)
    return {"model": checkpoint.digest(), "lag": str(lag)} | {name: version(name) for name in libraries}


def encode_rows(rows: Iterable[Row]) -> bytes:
    """Return rows, as `row_of` makes them, without their file: a line of JSON each."""
    return b"".join(json.dumps(row[1:], allow_nan=False).encode() + b"\n" for row in rows)


def decode_rows(file: str, lines: Iterable[bytes]) -> list[Row]:
    """Return the rows of a file that `encode_rows` made lines of."""
    name = printable_name(file)
    return [(name, *json.loads(line)) for line in lines]


class KeptRows:
    """Keeps rows, file by file, until they are all there. Use it as a context manager: leaving it keeps what is done.

    Parameters
    ----------
    output : str
        The table that the rows are for; theirs is ``.OUT.part`` in the same folder.
    settings : mapping of str to str
        What the rows depend on, as `settings_of` names it; rows that were made with others are thrown away.
    restart : bool
        Throw away whatever there is.

    Attributes
    ----------
    path : Path
        Where they are.
    notices : list of str
        What was thrown away and why, for people.

    Raises
    ------
    TableError
        If another run writes the same table, the file is something else, or it cannot be written.
    """

    def __init__(self, output: str, settings: Mapping[str, str], restart: bool = False) -> None:
        self.path = Path(output).with_name(f".{Path(output).name}.part")
        self.notices: list[str] = []
        self._output = output
        self._files: dict[str, _Kept] = {}
        self._checksum = 0
        self._rows = 0
        try:
            self._descriptor = self._open_locked()
        except OSError as error:
            raise TableError(f'cannot write "{output}": {error.strerror or error}') from error
        try:
            self._load(dict(settings), restart)
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, OSError):
                raise TableError(f'cannot write "{self.path}": {error.strerror or error}') from error
            raise

    def __enter__(self) -> KeptRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._files:
                with suppress(OSError):  # the next run cuts it off as well
                    os.ftruncate(self._descriptor, self._end)
            else:
                self.remove()
        finally:
            os.close(self._descriptor)

    def holds(self, file: str) -> bool:
        """Tell whether a file's rows are here, and it could be read then and has not been changed since.

        Parameters
        ----------
        file : str
            Its path, as it was given.

        Returns
        -------
        bool
        """
        kept = self._files.get(file)
        if kept is None or kept.size is None or kept.modified is None:
            return False
        return identify(file) == Identity(kept.size, kept.modified)

    def changed(self, file: str) -> bool:
        """Tell whether a file's rows are here, but of what it was before it was changed."""
        kept = self._files.get(file)
        return kept is not None and kept.size is not None and not self.holds(file)

    def count(self, file: str) -> int:
        """Return how many rows of a file there are."""
        return self._files[file].rows

    def invalid(self, file: str) -> int:
        """Return how many samples of a file that is done were not finite."""
        return self._files[file].invalid

    def problem(self, file: str) -> str | None:
        """Return why a file that is done could not be read, or not to its end; None if it could."""
        return self._files[file].problem

    def write(self, rows: list[Row]) -> None:
        """Append rows of the file at hand, as `row_of` makes them.

        Raises
        ------
        TableError
            If the disk is full.
        """
        self.write_encoded(encode_rows(rows))

    def write_encoded(self, lines: bytes) -> None:
        """Append rows of the file at hand, as `encode_rows` makes them.

        Raises
        ------
        TableError
            If the disk is full.
        """
        self._rows += lines.count(b"\n")
        self._append(lines)

    def finish(self, file: str, identity: Identity | None, invalid: int, problem: str | None) -> None:
        """Keep the rows since the last call for good, also if the power fails.

        Parameters
        ----------
        file : str
            What they are of.
        identity : Identity or None
            What `identify` said before it was read.
        invalid : int
            Samples that were not finite.
        problem : str or None
            Why it could not be read, or not to its end.

        Raises
        ------
        TableError
            If the disk is full.
        """
        size, modified = (None, None) if identity is None else (identity.size, identity.modified)
        kept = _Kept(self._end, file, self._rows, size, modified, invalid, problem)
        text = json.dumps(asdict(kept)).encode()
        self._append(b"%08x %s\n" % (zlib.crc32(text, self._checksum), text))
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise TableError(f'cannot write "{self.path}": {error.strerror}') from error
        self._files[file] = kept
        self._begin_file(self._written)

    def rows(self, file: str) -> Iterator[list[Row]]:
        """Yield the rows of a file, some at a time.

        Parameters
        ----------
        file : str
            One for which `finish` was called, by this run or before.
        """
        kept = self._files[file]
        with open(os.dup(self._descriptor), "rb") as lines:
            lines.seek(kept.start)
            remaining = kept.rows
            while remaining:
                some = decode_rows(file, islice(lines, min(remaining, _ROWS_PER_READ)))
                remaining -= len(some)
                yield some

    def remove(self) -> None:
        """Remove them: the table is in place."""
        self._files.clear()
        self.path.unlink(missing_ok=True)

    def _open_locked(self) -> int:
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            try:
                lock(descriptor, self._output)
                # whoever held the lock until now may have been done and removed the file
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                        return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _load(self, settings: dict[str, str], restart: bool) -> None:
        with open(os.dup(self._descriptor), "rb") as lines:
            lines.seek(0)
            header = lines.readline(_LONGEST_LINE)
            torn = not header.endswith(b"\n") and (header.startswith(_MAGIC) or _MAGIC.startswith(header))
            before = None if restart or torn else self._settings_in(header)
            if before == settings:
                self._written = len(header)
                self._begin_file(self._written)
                while self._take(lines.readline(_LONGEST_LINE)):
                    pass
        if before == settings:
            self._begin_file(self._end)
            os.ftruncate(self._descriptor, self._end)
            return
        if before is not None:
            others = sorted(name for name in settings.keys() | before.keys() if settings.get(name) != before.get(name))
            self.notices.append(
                f'starting afresh: the rows in "{self.path}" were made with another {" and ".join(others)}'
            )
        os.ftruncate(self._descriptor, 0)
        self._written = 0
        self._append(_MAGIC + json.dumps(settings).encode() + b"\n")
        self._begin_file(self._written)

    def _settings_in(self, header: bytes) -> dict[str, Any]:
        if header.startswith(_MAGIC) and header.endswith(b"\n"):
            with suppress(ValueError):
                settings = json.loads(header[len(_MAGIC) :])
                if isinstance(settings, dict):
                    return settings
        raise TableError(f'"{self.path}" is not what an earlier run left; remove it, or add --restart to overwrite it')

    def _take(self, line: bytes) -> bool:
        """Take note of a line of an earlier run; False at the first that is not whole."""
        if not line.endswith(b"\n"):
            return False
        if line.startswith(b"["):
            self._written += len(line)
            self._checksum = zlib.crc32(line, self._checksum)
            self._rows += 1
            return True
        checksum, _, text = line[:-1].partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text, self._checksum):
            return False
        kept = _Kept(**json.loads(text))
        self._files[kept.file] = kept
        self._begin_file(self._written + len(line))
        return True

    def _begin_file(self, end: int) -> None:
        self._written = self._end = end
        self._checksum = 0
        self._rows = 0

    def _append(self, data: bytes) -> None:
        try:
            os.lseek(self._descriptor, self._written, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise TableError(f'cannot write "{self.path}": {error.strerror}') from error
        self._written += len(data)
        self._checksum = zlib.crc32(data, self._checksum)
