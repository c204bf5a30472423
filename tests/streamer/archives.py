"""What is in an archive, for several tests."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.dataset
import pyarrow.parquet

from streamer.archive.records import BAD, ROWS, parquet_files


def rows_of(archive: Path) -> pyarrow.Table:
    """Give the rows as anybody would read them, sorted by file and position."""
    table = pyarrow.dataset.dataset(archive / ROWS, partitioning="hive").to_table()
    return table.drop_columns(["part"]).sort_by([("file", "ascending"), ("position", "ascending")])


def bad_in(archive: Path) -> dict[str, str]:
    """Give what the table of bad files says of each."""
    tables = [pyarrow.parquet.ParquetFile(path).read().to_pylist() for path in parquet_files(archive / BAD)]
    return {row["file"]: row["problem"] for table in tables for row in table}
