"""The bounded buffer between a sound card's callback and the thread that sends its audio on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from model.features import FloatArray


class RingBuffer:
    """Holds the newest samples; the oldest go when it is full, and the reader learns how many.

    One thread writes, one reads. `write` allocates nothing and waits for nothing: it announces what it is about to
    overwrite, copies, then says that it is done; `read` checks afterwards whether it was overtaken meanwhile.

    Parameters
    ----------
    capacity : int
        Samples per channel.
    channels : int
        Channels.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self.capacity = capacity
        self._samples = np.zeros((capacity, channels), dtype=np.float32)
        self._announced = 0
        self._written = 0
        self._read = 0
        # locked: nothing new. A plain lock used as a binary semaphore, because releasing it never waits
        self._news = threading.Lock()
        self._news.acquire()

    def write(self, block: FloatArray) -> None:
        """Append a block.

        Parameters
        ----------
        block : ndarray of float32, shape (n, channels)
            Of a longer block than `capacity` the newest samples are kept.
        """
        total = self._written + len(block)
        self._announced = total
        kept = block[-self.capacity :]
        start = (total - len(kept)) % self.capacity
        first = min(len(kept), self.capacity - start)
        self._samples[start : start + first] = kept[:first]
        self._samples[: len(kept) - first] = kept[first:]
        self._written = total
        self.wake()

    def wake(self) -> None:
        """Make a waiting `read` return."""
        if self._news.locked():
            self._news.release()

    @property
    def consumed(self) -> int:
        """Samples per channel that were read or lost so far."""
        return self._read

    def read(self, timeout: float, most: int | None = None) -> tuple[FloatArray, int]:
        """Take what was written since the last call, the oldest first.

        Parameters
        ----------
        timeout : float
            Seconds to wait if there is nothing.
        most : int, optional
            Samples per channel that are wanted at most.

        Returns
        -------
        samples : ndarray of float32, shape (n, channels)
            A copy; n is 0 if nothing came in time, or `wake` was called.
        lost : int
            Samples per channel that were overwritten before they could be read; they lie before `samples`.
        """
        if self._read == self._written:
            self._news.acquire(timeout=timeout)
        written = self._written
        start = max(self._read, written - self.capacity)
        end = written if most is None else min(written, start + most)
        indices = np.arange(start, end) % self.capacity
        samples = self._samples[indices]
        overtaken = min(max(0, self._announced - self.capacity - start), len(samples))
        lost = start - self._read + overtaken
        self._read = end
        return samples[overtaken:], lost
