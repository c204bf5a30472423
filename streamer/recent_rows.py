"""The newest feature rows of a stream, side by side in memory."""

from __future__ import annotations

import numpy as np

from model.features import FloatArray


class RecentRows:
    """Keeps the newest rows, and gives them as one array without copying them.

    Parameters
    ----------
    capacity : int
        Rows that are kept at most.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows: FloatArray = np.empty((0, 0), np.float32)
        self._end = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: FloatArray) -> None:
        """Add a row, shape (columns,); the oldest goes if there are too many."""
        if self._end == len(self._rows):
            # not in place: what `array` gave before stays as it was
            fresh = np.empty((2 * self._capacity, len(row)), np.float32)
            kept = min(self._count, self._capacity - 1)
            if kept:
                fresh[:kept] = self._rows[self._end - kept : self._end]
            self._rows, self._end, self._count = fresh, kept, kept
        self._rows[self._end] = row
        self._end += 1
        self._count = min(self._count + 1, self._capacity)

    def clear(self) -> None:
        """Forget all rows."""
        self._count = 0

    def array(self) -> FloatArray:
        """Return the rows, oldest first, shape (len(self), columns); they never change. Not to be written to."""
        return self._rows[self._end - self._count : self._end]
