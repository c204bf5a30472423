"""What is done, file by file: kept in the metadata of the Parquet file of the rows, so that both appear at once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from streamer.kept_rows import Identity
from streamer.table import ParquetWriter, TableError, printable_name

ROWS, BAD = "rows", "bad"
"""The two tables of an archive: folders that hold ``part=N`` folders that hold files of the same names."""
_KEY = b"moodring.files"
_BAD_SCHEMA = pyarrow.schema([("file", pyarrow.string()), ("problem", pyarrow.string())])


@dataclass(frozen=True)
class Record:
    """What became of a file.

    Attributes
    ----------
    file : str
        Its path, as it was given.
    size, modified : int or None
        Its `Identity` before it was read; None if the next run shall try again.
    rows : int
        How many rows of it there are.
    invalid : int
        Samples that were not finite.
    problem : str or None
        Why it could not be read, or not to its end; None if it could.
    """

    file: str
    size: int | None
    modified: int | None
    rows: int
    invalid: int
    problem: str | None

    @property
    def identity(self) -> Identity | None:
        """By what it is taken for the same."""
        return None if self.size is None or self.modified is None else Identity(self.size, self.modified)


def name_of(files: Iterable[str]) -> str:
    """Return the name of the Parquet file for rows of these files: the same for the same files."""
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        digest.update(os.fsencode(file) + b"\0")
    return f"{digest.hexdigest()}.parquet"


def parquet_files(folder: Path) -> Iterator[Path]:
    """Yield the files of one of an archive's tables that are whole, in an order that is always the same."""
    return (path for path in sorted(folder.glob("part=*/*.parquet")) if not path.name.startswith("."))


def read_records(path: Path) -> list[Record]:
    """Read what a file of rows says of the files that they are of.

    Raises
    ------
    TableError
        If it is not what moodring wrote.
    """
    try:
        metadata = pyarrow.parquet.read_metadata(path).metadata or {}
        return [Record(**record) for record in json.loads(metadata[_KEY])]
    except (OSError, KeyError, TypeError, ValueError, pyarrow.ArrowException) as error:
        raise TableError(f'"{path}" is not what moodring wrote into an archive; remove it') from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path to write to; what is there appears as `path` at the end, whole, or is removed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bad(path: Path, records: Iterable[Record]) -> None:
    """Write the table of the files that could not be read; none, if all could."""
    bad = [record for record in records if record.problem is not None]
    if not bad:
        path.unlink(missing_ok=True)
        return
    columns = [[printable_name(record.file) for record in bad], [printable_name(str(r.problem)) for r in bad]]
    with appearing(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns, schema=_BAD_SCHEMA), temporary)


def close_with(writer: ParquetWriter, records: Iterable[Record]) -> None:
    """Write the end of a file of rows, with what they are of."""
    writer.finish({_KEY: json.dumps([asdict(record) for record in records]).encode()})


def drop(archive: Path, path: Path, files: set[str]) -> None:
    """Take files out of a Parquet file of rows: it is replaced by one with the others, or removed.

    Parameters
    ----------
    archive : Path
        The archive's folder.
    path : Path
        The file of rows.
    files : set of str
        Whose rows are to go.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    records = [record for record in read_records(path) if record.file not in files]
    bad = archive / BAD / path.parent.name
    if records:
        name = name_of(record.file for record in records)
        gone: Any = pyarrow.array(map(printable_name, files), pyarrow.string())
        rows = pyarrow.parquet.ParquetFile(path).read()
        rows = rows.filter(pyarrow.compute.invert(pyarrow.compute.is_in(rows["file"], gone)))
        write_bad(bad / name, records)
        with appearing(path.with_name(name)) as temporary, open(temporary, "wb") as file:
            writer = ParquetWriter(file)
            writer.write([tuple(row.values()) for row in rows.to_pylist()])
            close_with(writer, records)
    path.unlink()
    (bad / path.name).unlink(missing_ok=True)
