"""Writes estimates of files as a table: CSV, JSON lines or Parquet, in one piece or not at all."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from model.errors import MoodringError
from streamer.messages import Estimate

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

Row = tuple[Any, ...]


class TableError(MoodringError):
    """A table cannot be written; the message names the file."""


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
        # a name may hold bytes that are no text, which a table in UTF-8 cannot
        file.encode(errors="backslashreplace").decode(),
        *(
            value if value is None or name not in _DECIMALS else round(value, _DECIMALS[name])
            for name, value in zip(COLUMNS[1:], values, strict=True)
        ),
    )


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


class _ParquetWriter:
    def __init__(self, file: IO[bytes]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise TableError('Parquet needs pyarrow; install it: pip install "moodring[parquet]"') from error
        text = ("file", "state")
        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            [(name, pyarrow.string() if name in text else pyarrow.float64()) for name in COLUMNS]
        )
        self._parquet = pyarrow.parquet.ParquetWriter(file, self._schema)

    def write(self, rows: Sequence[Row]) -> None:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._parquet.write_table(self._arrow.table(columns, schema=self._schema))

    def finish(self) -> None:
        self._parquet.close()


_WRITERS: dict[str, type[_CsvWriter | _JsonLinesWriter | _ParquetWriter]] = {
    ".csv": _CsvWriter,
    ".jsonl": _JsonLinesWriter,
    ".parquet": _ParquetWriter,
}


class Table:
    """A table file that appears under its name when it is complete, or standard output.

    Use it as a context manager: leaving it well puts the file in place, leaving it by an exception removes it.

    Parameters
    ----------
    path : str
        Ends in ``.csv``, ``.jsonl`` or ``.parquet``; ``-`` is CSV on standard output.

    Attributes
    ----------
    rows : int
        Rows written so far.

    Raises
    ------
    TableError
        If the ending is another, the folder does not exist or cannot be written to, or the disk is full.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.rows = 0
        suffix = ".csv" if path == "-" else Path(path).suffix.lower()
        if suffix not in _WRITERS:
            raise TableError(f'cannot tell the format of "{path}"; let it end in {", ".join(_WRITERS)}')
        if path != "-" and Path(path).is_dir():
            raise TableError(f'cannot write "{path}": it is a folder')
        self._temporary = None if path == "-" else Path(path).with_name(f".{Path(path).name}.{os.getpid()}.part")
        try:
            self._file = sys.stdout.buffer if self._temporary is None else self._temporary.open("wb")
        except OSError as error:
            raise TableError(f'cannot write "{path}": {error.strerror}') from error
        try:
            self._writer: _Writer = _WRITERS[suffix](self._file)
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Table:
        return self

    def write(self, rows: Sequence[Row]) -> None:
        """Append rows, as `row_of` makes them.

        Raises
        ------
        TableError
            If the disk is full or the file went away.
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
        try:
            self._writer.finish()
            if self._temporary is not None:
                self._file.close()
                self._temporary.replace(self.path)
        except BrokenPipeError:
            raise
        except OSError as problem:
            self._discard()
            raise TableError(f'cannot write "{self.path}": {problem.strerror or problem}') from problem

    def _discard(self) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            try:
                self._file.close()
            except OSError:
                return  # what could not be flushed is being thrown away


def _as_text(file: IO[bytes]) -> TextIOWrapper:
    return TextIOWrapper(file, encoding="utf-8", newline="")
