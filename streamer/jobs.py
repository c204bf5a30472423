"""Several processes that track files side by side; each file by one of them, so that its rows depend on no other."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

from model.errors import MoodringError
from model.loading import ModelChoice
from streamer.worker import END, FAILURE, ROWS, SETTINGS, work

_TRIES = 2
"""How often a file is given to a process: one that was killed may have been so by mistake, or for lack of memory."""
_LONGEST_WAIT = 0.1
"""Seconds between two looks at whether there was a signal."""
_CONTEXT = multiprocessing.get_context("spawn")
"""A forked child would inherit the locks of threads that it does not have."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a file.

    Attributes
    ----------
    number : int
        Which of the files.
    lines : bytes
        The rows, as `kept_rows.encode_rows` makes them.
    """

    number: int
    lines: bytes


@dataclass(frozen=True)
class End:
    """The end of a file.

    Attributes
    ----------
    number : int
        Which of the files.
    invalid : int
        Samples of it that were not finite.
    problem : str or None
        Why it could not be read, or not to its end; None if it could.
    killed : bool
        Whether the processes that read it were killed: its rows so far are not to be used.
    """

    number: int
    invalid: int
    problem: str | None
    killed: bool = False


@dataclass
class _Task:
    number: int
    tries: int = 0
    delivered: int = 0
    """Bytes of its rows that were handed on, by an earlier process too."""


class _Worker:
    def __init__(self, model: ModelChoice, lag: float) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self.task: _Task | None = None
        self.ready = False
        self.sent = 0
        self.process: BaseProcess = _CONTEXT.Process(target=work, args=(theirs, model, lag), daemon=True)
        with signals_held():
            self.process.start()
        theirs.close()

    def end(self) -> None:
        self.process.kill()  # it has nothing to put in order
        self.process.join()
        self.connection.close()


class Jobs:
    """Tracks files in processes. Use it as a context manager: leaving it ends them.

    Parameters
    ----------
    files : sequence of str
        What to track, each once.
    jobs : int
        How many processes.
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    settings : mapping of str to str
        What the rows depend on, as `settings_of` names it.
    """

    def __init__(
        self, files: Sequence[str], jobs: int, model: ModelChoice, lag: float, settings: Mapping[str, str]
    ) -> None:
        self._files = files
        self._start = partial(_Worker, model, lag)
        self._settings = dict(settings)
        self._waiting = deque(_Task(number) for number in range(len(files)))
        self._workers: list[_Worker] = []
        self._most = min(jobs, len(files))

    def __enter__(self) -> Jobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()

    def events(self, ask: Callable[[], None], may_begin: Callable[[int], bool]) -> Iterator[Rows | End]:
        """Track the files, and tell what comes.

        Parameters
        ----------
        ask : callable
            Called several times a second; may raise to stop.
        may_begin : callable
            Told the number of the next file; answers whether it may be begun by now.

        Yields
        ------
        Rows or End
            The rows of a file in their order, then its end; files in the order in which they come.

        Raises
        ------
        MoodringError
            If a process cannot track anything.
        """
        while self._waiting or any(worker.task for worker in self._workers):
            ask()
            while len(self._workers) < min(self._most, len(self._waiting) + len(self._workers)):
                self._workers.append(self._start())
            for worker in self._workers:
                if worker.ready and worker.task is None and self._waiting and may_begin(self._waiting[0].number):
                    self._give(worker)
            sources: list[Connection] = [worker.connection for worker in self._workers]
            for connection in wait(sources, _LONGEST_WAIT):
                worker = next(worker for worker in self._workers if worker.connection is connection)
                yield from self._receive(worker)

    def _give(self, worker: _Worker) -> None:
        worker.task = self._waiting.popleft()
        worker.task.tries += 1
        worker.sent = 0
        with suppress(OSError):  # it was killed: its pipe says so when it is read
            worker.connection.send_bytes(os.fsencode(self._files[worker.task.number]))

    def _receive(self, worker: _Worker) -> Iterator[Rows | End]:
        try:
            message = worker.connection.recv_bytes()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        kind, content = message[:1], message[1:]
        if kind == FAILURE:
            raise MoodringError(content.decode())
        if kind == SETTINGS:
            if json.loads(content) != self._settings:
                raise MoodringError("the model was changed while files were tracked; start again")
            worker.ready = True
            return
        task = worker.task
        assert task is not None
        if kind == ROWS:
            # the same again, if an earlier process sent it already: a file gives the same bytes every time
            fresh = content[max(0, task.delivered - worker.sent) :]
            worker.sent += len(content)
            task.delivered += len(fresh)
            if fresh:
                yield Rows(task.number, fresh)
        elif kind == END:
            worker.task = None
            yield End(task.number, *json.loads(content))

    def _bury(self, worker: _Worker) -> Iterator[End]:
        self._workers.remove(worker)
        worker.end()
        if worker.task is None:
            if not worker.ready:
                raise MoodringError(f"a process that was to track files {_death(worker.process)}; try fewer --jobs")
        elif worker.task.tries < _TRIES:
            self._waiting.appendleft(worker.task)
        else:
            file = self._files[worker.task.number]
            problem = f'"{file}" could not be tracked: each of {_TRIES} processes that read it {_death(worker.process)}'
            yield End(worker.task.number, 0, problem, killed=True)


def _death(process: BaseProcess) -> str:
    status = process.exitcode or 0
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


@contextmanager
def signals_held() -> Iterator[None]:
    """Let a process that is started meanwhile never see what a terminal sends to all: its parent alone answers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
