"""The course of a training as a CSV table, a row per epoch, for whatever draws tables."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType

from training.paper.fitting import Epoch
from training.tables import DataError

COLUMNS = ("part", "epoch", "loss", "valence_rmse", "arousal_rmse")


class EpochLog:
    """Writes the table, flushed after every row; an older one is replaced.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise DataError(f'cannot write "{path}": {error.strerror or error}') from error
        self._table = csv.writer(self._file)
        self._row(COLUMNS)

    def __enter__(self) -> EpochLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, part: str, epoch: Epoch) -> None:
        """Add a row; RMSE is that of the validation songs, pooled over frames."""
        self._row((part, epoch.number, epoch.loss, epoch.valence, epoch.arousal))

    def _row(self, cells: tuple[object, ...]) -> None:
        try:
            self._table.writerow(cells)
            self._file.flush()
        except OSError as error:
            raise DataError(f'cannot write "{self._path}": {error.strerror or error}') from error
