"""Lists of paths: a text file with one on each line, or a Parquet file with a column of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from model.errors import MoodringError
from streamer.table import import_pyarrow

LISTS = (".txt", ".parquet")
"""File name endings of lists; no audio file has them."""
_COLUMNS = ("path", "file")
"""Columns that are taken for paths, where there are several of text."""


def read_paths(path: str) -> Iterator[str]:
    """Yield the paths that a list holds, each once, in its order.

    Parameters
    ----------
    path : str
        Ends as `LISTS` say. A line of text is a path, without the end of the line; empty lines are nothing. Of Parquet,
        it is the column ``path``, else ``file`` (which `annotate`'s own tables have), else the only one of text.

    Raises
    ------
    MoodringError
        If it cannot be read, or has no such column.
    """
    try:
        yield from dict.fromkeys(_of_parquet(path) if Path(path).suffix.lower() == ".parquet" else _of_text(path))
    except OSError as error:
        raise MoodringError(f'cannot read the list "{path}": {error.strerror or error}') from error


def _of_text(path: str) -> Iterator[str]:
    with open(path, "rb") as lines:
        for line in lines:
            if name := line.rstrip(b"\r\n"):
                yield os.fsdecode(name)


def _of_parquet(path: str) -> Iterator[str]:
    arrow = import_pyarrow()
    try:
        with arrow.parquet.ParquetFile(path) as table:
            texts = (arrow.string(), arrow.large_string(), arrow.string_view())
            columns = [field.name for field in table.schema_arrow if field.type in texts]
            chosen = next((name for name in _COLUMNS if name in columns), columns[0] if len(columns) == 1 else None)
            if chosen is None:
                raise MoodringError(
                    f'the list "{path}" has no column "path"; its columns of text are: {", ".join(columns) or "none"}'
                )
            for batch in table.iter_batches(columns=[chosen]):
                yield from (name for name in batch.column(0).to_pylist() if name)
    except arrow.ArrowException as error:
        raise MoodringError(f'cannot read the list "{path}": {error}') from error
