"""The process that uses Ray: it connects to a cluster, hands items of work to it by Ray Data, and tells its parent.

Ray ends a process that has lost its cluster, answers to no signal while it waits for it, and prints; so it has one of
its own, which prints nothing and can be killed. Messages are JSON. To it: items as lists, None after the
last. From it: first what the cluster has, then an `Outcome` for each item as a list, None after the last; or, instead
of any of these, what is wrong as text.

Each item is a block of one row, and a task of Ray's: it goes to whichever machine has a processor free, and to another
one when that machine or its process is lost. Tasks, not actors: an actor's machine may be lost for good, and what had
been given to it would wait for another with room for it. The model is loaded once in a process all the same, because
Ray keeps processes for further tasks.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import pyarrow

from streamer.archive.work import Item, Order, do

_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
"""Nothing is reported to anybody, and no other cluster connected to."""
_GIVING_UP = {"RAY_gcs_server_port_wait_time_s": "1"}
"""What lets Ray give up after one try (of 40 s) when what answers at an address is no cluster."""
_OBJECT_STORE = 80 << 20
"""Bytes for what Ray keeps between tasks, near the least that it takes: only paths and counts go through it."""


def serve(connection: Connection, address: str | None, processors: int, order: Order, at_once: int | None) -> None:
    """Have the items done that come through a pipe; ends when it is closed, which it is too when the parent is killed.

    Parameters
    ----------
    connection : Connection
        This process's end of the pipe.
    address : str or None
        ``HOST:PORT`` of the cluster's head; None for a cluster of this machine alone, which listens on loopback only
        and ends with this process.
    processors : int
        How many a cluster of this machine alone has.
    order : Order
        What all items have in common.
    at_once : int or None
        The most items that may be done at the same time; None for what the cluster has room for.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    items: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(connection, items))
    listener.start()
    with suppress(ConnectionError):
        try:
            _send(connection, _connect(address, processors))
            for outcome in _outcomes([Item(*item) for item in iter(items.get, None)], order, at_once):
                _send(connection, outcome)
            _send(connection, None)
        except ConnectionError:
            raise
        except Exception as error:  # of whatever kind: Ray raises many
            _send(connection, _reason(error))
    listener.join()


def _listen(connection: Connection, items: queue.SimpleQueue[list[Any] | None]) -> None:
    """Take what comes through the pipe; when it is closed there is nobody left to work for, whatever is being done."""
    try:
        while True:
            items.put(json.loads(connection.recv_bytes()))
    except (EOFError, OSError):
        import ray

        ray.shutdown()
        os._exit(0)


def _send(connection: Connection, message: Any) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _connect(address: str | None, processors: int) -> dict[str, Any]:
    for name, value in (_ENVIRONMENT | (_GIVING_UP if address else _on_loopback())).items():
        os.environ.setdefault(name, value)
    import ray

    own = {} if address else {"num_cpus": processors, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    session = ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **own)
    return {
        "processors": int(ray.cluster_resources().get("CPU", 0)),
        "session": None if address else session.address_info["session_dir"],
    }


def _on_loopback() -> dict[str, str]:
    """Let a cluster of one machine have its loopback address, a secret that no other user can read, and no niceness."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_worker_niceness": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


def _outcomes(items: list[Item], order: Order, at_once: int | None) -> Iterator[list[Any]]:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = [pyarrow.table({"part": [i.part], "files": [[os.fsencode(file) for file in i.files]]}) for i in items]
    done = ray.data.from_arrow(blocks).map_batches(
        _work,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={"order": order},
        compute=ray.data.TaskPoolStrategy(size=at_once),
    )
    for batch in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from (list(row.values()) for row in batch.to_pylist())


def _work(block: Any, order: Order) -> Any:
    """Do the items of a block, in one of Ray's processes."""
    items = (Item(row["part"], [os.fsdecode(file) for file in row["files"]]) for row in block.to_pylist())
    return pyarrow.Table.from_pylist([do(item, order)._asdict() for item in items])


def _reason(error: BaseException) -> str:
    """Say in one line what is wrong; of what was raised in one of Ray's processes, its own error."""
    cause = getattr(error, "cause", None) or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
