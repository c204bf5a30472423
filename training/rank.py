"""A process that trains together with others, and does what the first of them says.

``python -m training.rank RANK SIZE STORE`` is started by `training.launching`; below torchrun, the command itself works
so when its rank is not 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import torch
from torch.distributed import FileStore  # type: ignore[attr-defined]  # documented, but not marked as exported

from model.errors import MoodringError
from training.distributed import Group, Place, is_connection_lost
from training.job import receive_job
from training.launching import LOST
from training.tables import DataError
from training.trainer import train


def work(place: Place) -> None:
    """Train what the first process says until there is nothing more.

    Parameters
    ----------
    place : Place
        Not the first.

    Raises
    ------
    DataError
        If the other processes do not answer any more.
    MoodringError
        What `training.trainer.train` raises, in all processes at once.
    """
    torch.set_num_threads(1)
    try:
        place.announce(f"ready{place.rank}")
        place.wait_for("begin")
        group = Group(place)
        try:
            while (job := receive_job(group)) is not None:
                train(**vars(job), group=group)
        finally:
            group.close()
    except RuntimeError as error:
        if is_connection_lost(error):
            raise DataError(f"training process {place.rank} of {place.size} has lost the others") from error
        raise


def main() -> None:
    """Work until the first process says that it is done, or ends."""
    # Ctrl-C reaches every process of the terminal; the first alone answers it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent's end", daemon=True).start()
    rank, size = int(sys.argv[1]), int(sys.argv[2])
    try:
        work(Place(rank, size, rank, size, FileStore(sys.argv[3], size)))
    except MoodringError as error:
        print(error, file=sys.stderr)
        lost = isinstance(error.__cause__, RuntimeError) and is_connection_lost(error.__cause__)
        sys.exit(LOST if lost else 1)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(LOST)


if __name__ == "__main__":
    main()
