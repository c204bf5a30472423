"""Raw PCM from writers that come and go, one after the other, as one source that goes on."""

from __future__ import annotations

import logging
import selectors
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from streamer.limited_log import LimitedLog
from streamer.live import PIPE_LEAD, PIPE_PROGRESS, PIPE_SETTLING, PIPE_UNEVENNESS, STALLED_AFTER
from streamer.pcm import PCMDecoder, PCMFormat
from streamer.source import LONGEST_WAIT, Block, SourceError
from streamer.timeline import Timeline

READ_DURATION = 0.1
"""Seconds of audio that are read at once: what a writer sends faster than that stays with the operating system, whose
buffers are bounded and make the writer wait."""
SHORTEST_TURN = 0.25
"""Seconds from one writer to the next: whoever connects and leaves in a loop costs a few messages a second at most."""

_log = logging.getLogger("moodring.pcm")


class Writer(Protocol):
    """One writer's end, open for reading without waiting."""

    @property
    def host(self) -> str:
        """Where it is."""
        ...

    @property
    def peer(self) -> str:
        """Who it is, for the log."""
        ...

    @property
    def buffered(self) -> bool:
        """Whether something can be read although there is nothing more at the descriptor."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that can be waited for."""
        ...

    def read(self, size: int) -> bytes | None:
        """Return what has come, empty if the writer has gone, None if nothing has come."""
        ...

    def close(self) -> None:
        """Let the writer go."""
        ...


class PCMSource(ABC):
    """What a named pipe and a network port have in common.

    Audio is read no faster than it would be played, so that a file that is sent as fast as it goes is tracked as if it
    were played. The time between two writers is a loss: the stream goes on after as long a gap.

    Parameters
    ----------
    name : str
        What messages call it.
    pcm : PCMFormat
        What every writer writes.
    target : str
        Where ffmpeg would have to write to.
    on_refused : callable, optional
        Is called for each writer that was turned away.

    Raises
    ------
    SourceError
        If no recording has that format.
    """

    live = True
    zeros_hint = ""

    def __init__(self, name: str, pcm: PCMFormat, target: str, on_refused: Callable[[], None] | None = None) -> None:
        pcm.validate(name)
        self.name = name
        self.pcm = pcm
        self.sample_rate = pcm.sample_rate
        self._target = target
        self._on_refused = on_refused
        self._refusals = LimitedLog(_log)
        self._arrivals = LimitedLog(_log)
        self._closed = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._timeline = Timeline(PIPE_UNEVENNESS, PIPE_SETTLING, PIPE_PROGRESS)
        self._position = 0
        self._last_audio = time.monotonic()
        self._trouble = ""

    @abstractmethod
    def _next_writer(self) -> Writer | None:
        """Wait for a writer, `LONGEST_WAIT` seconds at most; if there is none, `_trouble` says why."""

    @abstractmethod
    def _release(self) -> None:
        """Close everything but the writer; nothing else is called afterwards."""

    def _is_replaced(self, silent: float) -> bool:
        """Look around while a writer is read that has sent nothing for `silent` seconds; True ends its turn."""
        return False

    def blocks(self) -> Iterator[Block]:
        """Yield what the writers write, until `close`; an empty block every `LONGEST_WAIT` while there is nothing."""
        try:
            while not self._closed.is_set():
                writer = self._next_writer()
                if writer is None:
                    yield self._nothing()
                    continue
                until = time.monotonic() + SHORTEST_TURN
                self._arrivals.info(writer.host, f"{writer.peer} begins to write to {self.name}")
                try:
                    self._trouble = ""
                    yield from self._read(writer)
                except SourceError as error:
                    self._trouble = str(error)
                    self._refuse(writer.peer, str(error))
                finally:
                    self._selector.unregister(writer)
                    writer.close()
                self._closed.wait(until - time.monotonic())
        finally:
            self._release()
            self._selector.close()

    def close(self) -> None:
        """Make `blocks` end within `LONGEST_WAIT`."""
        self._closed.set()

    def _refuse(self, peer: str, reason: str) -> None:
        self._refusals.warning(reason, f"refused {peer}: {reason}")
        if self._on_refused is not None:
            self._on_refused()

    def _read(self, writer: Writer) -> Iterator[Block]:
        decoder = PCMDecoder(self.name, self.pcm, self._target)
        size = max(1, round(READ_DURATION * self.sample_rate)) * self.pcm.step
        anchor: float | None = None
        heard = 0
        last_data = time.monotonic()
        self._selector.register(writer, selectors.EVENT_READ)
        while not self._closed.is_set():
            ready = writer.buffered or any(key.fileobj is writer for key, _ in self._selector.select(LONGEST_WAIT))
            if self._is_replaced(time.monotonic() - last_data):
                return
            data = writer.read(size) if ready else None
            if data is None:
                yield self._nothing()
                continue
            last_data = time.monotonic()
            samples = decoder.push(data) if data else decoder.finish()
            heard += len(samples)
            if len(samples):
                lost = 0
                if anchor is None:
                    anchor = last_data - len(samples) / self.sample_rate
                    lost = self._lost_before(anchor)
                elif self._closed.wait(anchor + heard / self.sample_rate * (1 - PIPE_LEAD) - last_data):
                    return
                self._position += lost + len(samples)
                yield Block(samples, lost, origin=self._origin())
            if not data:
                return

    def _lost_before(self, began: float) -> int:
        """Count the samples that there would have been until now, had the last writer stayed."""
        if self._timeline.origin is None:
            return 0
        return max(0, round((began - self._timeline.origin) * self.sample_rate) - self._position)

    def _origin(self) -> float | None:
        self._last_audio = time.monotonic()
        late = self._timeline.observe(self._position / self.sample_rate, self._last_audio)
        if late:
            self._timeline.shift(late)
        return self._timeline.origin

    def _nothing(self) -> Block:
        # a writer that leaves and comes back at once is no trouble yet
        known = self._trouble if time.monotonic() - self._last_audio > STALLED_AFTER else ""
        return Block(np.zeros((0, self.pcm.channels), dtype=np.float32), trouble=known)
