"""Writes estimates of files as a table: CSV, JSON lines or Parquet, in one piece or not at all."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from model.errors import MoodringError
from streamer.messages import Estimate
from streamer.subtitles import FORMATS, SubtitleWriter

COLUMNS = (
    "file",
    "position",
    "valence",
    "arousal",
    "valence_std",
    "arousal_std",
    "state",
    "loudness",
)
_DECIMALS = {
    "position": 6,
    "valence": 4,
    "arousal": 4,
    "valence_std": 4,
    "arousal_std": 4,
    "loudness": 1,
}

ROWS_PER_GROUP = 16384
"""Rows of a Parquet file's row group, all but the last: enough to pack well, and 10 MB while they wait."""

Row = tuple[Any, ...]


class TableError(MoodringError):
    """A table cannot be written; the message names the file."""


def printable_name(file: str) -> str:
    """Return what the column ``file`` says of a path: it may hold bytes that are no text, which a table cannot."""
    return file.encode(errors="backslashreplace").decode()


def row_of(file: str, estimate: Estimate) -> Row:
    """Make the row of an estimate.

    Parameters
    ----------
    file : str
        What the column ``file`` shall say.
    estimate : Estimate
        The estimate.

    Returns
    -------
    tuple
        In the order of `COLUMNS`; None where there is no value.
    """
    values = [getattr(estimate, name) for name in COLUMNS[1:]]
    return (
        printable_name(file),
        *(
            value if value is None or name not in _DECIMALS else round(value, _DECIMALS[name])
            for name, value in zip(COLUMNS[1:], values, strict=True)
        ),
    )


def validate_table_path(path: str) -> None:
    """Refuse a path to which no table could be written, before any work is done.

    Parameters
    ----------
    path : str
        As `Table` takes it.

    Raises
    ------
    TableError
        If it ends otherwise than a table does, is a folder, or pyarrow is needed and missing.
    """
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        raise TableError(f'cannot tell the format of "{path}"; let it end in {", ".join(SUFFIXES)}')
    if path != "-" and Path(path).is_dir():
        raise TableError(f'cannot write "{path}": it is a folder')
    if suffix == ".parquet":
        import_pyarrow()


def validate_subtitles(path: str, files: Sequence[str]) -> None:
    """Refuse to write several files' subtitles, which begin at 0 each, into one.

    Parameters
    ----------
    path : str
        As `Table` takes it.
    files : sequence of str
        Whose rows it shall hold.

    Raises
    ------
    TableError
        If these are subtitles, and of more than one file.
    """
    if _suffix(path) in FORMATS and len(files) > 1:
        raise TableError(f'"{path}" can hold the subtitles of one file, not of {len(files)}; call it for each of them')


def _suffix(path: str) -> str:
    return ".csv" if path == "-" else Path(path).suffix.lower()


class _Writer(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...

    def finish(self) -> None: ...


class _CsvWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self._text = _as_text(file)
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(COLUMNS)

    def write(self, rows: Sequence[Row]) -> None:
        self._csv.writerows(rows)

    def finish(self) -> None:
        self._text.flush()
        self._text.detach()


class _JsonLinesWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self._text = _as_text(file)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._text.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), allow_nan=False) + "\n")

    def finish(self) -> None:
        self._text.flush()
        self._text.detach()


