"""Raw PCM from a named pipe (FIFO) as a source."""

from __future__ import annotations

import os
import selectors
import stat
from collections.abc import Callable
from pathlib import Path

from streamer.pcm import PCMFormat
from streamer.pcm_source import PCMSource, Writer
from streamer.source import LONGEST_WAIT


class _End:
    """The reading end of a named pipe."""

    host = "this machine"
    peer = "a writer"
    buffered = False

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def is_at(self, path: Path) -> bool:
        there, here = os.stat(path), os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def is_pipe(self) -> bool:
        return stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)

    def fileno(self) -> int:
        return self._descriptor

    def read(self, size: int) -> bytes | None:
        try:
            return os.read(self._descriptor, size)
        except BlockingIOError:
            return None

    def close(self) -> None:
        os.close(self._descriptor)


class NamedPipe(PCMSource):
    """Reads what is written into a named pipe; one that is not there is waited for.

    Parameters
    ----------
    path : Path
        Made with ``mkfifo``.
    pcm : PCMFormat
        What every writer writes.
    on_refused : callable, optional
        Is called for each writer that was turned away.

    Raises
    ------
    SourceError
        If no recording has that format.
    """

    def __init__(self, path: Path, pcm: PCMFormat, on_refused: Callable[[], None] | None = None) -> None:
        super().__init__(f'named pipe "{path}"', pcm, str(path), on_refused)
        self._path = path
        self._end: _End | None = None

    def _next_writer(self) -> Writer | None:
        if self._end is None:
            self._end = self._open()
        if self._end is None:
            self._closed.wait(LONGEST_WAIT)
            return None
        self._selector.register(self._end, selectors.EVENT_READ)
        written = self._selector.select(LONGEST_WAIT)
        self._selector.unregister(self._end)
        end, self._end = self._end, None
        if written:
            return end
        if self._is_current(end):
            self._end = end
            self._trouble = self._trouble or f"nobody writes into {self.name}"
        else:
            end.close()
        return None

    def _open(self) -> _End | None:
        try:
            # looked at first: to open something else, such as a device, may do something
            mode = os.stat(self._path).st_mode
            end = _End(self._path) if stat.S_ISFIFO(mode) else None
        except FileNotFoundError:
            self._trouble = f"there is no {self.name}; make it: mkfifo {self._path}"
            return None
        except OSError as error:
            self._trouble = f"cannot read {self.name}: {error.strerror}"
            return None
        if end is not None and end.is_pipe():
            self._trouble = ""
            return end
        if end is not None:
            end.close()
        self._trouble = f'"{self._path}" is not a named pipe; make one: mkfifo PATH'
        return None

    def _is_current(self, end: _End) -> bool:
        try:
            return end.is_at(self._path)
        except OSError:
            return False

    def _release(self) -> None:
        if self._end is not None:
            self._end.close()
