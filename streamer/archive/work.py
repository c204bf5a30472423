"""One item of work, on whichever machine: some files are tracked, and their rows appear in the archive all at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from model.errors import MoodringError
from model.estimator import Estimator
from model.loading import ModelChoice
from streamer.archive.folder import token_of
from streamer.archive.records import BAD, ROWS, Record, appearing, close_with, name_of, write_bad
from streamer.archive.strikes import TRIES, Strikes
from streamer.file_rows import write_rows
from streamer.kept_rows import identify, settings_of
from streamer.table import ParquetWriter


class Item(NamedTuple):
    """Files that are tracked one after the other.

    Attributes
    ----------
    part : str
        The name of the folder for their rows, such as ``part=0003``.
    files : sequence of str
        Their paths.
    """

    part: str
    files: Sequence[str]


@dataclass(frozen=True)
class Order:
    """What all items of a run have in common.

    Attributes
    ----------
    archive : str
        Its folder, absolute, the same on every machine.
    directory : str
        From where relative paths start, the same on every machine.
    token : str
        The run's; see `folder.ArchiveFolder`.
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    settings : dict of str to str
        What the rows depend on, as `settings_of` names it where the run was started.
    """

    archive: str
    directory: str
    token: str
    model: ModelChoice
    lag: float
    settings: dict[str, str]


class Outcome(NamedTuple):
    """What became of an item.

    Attributes
    ----------
    name : str
        `name_of` its files.
    files, bad, invalid : int
        How many there were, how many could not be read, and how many had samples that were not finite.
    failure : str
        Why nothing can be tracked on that machine; empty if all is well.
    """

    name: str
    files: int
    bad: int
    invalid: int
    failure: str


@lru_cache(maxsize=1)
def _loaded(model: ModelChoice) -> Estimator:
    """Load the model once in a process, which tracks many items."""
    checkpoint = model.load()
    checkpoint.use_one_thread()
    return checkpoint


def do(item: Item, order: Order) -> Outcome:
    """Track an item's files and write their rows.

    What cannot be done on this machine at all is told in the outcome, not raised: the engine would try again and again.

    Parameters
    ----------
    item : Item
    order : Order

    Returns
    -------
    Outcome
    """
    name = name_of(item.files)
    try:
        return _do(item, name, order)
    except MoodringError as error:
        failure = str(error)
    except OSError as error:
        failure = f'cannot write "{error.filename or order.archive}": {error.strerror or error}'
    return Outcome(name, 0, 0, 0, f"on {socket.gethostname()}: {failure}")


def _do(item: Item, name: str, order: Order) -> Outcome:
    try:
        os.chdir(order.directory)  # the process has no other work
    except OSError as error:
        raise MoodringError(f'the folder "{order.directory}" cannot be entered: {error.strerror}') from error
    archive = Path(order.archive)
    if token_of(archive) != order.token:
        raise MoodringError(
            f'"{archive}" is another folder there, or another run writes it; it has to be on storage that all have'
        )
    strikes = Strikes(archive)
    checkpoint = _loaded_by_one_that_lives(order.model, name, strikes)
    settings = settings_of(checkpoint, checkpoint.frames_of_lag(order.lag))
    if settings != order.settings:
        others = sorted(n for n in settings.keys() | order.settings.keys() if settings.get(n) != order.settings.get(n))
        raise MoodringError(f"another {' and '.join(others)} is installed than where annotate was started")
    records = []
    with appearing(archive / ROWS / item.part / name) as temporary, open(temporary, "wb") as rows:
        writer = ParquetWriter(rows)
        for file in item.files:
            records.append(_track(file, checkpoint, order.lag, writer, strikes))
        close_with(writer, records)
        rows.flush()
        write_bad(archive / BAD / item.part / name, records)
        if token_of(archive) != order.token:
            raise MoodringError(f'another run writes "{archive}"')
    bad = sum(record.problem is not None for record in records)
    return Outcome(name, len(records), bad, sum(record.invalid > 0 for record in records), "")


def _loaded_by_one_that_lives(model: ModelChoice, item: str, strikes: Strikes) -> Estimator:
    """Load the model; where that kills, Ray would start one process after another without end."""
    if not strikes.begin(item):
        raise MoodringError(f"each of {TRIES} processes that loaded the model was killed")
    try:
        return _loaded(model)
    finally:
        strikes.end(item)


def _track(file: str, checkpoint: Estimator, lag: float, writer: ParquetWriter, strikes: Strikes) -> Record:
    identity = identify(file)
    if not strikes.begin(file):
        # what was killed may have been so for lack of memory: the next run tries again
        killed = f'"{file}" could not be tracked: each of {TRIES} processes that read it was killed'
        return Record(file, None, None, 0, 0, killed)
    before = writer.rows
    try:
        invalid, problem = write_rows(file, checkpoint, lag, writer.write, lambda: None)
    finally:
        strikes.end(file)
    size, modified = (None, None) if identity is None else (identity.size, identity.modified)
    return Record(file, size, modified, writer.rows - before, invalid, problem)