class ParquetWriter:
    """Writes rows to an open file as Parquet.

    Parameters
    ----------
    file : binary file
        Opened for writing; is left open.

    Attributes
    ----------
    rows : int
        Rows written so far.
    """

    def __init__(self, file: IO[bytes]) -> None:
        pyarrow = import_pyarrow()
        text = ("file", "state")
        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            [(name, pyarrow.string() if name in text else pyarrow.float64()) for name in COLUMNS]
        )
        self._parquet = pyarrow.parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Row] = []
        self.rows = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, as `row_of` makes them."""
        self.rows += len(rows)
        self._waiting += rows
        while len(self._waiting) >= ROWS_PER_GROUP:
            self._write_group()

    def finish(self, metadata: Mapping[bytes, bytes] | None = None) -> None:
        """Write the end of the table, and what else there is to say about it."""
        if self._waiting:
            self._write_group()
        if metadata:
            self._parquet.add_key_value_metadata(dict(metadata))
        self._parquet.close()

    def _write_group(self) -> None:
        rows, self._waiting = self._waiting[:ROWS_PER_GROUP], self._waiting[ROWS_PER_GROUP:]
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._parquet.write_table(self._arrow.table(columns, schema=self._schema))


def import_pyarrow() -> Any:
    """Return pyarrow, with pyarrow.parquet.

    Raises
    ------
    TableError
        If it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TableError('Parquet needs pyarrow; install it: pip install "moodring[parquet]"') from error
    return pyarrow


_WRITERS: dict[str, type[_CsvWriter | _JsonLinesWriter | ParquetWriter]] = {
    ".csv": _CsvWriter,
    ".jsonl": _JsonLinesWriter,
    ".parquet": ParquetWriter,
}


SUFFIXES = (*_WRITERS, *FORMATS)
"""File name endings of tables, and of subtitles."""


class Table:
    """A table file that appears under its name when it is complete, or standard output.

    Use it as a context manager: leaving it well puts the file in place, leaving it by an exception removes it. Until
    then it is `.NAME.new` in the same folder, which one run at a time may write: `kept_rows.KeptRows` sees to that.

    Parameters
    ----------
    path : str
        Ends in ``.csv``, ``.jsonl`` or ``.parquet``, or, for the rows of one file only, in ``.srt``, ``.vtt`` or
        ``.lrc``, which make subtitles of them; ``-`` is CSV on standard output.
    lag : float
        Seconds to look back that the rows were made with; subtitles are shown so much earlier.

    Attributes
    ----------
    rows : int
        Rows written so far.

    Raises
    ------
    TableError
        As `validate_table_path` does, or if the folder does not exist or cannot be written to, or the disk is full.
    """

    def __init__(self, path: str, lag: float = 0.0) -> None:
        validate_table_path(path)
        suffix = _suffix(path)
        self.path = path
        self.rows = 0
        self._temporary = None if path == "-" else Path(path).with_name(f".{Path(path).name}.new")
        self._file: IO[bytes] | None = None
        try:
            # a file of our own on standard output: Python's would raise again at exit what it could not write
            descriptor = sys.stdout.fileno() if self._temporary is None else _create(self._temporary)
            self._file = os.fdopen(descriptor, "wb", closefd=self._temporary is not None)
            self._writer: _Writer = (
                SubtitleWriter(self._file, suffix, lag) if suffix in FORMATS else _WRITERS[suffix](self._file)
            )
        except BaseException as error:
            self._discard()
            if isinstance(error, OSError):
                raise TableError(f'cannot write "{path}": {error.strerror or error}') from error
            raise

    def __enter__(self) -> Table:
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, as `row_of` makes them.

        Raises
        ------
        TableError
            If the disk is full or the file went away.
        BrokenPipeError
            If nobody reads standard output any more.
        """
        try:
            self._writer.write(rows)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TableError(f'cannot write "{self.path}": {error.strerror or error}') from error
        self.rows += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._discard()
            return
        assert self._file is not None
        try:
            self._writer.finish()
            self._file.flush()
            if self._temporary is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                self._temporary.replace(self.path)
        except BaseException as problem:
            self._discard()
            if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError):
                raise TableError(f'cannot write "{self.path}": {problem.strerror or problem}') from problem
            raise

    def _discard(self) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            if self._file is not None:
                with suppress(OSError):  # what could not be flushed is being thrown away
                    self._file.close()


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)


def _as_text(file: IO[bytes]) -> TextIOWrapper:
    return TextIOWrapper(file, encoding="utf-8", newline="")
