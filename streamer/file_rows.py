"""The rows of one file, as fast as it can be read."""

from __future__ import annotations

from collections.abc import Callable

from model.estimator import Estimator
from streamer.framer import Framer
from streamer.offline import track
from streamer.opening import open_file
from streamer.source import SourceError
from streamer.table import Row, row_of

_ROWS_PER_WRITE = 1000


def write_rows(
    file: str, checkpoint: Estimator, lag: float, write: Callable[[list[Row]], None], ask: Callable[[], None]
) -> tuple[int, str | None]:
    """Track a file and write its rows, some at a time; they depend on nothing else that is tracked.

    Parameters
    ----------
    file : str
        Its path.
    checkpoint : Estimator
        The model.
    lag : float
        Seconds to look back.
    write : callable
        Takes rows, as `row_of` makes them.
    ask : callable
        Called after every estimate; may raise to stop.

    Returns
    -------
    invalid : int
        How many of its samples were not finite.
    problem : str or None
        Why it could not be read, or not to its end; None if it could.
    """
    rows: list[Row] = []
    invalid = 0
    problem = None
    try:
        source = open_file(file)
        framer = Framer(source.sample_rate, checkpoint.frontend.parameters)
        for estimate in track(source, framer, checkpoint, "file", lag):
            ask()
            rows.append(row_of(file, estimate))
            if len(rows) == _ROWS_PER_WRITE:
                write(rows)
                rows = []
        invalid = framer.invalid
    except SourceError as error:
        problem = str(error)
    write(rows)
    return invalid, problem
