"""Starts the program that has PortAudio to itself (`streamer.portaudio`), and receives what it sends."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

from streamer.portaudio import ENDING_TIMEOUT, HEADER

KILLED_AFTER = ENDING_TIMEOUT + 1.0
"""Seconds that the program gets to end by itself before it is killed."""
_LOOK_AROUND = 0.5
"""Seconds after which the thread that reads messages looks whether anybody still wants them."""
_QUEUE_LENGTH = 4
"""Messages between the thread that reads them and who wants them: less than half a second of audio."""
_PROGRAM = (
    "import os, sys; sys.path[:] = sys.argv[1].split(os.pathsep); "
    "import json; from streamer.portaudio import main; main(json.loads(sys.argv[2]))"
)
"""Looks for modules where this process does, and nowhere else: not in the folder that it happens to be started in."""


@dataclass(frozen=True)
class Message:
    """What the program has to say.

    Attributes
    ----------
    kind : int
        `streamer.portaudio.AUDIO` or another of them; `ENDED` for the last one.
    content : bytes
        What it means depends on `kind`.
    lost : int
        Samples per channel that were lost before it.
    captured : float
        UTC of the audio's end.
    origin : float
        Monotonic time of the stream's position 0.
    """

    kind: int
    content: bytes = b""
    lost: int = 0
    captured: float = 0.0
    origin: float = 0.0


ENDED = 0
"""The program has ended."""


class CaptureProcess:
    """A running program.

    Parameters
    ----------
    request : dict
        What `streamer.portaudio.main` takes.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._closed = threading.Event()
        self._messages: queue.Queue[Message] = queue.Queue(_QUEUE_LENGTH)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, os.pathsep.join(sys.path), json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # libraries of the sound system comment there on everything that fails, although it is reported
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=self._read, name="capture", daemon=True).start()

    def __enter__(self) -> CaptureProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def receive(self, timeout: float) -> Message | None:
        """Wait for the next message.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        Message or None
            None if none came in time.
        """
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the program, later by force if it hangs; returns at once. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        assert self._process.stdin is not None
        self._process.stdin.close()
        threading.Thread(target=self._await_end, name="end of capture", daemon=True).start()

    def _await_end(self) -> None:
        try:
            self._process.wait(KILLED_AFTER)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            while self._put(_read_message(stdout)):
                pass

    def _put(self, message: Message) -> bool:
        """Hand a message on; False if there will be no more, or nobody wants them."""
        while not self._closed.is_set():
            try:
                self._messages.put(message, timeout=_LOOK_AROUND)
            except queue.Full:
                continue
            return message.kind != ENDED
        return False


def _read_message(stdout: IO[bytes]) -> Message:
    header = stdout.read(HEADER.size)
    if len(header) < HEADER.size:
        return Message(ENDED)
    kind, size, lost, captured, origin = HEADER.unpack(header)
    content = stdout.read(size)
    return Message(kind, content, lost, captured, origin) if len(content) == size else Message(ENDED)
