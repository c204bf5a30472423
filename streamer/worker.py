"""A process that tracks files for `annotate`: it is told paths through a pipe, and answers with rows as text.

Messages are bytes of which the first tells the kind. To the worker: a path. From it: once ``S`` and the settings that
its rows depend on, as JSON; for each file any number of ``R`` and lines of JSON, as `encode_rows` makes them, then
``E`` and how it ended, as JSON; or ``F`` and why nothing can be tracked. Nothing is pickled on the way.
"""

from __future__ import annotations

import json
import os
import sys
from multiprocessing.connection import Connection

from model.loading import ModelChoice

SETTINGS, ROWS, END, FAILURE = b"S", b"R", b"E", b"F"


def work(connection: Connection, model: ModelChoice, lag: float) -> None:
    """Track the files that come, until the pipe is closed; which it is too when the parent was killed.

    Parameters
    ----------
    connection : Connection
        The worker's end of the pipe.
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    """
    from model.errors import MoodringError
    from streamer.file_rows import write_rows
    from streamer.kept_rows import encode_rows, settings_of
    from streamer.native_output import discard_native_output

    # it has nothing to say to people: what it prints would be among the rows, or its parent's messages
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    discard_native_output()
    try:
        checkpoint = model.load()
        checkpoint.use_one_thread()
        settings = settings_of(checkpoint, checkpoint.frames_of_lag(lag))
        connection.send_bytes(SETTINGS + json.dumps(settings).encode())
        while True:
            file = os.fsdecode(connection.recv_bytes())
            ended = write_rows(
                file, checkpoint, lag, lambda rows: connection.send_bytes(ROWS + encode_rows(rows)), lambda: None
            )
            connection.send_bytes(END + json.dumps(ended).encode())
    except MoodringError as error:
        connection.send_bytes(FAILURE + str(error).encode(errors="backslashreplace"))
    except (EOFError, ConnectionError):
        sys.exit()
