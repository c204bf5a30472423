"""Tracks files into an archive, and goes on where an earlier run was stopped."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import click

from model.errors import MoodringError
from model.estimator import Estimator
from model.loading import ModelChoice
from streamer.archive.cluster import Cluster
from streamer.archive.folder import ArchiveFolder
from streamer.archive.records import BAD
from streamer.archive.work import Item, Order
from streamer.interruption import Interrupted, Interruption
from streamer.kept_rows import settings_of
from streamer.table import TableError

_FILES_PER_ITEM = 64
"""The most files of an item: half a minute's work, which is lost when a process is, and 30,000 rows."""
_ITEMS_PER_PROCESSOR = 4
"""How many items there are at least for each processor, if there are as many files: the last ones end together."""


@dataclass(frozen=True)
class Task:
    """What is asked for.

    Attributes
    ----------
    files : sequence of str
        Their paths.
    output : str
        The archive's folder.
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    address : str or None
        The Ray cluster's; None for one on this machine.
    jobs : int or None
        Files that are tracked at the same time; None for as many as there are processors.
    restart : bool
        Throw away what is in the archive.
    """

    files: Sequence[str]
    output: str
    model: ModelChoice
    lag: float
    address: str | None = None
    jobs: int | None = None
    restart: bool = False


def archive(
    task: Task,
    checkpoint: Estimator,
    interrupted: Interruption,
    on_progress: Callable[[str, int], None],
    resources: ExitStack,
) -> list[str]:
    """Track what is not in the archive yet.

    Parameters
    ----------
    task : Task
    checkpoint : Estimator
        Its model, loaded.
    interrupted : Interruption
        Asked several times a second.
    on_progress : callable
        Is told what is at hand, and how many files are done.
    resources : ExitStack
        Gets what has to be left afterwards: the archive's lock, and the connection to the cluster.

    Returns
    -------
    list of str
        What there is to say of files that could not be read; empty if all could.

    Raises
    ------
    MoodringError
        If the cluster or the archive cannot be used.
    Interrupted
        If a signal asked for the end. What is done stays.
    """
    files = list(dict.fromkeys(task.files))
    settings = settings_of(checkpoint, checkpoint.frames_of_lag(task.lag))
    folder = resources.enter_context(ArchiveFolder(task.output, settings, len(files), task.restart))
    try:
        done = folder.find_done(files)
    except OSError as error:
        raise TableError(f'cannot write "{task.output}": {error.strerror or error}') from error
    finished, bad, invalid = len(files) - len(done.missing), done.bad, 0
    if done.changed:
        click.echo(f"moodring: {done.changed} files have changed since they were tracked, and are again", err=True)
    if finished:
        click.echo(
            f"moodring: going on: {finished} of {len(files)} files are done (--restart tracks all again)", err=True
        )
    on_progress(task.output, finished)
    if done.missing:
        interrupted.raise_if_set()
        order = Order(str(folder.path), os.getcwd(), folder.token, task.model, task.lag, settings)
        ask = interrupted.raise_if_set
        cluster = resources.enter_context(Cluster(task.address, task.jobs or _processors(), order, task.jobs, ask))
        if not cluster.processors:
            click.echo("moodring: the cluster has no processor yet; waiting for machines to join it", err=True)
        items = list(_items(folder, done.missing, max(1, min(cluster.processors, task.jobs or cluster.processors))))
        try:
            for outcome in cluster.outcomes(items):
                if outcome.failure:
                    raise MoodringError(outcome.failure)
                finished += outcome.files
                bad += outcome.bad
                invalid += outcome.invalid
                on_progress(task.output, finished)
        except Interrupted as error:
            kept = f'{finished} of {len(files)} files are in "{task.output}"; the same command goes on with them'
            raise Interrupted(error.number, kept if finished else "") from error
    if invalid:
        click.echo(f"moodring: {invalid} files had samples that were not finite, taken as silence", err=True)
    bad_table = os.path.join(task.output, BAD)
    return (
        [f'{bad} of {len(files)} files could not be read, or not to their end; "{bad_table}" says why'] if bad else []
    )


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _items(folder: ArchiveFolder, files: Iterable[str], processors: int) -> Iterator[Item]:
    parts: dict[str, list[str]] = defaultdict(list)
    count = 0
    for file in files:
        parts[folder.part_of(file)].append(file)
        count += 1
    size = max(1, min(_FILES_PER_ITEM, count // (_ITEMS_PER_PROCESSOR * processors)))
    for part, of_part in sorted(parts.items()):
        for start in range(0, len(of_part), size):
            yield Item(part, of_part[start : start + size])
