"""A series of runs, several at a time, that can be interrupted and gone on with."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from training.paper.fitting import Epoch
from training.paper.runs import Outcome, Run, describe, hash_songs, perform, read_outcome
from training.paper.songs import Division
from training.processes import CONTEXT, worker_pool
from training.workspace import progress_bar

_POLL = 0.2
"""Seconds between two looks at what the workers say."""


class Stopped(Exception):
    """The series was interrupted; the run's state is on disk."""


def perform_all(runs: Sequence[Run], division: Division, folder: Path, jobs: int, console: Console) -> list[Outcome]:
    """Do runs, showing progress.

    Parameters
    ----------
    runs : sequence of Run
        All on the features of `division`.
    division : Division
    folder : Path
        Where their files are; runs whose files are there already are read.
    jobs : int
        Runs at a time.
    console : Console

    Returns
    -------
    list of Outcome
        In the order of `runs`.

    Raises
    ------
    DataError
        If one cannot be trained, or its files cannot be read or written.
    """
    songs_hash = hash_songs(division)
    outcomes = {run: read_outcome(run, division, folder / run.stem(songs_hash)) for run in runs}
    with progress_bar(console) as progress:
        whole = progress.add_task("runs", total=len(runs))
        shown = _Shown(progress, whole, runs)
        progress.advance(whole, sum(outcome is not None for outcome in outcomes.values()))
        # ensembles last: they are made of what has been trained alone by then
        for ensembles in (False, True):
            missing = [
                run
                for run, outcome in outcomes.items()
                if outcome is None and (run.configuration.system == "ensemble") == ensembles
            ]
            if jobs == 1 or len(missing) == 1:
                for run in missing:
                    outcomes[run] = perform(run, division, songs_hash, folder, partial(shown.tell, run))
                    shown.end(run)
            elif missing:
                outcomes.update(_perform_in_parallel(missing, division, songs_hash, folder, jobs, shown))
    return [outcome for outcome in outcomes.values() if outcome is not None]


def _perform_in_parallel(
    runs: Sequence[Run], division: Division, songs_hash: str, folder: Path, jobs: int, shown: _Shown
) -> dict[Run, Outcome]:
    told: SimpleQueue[tuple[Run, str, Epoch]] = CONTEXT.SimpleQueue()
    stop = CONTEXT.Event()
    with worker_pool(min(jobs, len(runs)), "trains", _start, division, songs_hash, folder, told, stop) as pool:
        futures = {pool.submit(_work, run): run for run in runs}
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, _POLL, return_when=concurrent.futures.FIRST_COMPLETED)
                while not told.empty():
                    shown.tell(*told.get())
                for future in done:
                    future.result()
                    shown.end(futures[future])
        except BaseException:
            stop.set()
            raise
        return {run: future.result() for future, run in futures.items()}


class _Shown:
    """The runs that are being done, one line each."""

    def __init__(self, progress: Progress, whole: TaskID, runs: Sequence[Run]) -> None:
        self._progress = progress
        self._whole = whole
        self._tasks = {run: progress.add_task(run.title, total=None, visible=False) for run in runs}

    def tell(self, run: Run, part: str, epoch: Epoch) -> None:
        self._progress.update(
            self._tasks[run],
            visible=True,
            completed=epoch.number,
            total=run.configuration.epochs,
            description=f"{run.title}: {describe(part, epoch)}",
        )

    def end(self, run: Run) -> None:
        self._progress.update(self._tasks[run], visible=False)
        self._progress.advance(self._whole)


class _Worker:
    """What a worker process needs for every run."""

    division: Division
    songs_hash: str
    folder: Path
    told: SimpleQueue[tuple[Run, str, Epoch]]
    stop: Event


def _start(
    division: Division, songs_hash: str, folder: Path, told: SimpleQueue[tuple[Run, str, Epoch]], stop: Event
) -> None:
    _Worker.division = division
    _Worker.songs_hash = songs_hash
    _Worker.folder = folder
    _Worker.told = told
    _Worker.stop = stop


def _work(run: Run) -> Outcome:
    def tell(part: str, epoch: Epoch) -> None:
        if _Worker.stop.is_set():
            raise Stopped
        _Worker.told.put((run, part, epoch))

    return perform(run, _Worker.division, _Worker.songs_hash, _Worker.folder, tell)
