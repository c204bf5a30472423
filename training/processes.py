"""Worker processes for long computations: one BLAS thread each; only the parent answers Ctrl-C; none outlives it."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import Any

from training.tables import DataError

CONTEXT: SpawnContext = multiprocessing.get_context("spawn")
"""A forked child would inherit the locks of threads that it does not have."""

_BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def worker_pool(
    jobs: int, work: str, start: Callable[..., None], *arguments: Any
) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Give a pool of processes; what has not begun is cancelled when the block is left by an exception.

    Parameters
    ----------
    jobs : int
        Processes.
    work : str
        What they do, for the message if one is killed.
    start : callable
        Called with `arguments` in every process before its first task.

    Raises
    ------
    DataError
        If a process was killed.
    """
    # set in the parent, because a child's BLAS reads them when numpy is imported; one thread per process, or the
    # processes' small matrix products would wait for each other
    before = {name: os.environ.get(name) for name in _BLAS_THREADS}
    os.environ.update(dict.fromkeys(_BLAS_THREADS, "1"))
    try:
        with concurrent.futures.ProcessPoolExecutor(
            jobs, mp_context=CONTEXT, initializer=_start, initargs=(start, arguments)
        ) as pool:
            try:
                yield pool
            except BrokenProcessPool as error:
                raise DataError(f"a process that {work} was killed; try fewer --jobs") from error
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent's end", daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        # a killed parent cannot say anything; whatever a worker writes appears whole or not at all
        os._exit(1)
