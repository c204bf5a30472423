"""CSV tables of labels, read so that whatever is wrong is reported with its file and row."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.errors import MoodringError
from training.clips import DynamicLabels

_SAMPLE_COLUMN = re.compile(r"sample_([0-9]{1,12})ms")


class DataError(MoodringError):
    """Labels or audio that cannot be used; the message names the file, and the row where there is one."""


class RowError(DataError):
    """What is wrong with one row of a table.

    Attributes
    ----------
    row : Row
        The row.
    reason : str
        What is wrong, without the file and the row.
    """

    def __init__(self, row: Row, reason: str) -> None:
        super().__init__(f'"{row.table}", row {row.line}: {reason}')
        self.row = row
        self.reason = reason


def raise_error(error: RowError) -> None:
    """Raise what is wrong with a row: what readers do unless they are told to go on without it."""
    raise error


def _pass_over(error: RowError) -> None:
    pass


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    table : Path
        The file.
    line : int
        Line in the file, from 1 (the header).
    cells : dict
        Text by column name.
    """

    table: Path
    line: int
    cells: dict[str, str]

    def error(self, message: str) -> RowError:
        """Return an error that names the file and the row."""
        return RowError(self, message)

    def text(self, column: str) -> str:
        """Return a cell that must not be empty.

        Raises
        ------
        DataError
            If it is.
        """
        value = self.cells[column].strip()
        if not value:
            raise self.error(f"column {column} is empty")
        return value

    def value(self, column: str) -> float:
        """Return a number in [-1, 1].

        Raises
        ------
        DataError
            If the cell holds something else.
        """
        return self._number(column, self.text(column))

    def sign(self, column: str) -> int:
        """Return -1 or 1.

        Raises
        ------
        DataError
            If the cell holds something else.
        """
        value = self.value(column)
        if value not in (-1.0, 1.0):
            raise self.error(f"column {column} must be -1 or 1, not {self.text(column)}")
        return int(value)

    def dynamic_values(self, columns: Sequence[str]) -> list[float]:
        """Return the numbers in [-1, 1] of consecutive columns, up to the first of the empty cells at the end.

        Raises
        ------
        DataError
            If a cell holds something else, if there is a gap, or if all are empty.
        """
        texts = [self.cells[column].strip() for column in columns]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            raise self.error("has no labels")
        if "" in texts:
            raise self.error(f"column {columns[texts.index('')]} is empty, but later ones are not")
        return [self._number(column, text) for column, text in zip(columns, texts, strict=False)]

    def _number(self, column: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise self.error(f"column {column} must be a number, not {text[:40]!r}")
        if not -1 <= value <= 1:
            raise self.error(f"column {column} must be in [-1, 1], not {text[:40]}")
        return value


def read_table(path: Path, columns: Sequence[str], refuse: Callable[[RowError], None] = raise_error) -> list[Row]:
    """Read a CSV file with a header.

    Parameters
    ----------
    path : Path
        UTF-8 text.
    columns : sequence of str
        Columns that must be there; there may be others.
    refuse : callable
        Called with what is wrong with a row; if it returns, the row is left out.

    Returns
    -------
    list of Row

    Raises
    ------
    DataError
        If the file is missing, unreadable or empty, lacks a column, or has a row of another length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_rows(path, csv.reader(file), columns, refuse))
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'"{path}" is not a CSV file in UTF-8') from error
    if not rows:
        raise DataError(f'"{path}" has no rows')
    return rows


def _rows(
    path: Path, lines: Iterator[list[str]], columns: Sequence[str], refuse: Callable[[RowError], None]
) -> Iterator[Row]:
    header = [name.strip() for name in next(lines, [])]
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(f'"{path}" has no column {missing[0]}')
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        padded = cells + [""] * (len(header) - len(cells))
        row = Row(path, number, dict(zip(header, padded, strict=False)))
        if len(cells) > len(header):
            refuse(row.error(f"has {len(cells)} cells, but the header has {len(header)}"))
            continue
        yield row


def read_dynamic_labels(
    valence: Path,
    arousal: Path,
    key: str,
    refuse: Callable[[RowError], None] = raise_error,
    remark: Callable[[RowError], None] = _pass_over,
) -> dict[str, tuple[Row, DynamicLabels]]:
    """Read time-continuous labels from one table per dimension, in the layout of emomusic and DEAM.

    Parameters
    ----------
    valence, arousal : Path
        Tables with columns `key`, ``sample_500ms``, ``sample_1000ms``, …; rows may end early.
    key : str
        Column that names the clip.
    refuse : callable
        Called with what makes a clip unusable; if it returns, the clip is left out.
    remark : callable
        Called with what is odd about a clip that is used nevertheless.

    Returns
    -------
    dict
        The valence table's row and the labels by clip, in the table's order. Where the two tables differ in length,
        the positions that both have.

    Raises
    ------
    DataError
        If a table as a whole is malformed; also, unless `refuse` prevents it, if a row is, or if a clip stands in one
        of the tables only, or twice.
    """
    refused: set[str] = set()

    def note(error: RowError) -> None:
        refused.add(error.row.cells[key].strip())
        refuse(error)

    by_clip = [_read_one_dimension(path, key, note) for path in (valence, arousal)]
    labels = {}
    for clip, (row, values) in by_clip[0].items():
        if clip in refused:
            continue
        if clip not in by_clip[1]:
            note(row.error(f'clip {clip} is missing from "{arousal}"'))
            continue
        others = by_clip[1][clip][1]
        positions = sorted(values.keys() & others.keys())
        if not positions:
            note(row.error(f'clip {clip} has no position in common with "{arousal}"'))
            continue
        if len(positions) < max(len(values), len(others)):
            remark(
                row.error(
                    f'clip {clip} has {len(values)} labels, but {len(others)} in "{arousal}"; '
                    f"the {len(positions)} positions that both have are used"
                )
            )
        pairs = [(values[p], others[p]) for p in positions]
        labels[clip] = row, DynamicLabels(np.array(positions) / 1000, np.array(pairs, dtype=np.float32))
    for clip, (row, _) in by_clip[1].items():
        if clip not in by_clip[0] and clip not in refused:
            note(row.error(f'clip {clip} is missing from "{valence}"'))
    return labels


def _read_one_dimension(
    path: Path, key: str, refuse: Callable[[RowError], None]
) -> dict[str, tuple[Row, dict[int, float]]]:
    rows = read_table(path, [key], refuse)
    columns = sorted((int(match[1]), name) for name in rows[0].cells if (match := _SAMPLE_COLUMN.fullmatch(name)))
    if not columns:
        raise DataError(f'"{path}" has no column like sample_500ms')
    names = [name for _, name in columns]
    labels: dict[str, tuple[Row, dict[int, float]]] = {}
    for row in rows:
        try:
            clip = row.text(key)
            if clip in labels:
                raise row.error(f"clip {clip} stands twice in the table")
            values = row.dynamic_values(names)
        except RowError as error:
            refuse(error)
            continue
        labels[clip] = row, {position: value for (position, _), value in zip(columns, values, strict=False)}
    return labels


def existing(source: Path, row: Row) -> Path:
    """Return the path of a clip's audio or MIDI.

    Raises
    ------
    DataError
        If there is no such file; names the row that wants it.
    """
    if not source.is_file():
        raise row.error(f'there is no file "{source}"')
    return source
