"""Records a stream while it is tracked: a thread that writes what others hand over, behind a queue with a bound.

Nothing that is recorded waits for the disk, but what is tracked as fast as it goes. Where the disk is too slow, what
does not fit into the queue is left out and counted, audio as zeros, so that positions stay true. Where it cannot be
written at all, above all because it is full, the recording ends with a line that says so, and tracking goes on.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from model.features import FloatArray
from streamer.limited_log import LimitedLog
from streamer.recording.audio import SECONDS_PER_FILE, AudioWriter
from streamer.recording.folder import (
    MESSAGES,
    RecordingError,
    create_file,
    create_folder,
    remove_folder,
    write_description,
)
from streamer.recording.lines import encode_line
from streamer.source import Block, Source

QUEUE_BYTES = 1 << 25
"""Bytes that may wait for the disk: a minute and a half of stereo at 44.1 kHz."""
MARK_INTERVAL = 1.0
"""Seconds of audio, at most, that cannot be read if the program is killed."""
SYNC_INTERVAL = 5.0
"""Seconds of it all, at most, that may be gone if the power fails, besides what the disk itself keeps back."""
CLOSE_TIMEOUT = 5.0
"""Seconds that the disk has to take what still waits at the end."""

_log = logging.getLogger("moodring.recording")


@dataclass(frozen=True)
class _Audio:
    samples: FloatArray
    lost: int

    @property
    def size(self) -> int:
        return self.samples.nbytes


@dataclass(frozen=True)
class _Message:
    elapsed: float
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body)


class Recording:
    """Takes audio and messages of one stream. Use it as a context manager: leaving it finishes its files.

    Parameters
    ----------
    parent : Path
        Where recordings are; this one gets a folder of its own there.
    stream : str
        The stream's name.
    details : mapping of str to object
        What else its description shall say, such as the model.

    Attributes
    ----------
    folder : Path
        Where it is.
    problem : str or None
        Why it is not complete; None if it is.

    Raises
    ------
    RecordingError
        If its folder cannot be made or written to; when it is left, if it is not complete.
    """

    def __init__(self, parent: Path, stream: str, details: Mapping[str, object]) -> None:
        began = time.time()
        self._origin = time.monotonic()
        self.problem: str | None = None
        self.folder = create_folder(parent, stream, began)
        when = datetime.fromtimestamp(began, timezone.utc).isoformat(timespec="seconds")
        self._description: dict[str, object] = {
            "stream": stream,
            "began": when,
            **details,
            "moodring": version("moodring"),
        }
        try:
            write_description(self.folder, self._description)
            self._messages = os.fdopen(create_file(self.folder / MESSAGES), "wb", buffering=0)
        except OSError as error:
            with suppress(OSError):
                remove_folder(self.folder)
            raise RecordingError(f'cannot record to "{self.folder}": {error.strerror}') from error
        self._source: Source | None = None
        self._audio: AudioWriter | None = None
        self._waiting: deque[_Audio | _Message] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._left_out = 0
        self._audio_left_out = 0.0
        self._messages_left_out = 0
        self._recorded = 0
        self._marked = self._synced = self._origin
        self._warnings = LimitedLog(_log)
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self.problem is not None:
            raise RecordingError(f'the recording in "{self.folder}" is not complete: {self.problem}')

    def hear(self, source: Source, wait: bool) -> Source:
        """Give a source of the same audio that is recorded while it is read.

        Parameters
        ----------
        source : Source
            What to hear; one only.
        wait : bool
            Let it wait for the disk, rather than leave audio out: for what may be read as slowly as need be.

        Returns
        -------
        Source
        """
        self._source = source
        return _RecordedSource(source, self, wait)

    def take_audio(self, samples: FloatArray, lost: int, wait: bool = False) -> None:
        """Take audio that was heard.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, channels)
            Not to be changed afterwards.
        lost : int
            Samples per channel that were lost just before.
        wait : bool
            For the disk, where the queue is full.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._ended or self._fits(samples.nbytes))
            if self._ended:
                return
            if self._fits(samples.nbytes):
                self._put(_Audio(samples, lost + self._left_out))
                self._left_out = 0
            else:
                self._left_out += lost + len(samples)
                if self._source is not None:
                    self._audio_left_out += len(samples) / self._source.sample_rate

    def take_message(self, frames: list[bytes]) -> None:
        """Take a message that was just published.

        Parameters
        ----------
        frames : list of bytes
            Its topic and body.
        """
        message = _Message(time.monotonic() - self._origin, frames[1])
        with self._changed:
            if self._ended:
                return
            if self._fits(message.size):
                self._put(message)
            else:
                self._messages_left_out += 1

    def close(self) -> None:
        """Write what waits and finish the files; a recording of nothing leaves no folder. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            self.problem = f"the disk does not take it; what it had not after {CLOSE_TIMEOUT:g} s is lost"

    def _fits(self, size: int) -> bool:
        return not self._waiting or self._size + size <= QUEUE_BYTES

    def _put(self, item: _Audio | _Message) -> None:
        self._waiting.append(item)
        self._size += item.size
        self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (item := self._take()) is not None:
                self._write(item)
                self._look_after()
            self._finish()
        except Exception as error:
            self._give_up((error.strerror if isinstance(error, OSError) else None) or str(error))

    def _take(self) -> _Audio | _Message | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._size -= item.size
            self._changed.notify_all()
            return item

    def _write(self, item: _Audio | _Message) -> None:
        self._recorded += 1
        if isinstance(item, _Message):
            rest = memoryview(encode_line(item.elapsed, item.body))
            while rest:
                rest = rest[self._messages.write(rest) or 0 :]
            return
        if self._audio is None:
            assert self._source is not None
            rate, channels = self._source.sample_rate, item.samples.shape[1]
            self._audio = AudioWriter(self.folder, rate, channels)
            self._description |= {
                "source": self._source.name,
                "sample_rate": rate,
                "channels": channels,
                "seconds_per_file": SECONDS_PER_FILE,
            }
            write_description(self.folder, self._description)
        self._audio.skip(item.lost)
        self._audio.write(item.samples)

    def _look_after(self) -> None:
        now = time.monotonic()
        if self._audio is not None and now - self._marked > MARK_INTERVAL:
            self._marked = now
            self._audio.mark()
        if now - self._synced > SYNC_INTERVAL:
            os.fsync(self._messages.fileno())
            if self._audio is not None:
                self._audio.sync()
            self._synced = time.monotonic()
        if self._audio_left_out or self._messages_left_out:
            self.problem = (
                f"the disk was too slow for {self._audio_left_out:.1f} s of audio, which are silent in it, "
                f"and {self._messages_left_out} messages"
            )
            self._warnings.warning("slow", f'the recording in "{self.folder}" is not complete: {self.problem}')

    def _finish(self) -> None:
        if self._left_out and self._audio is not None:
            self._audio.skip(self._left_out)
        self._look_after()
        if self._audio is not None:
            self._audio.sync()
            self._audio.close()
        os.fsync(self._messages.fileno())
        self._messages.close()
        if not self._recorded:
            remove_folder(self.folder)
            return
        self._description |= {
            "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "audio_left_out": round(self._audio_left_out, 3),
            "messages_left_out": self._messages_left_out,
        }
        write_description(self.folder, self._description)

    def _give_up(self, reason: str) -> None:
        self.problem = reason
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify_all()
            closed = self._closed
        if not closed:
            _log.warning('the recording in "%s" has ended: %s; tracking goes on', self.folder, reason)
        for file in (self._audio, self._messages):
            if file is not None:
                with suppress(OSError):
                    file.close()


class _RecordedSource:
    def __init__(self, source: Source, recording: Recording, wait: bool) -> None:
        self.name = source.name
        self.sample_rate = source.sample_rate
        self.live = source.live
        self.zeros_hint = source.zeros_hint
        self._source = source
        self._recording = recording
        self._wait = wait

    def blocks(self) -> Iterator[Block]:
        for block in self._source.blocks():
            if block.lost or len(block.samples):
                self._recording.take_audio(block.samples, block.lost, self._wait)
            yield block

    def close(self) -> None:
        self._source.close()
