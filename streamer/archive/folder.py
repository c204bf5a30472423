"""The folder of an archive: what is where, who may write it now, and what is done in it.

    archive.json             what the rows depend on, and over how many parts files are spread
    rows/part=N/*.parquet    the rows, with the columns of `annotate`'s table
    bad/part=N/*.parquet     files that could not be read, or not to their end, and why
    .lock, .run, .strikes/   of the run that writes it

A file belongs to the part that the CRC-32 of its path says, so that what is said of it is found without a search.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from streamer.archive.records import BAD, ROWS, Record, appearing, drop, parquet_files, read_records
from streamer.archive.strikes import Strikes
from streamer.kept_rows import identify
from streamer.table import TableError
from streamer.writer_lock import lock

_LAYOUT = 1
_FILES_PER_PART = 4096
"""Files that a part is made for: their rows are some 40 MB of Parquet."""
_READERS = 32
"""Threads that ask for the state of files: on storage that is shared each answer comes over the network."""


def token_of(archive: Path) -> str:
    """Return the token of the run that writes an archive; empty if there is none."""
    try:
        return (archive / ".run").read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True)
class Done:
    """What an archive says of the files that are asked for.

    Attributes
    ----------
    missing : list of str
        Those that have to be tracked.
    changed : int
        How many of these have changed since they were.
    bad : int
        How many of the others could not be read.
    """

    missing: list[str]
    changed: int
    bad: int


class ArchiveFolder:
    """An archive's folder, written by this process and those it gives work to. Use it as a context manager.

    Entering it makes a token; whoever finds another one in the folder is of an earlier run, and writes no more.

    Parameters
    ----------
    path : str
        The folder; made if it is not there.
    settings : mapping of str to str
        What the rows depend on, as `settings_of` names it.
    files : int
        How many are to come, if it is a new one.
    restart : bool
        Throw away what is in it.

    Attributes
    ----------
    path : Path
        Absolute.
    token : str
        This run's.

    Raises
    ------
    TableError
        If another run writes it, it holds something else, its rows depend on something else, or it cannot be written.
    """

    def __init__(self, path: str, settings: Mapping[str, str], files: int, restart: bool = False) -> None:
        self.path = Path(path).absolute()
        self.token = secrets.token_hex(16)
        self._name = path
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._open_locked()
        except OSError as error:
            raise TableError(f'cannot write "{path}": {error.strerror or error}') from error
        try:
            self._parts = self._open(dict(settings), files, restart)
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, OSError):
                raise TableError(f'cannot write "{path}": {error.strerror or error}') from error
            raise

    def __enter__(self) -> ArchiveFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            (self.path / ".run").unlink()
            Strikes(self.path).forget()
        os.close(self._descriptor)

    def part_of(self, file: str) -> str:
        """Return the name of the folder for a file's rows."""
        return f"part={zlib.crc32(os.fsencode(file)) % self._parts:04d}"

    def find_done(self, files: Iterable[str]) -> Done:
        """Find out which files are to be tracked, and take the rows of those that have changed out of the archive.

        Parameters
        ----------
        files : iterable of str
            What is asked for, each once. What else is in the archive stays.

        Raises
        ------
        TableError
            If something in the archive is not moodring's.
        OSError
            If what has changed cannot be taken out.
        """
        asked = list(files)
        remaining = set(asked)
        changed = bad = 0
        seen: set[str] = set()
        with ThreadPoolExecutor(_READERS) as readers:
            for path, records in _read_all(readers, parquet_files(self.path / ROWS)):
                stale = {record.file for record in records if record.file in seen}
                seen.update(record.file for record in records)
                wanted = [record for record in records if record.file in remaining]
                for record, now in zip(wanted, readers.map(identify, (r.file for r in wanted)), strict=True):
                    if record.identity is None or now != record.identity:
                        stale.add(record.file)
                        changed += record.identity is not None
                    else:
                        remaining.discard(record.file)
                        bad += record.problem is not None
                if stale:
                    drop(self.path, path, stale)
        for path in parquet_files(self.path / BAD):
            if not (self.path / ROWS / path.parent.name / path.name).exists():
                path.unlink()
        return Done([file for file in asked if file in remaining], changed, bad)

    def _open_locked(self) -> int:
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor, self._name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _open(self, settings: dict[str, str], files: int, restart: bool) -> int:
        said = self.path / "archive.json"
        before = self._said(said)
        if before is not None and restart:
            for name in (ROWS, BAD):
                if (self.path / name).exists():
                    shutil.rmtree(self.path / name)
            before = None
        if before is None:
            before = {"layout": _LAYOUT, "parts": max(1, files // _FILES_PER_PART), "settings": settings}
            with appearing(said) as temporary:
                temporary.write_text(json.dumps(before, indent=1), encoding="utf-8")
        elif before["settings"] != settings:
            others = settings.keys() | before["settings"].keys()
            others = {name for name in others if settings.get(name) != before["settings"].get(name)}
            raise TableError(
                f'the rows in "{self._name}" were made with another {" and ".join(sorted(others))}; '
                "give another folder, or add --restart to throw them away"
            )
        for pattern in (".*.new", "*/part=*/.*.new"):
            for torn in self.path.glob(pattern):
                torn.unlink(missing_ok=True)
        Strikes(self.path).forget()
        (self.path / ".run").write_text(self.token, encoding="ascii")
        return int(before["parts"])

    def _said(self, path: Path) -> dict[str, Any] | None:
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            if said["layout"] == _LAYOUT and isinstance(said["settings"], dict) and int(said["parts"]) > 0:
                return dict(said)
        except FileNotFoundError:
            if all(entry.name.startswith(".") for entry in self.path.iterdir()):
                return None
        except (ValueError, KeyError, TypeError):
            pass
        raise TableError(f'"{self._name}" holds something else than an archive; give another folder')


def _read_all(readers: ThreadPoolExecutor, paths: Iterable[Path]) -> Iterable[tuple[Path, list[Record]]]:
    found = list(paths)
    return zip(found, readers.map(read_records, found), strict=True)
