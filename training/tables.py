"""CSV tables of labels, read so that whatever is wrong is reported with its file and row."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.errors import MoodringError
from training.clips import DynamicLabels

_SAMPLE_COLUMN = re.compile(r"sample_(\d+)ms")


class DataError(MoodringError):
    """Labels or audio that cannot be used; the message names the file, and the row where there is one."""


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

    def error(self, message: str) -> DataError:
        """Return an error that names the file and the row."""
        return DataError(f'"{self.table}", row {self.line}: {message}')

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


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a CSV file with a header.

    Parameters
    ----------
    path : Path
        UTF-8 text.
    columns : sequence of str
        Columns that must be there; there may be others.

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
            rows = list(_rows(path, csv.reader(file), columns))
    except OSError as error:
        raise DataError(f'cannot read "{path}": {error.strerror or error}') from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'"{path}" is not a CSV file in UTF-8') from error
    if not rows:
        raise DataError(f'"{path}" has no rows')
    return rows


def _rows(path: Path, lines: Iterator[list[str]], columns: Sequence[str]) -> Iterator[Row]:
    header = [name.strip() for name in next(lines, [])]
    missing = [column for column in columns if column not in header]
    if missing:
        raise DataError(f'"{path}" has no column {missing[0]}')
    for number, cells in enumerate(lines, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            raise DataError(f'"{path}", row {number}: has {len(cells)} cells, but the header has {len(header)}')
        padded = cells + [""] * (len(header) - len(cells))
        yield Row(path, number, dict(zip(header, padded, strict=True)))


def read_dynamic_labels(valence: Path, arousal: Path, key: str) -> dict[str, tuple[Row, DynamicLabels]]:
    """Read time-continuous labels from one table per dimension, in the layout of emomusic and DEAM.

    Parameters
    ----------
    valence, arousal : Path
        Tables with columns `key`, ``sample_500ms``, ``sample_1000ms``, …; rows may end early.
    key : str
        Column that names the clip.

    Returns
    -------
    dict
        The valence table's row and the labels by clip, in the table's order. Where the two tables differ in length,
        the positions that both have.

    Raises
    ------
    DataError
        If a table is malformed, or a clip stands in one of them only, or twice.
    """
    by_clip = [_read_one_dimension(path, key) for path in (valence, arousal)]
    labels = {}
    for clip, (row, values) in by_clip[0].items():
        if clip not in by_clip[1]:
            raise row.error(f'clip {clip} is missing from "{arousal}"')
        others = by_clip[1].pop(clip)[1]
        positions = sorted(values.keys() & others.keys())
        if not positions:
            raise row.error(f'clip {clip} has no position in common with "{arousal}"')
        pairs = [(values[p], others[p]) for p in positions]
        labels[clip] = row, DynamicLabels(np.array(positions) / 1000, np.array(pairs, dtype=np.float32))
    for clip, (row, _) in by_clip[1].items():
        raise row.error(f'clip {clip} is missing from "{valence}"')
    return labels


def _read_one_dimension(path: Path, key: str) -> dict[str, tuple[Row, dict[int, float]]]:
    labels: dict[str, tuple[Row, dict[int, float]]] = {}
    for row in read_table(path, [key]):
        columns = [(int(match[1]), name) for name in row.cells if (match := _SAMPLE_COLUMN.fullmatch(name))]
        if not columns:
            raise DataError(f'"{path}" has no column like sample_500ms')
        columns.sort()
        clip = row.text(key)
        if clip in labels:
            raise row.error(f"clip {clip} stands twice in the table")
        values = row.dynamic_values([name for _, name in columns])
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
