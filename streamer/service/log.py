"""The log of a service: one line per event on standard error, for people or for programs.

As text, a line is ``key=value`` pairs, which `grep` and journal viewers take as it is; as JSON, an object. The journal
gets the text with its priority in front (``<4>``, see sd-daemon(3)), rather than fields over its own socket: that needs
no connection that could be lost, works the same in containers, and leaves one format to describe.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import threading
from datetime import datetime, timezone
from typing import Any, Literal

from streamer.logs import LOGGER

LogFormat = Literal["text", "json"]

QUEUE_LENGTH = 1000
"""Lines that wait for whoever reads standard error. Nothing else waits for it: what does not fit is counted."""
CLOSING_TIMEOUT = 0.5
"""Seconds that the last lines are given."""
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+", re.ASCII)
_THREAD = "stream "
"""How the names of threads begin that serve one stream."""


class ServiceLog(logging.Handler):
    """Writes lines in a thread of its own.

    Parameters
    ----------
    descriptor : int
        Where to; usually standard error.
    format : {'text', 'json'}
        How.
    journal : bool
        Put the priority in front and leave the time, which the journal knows, out.
    """

    def __init__(self, descriptor: int, format: LogFormat, journal: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._json = format == "json"
        self._journal = journal
        self._queue: queue.Queue[str | None] = queue.Queue(QUEUE_LENGTH)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record's line into the queue."""
        try:
            line = self.line(record)
        except Exception as error:  # a message whose arguments do not fit must not end the thread that logs it
            line = f"level=error message={json.dumps(f'cannot be logged: {record.msg!r}: {error}')}"
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def line(self, record: logging.LogRecord) -> str:
        """Write a record.

        Parameters
        ----------
        record : logging.LogRecord
            What happened.

        Returns
        -------
        str
            One line.
        """
        fields: dict[str, Any] = {}
        if not self._journal:
            time = datetime.fromtimestamp(record.created, timezone.utc)
            fields["time"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields["level"] = record.levelname.lower()
        fields["logger"] = record.name
        if (record.threadName or "").startswith(_THREAD):
            fields["stream"] = str(record.threadName).removeprefix(_THREAD)
        fields["message"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            fields["exception"] = repr(record.exc_info[1])
        pairs = (f"{key}={_quote(value)}" for key, value in fields.items())
        line = json.dumps(fields) if self._json else " ".join(pairs)
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" if self._journal else line

    def close(self) -> None:
        """Write what waits, if it is taken soon. May be called twice."""
        try:
            self._queue.put(None, timeout=CLOSING_TIMEOUT)
        except queue.Full:
            return
        self._thread.join(CLOSING_TIMEOUT)
        super().close()

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            self._write(line)
            if self._left_out:
                left_out, self._left_out = self._left_out, 0
                text = f"{left_out} lines were left out: standard error is not read fast enough"
                record = logging.LogRecord(f"{LOGGER}.log", logging.WARNING, "", 0, text, None, None)
                self._write(self.line(record))

    def _write(self, line: str) -> None:
        waiting = memoryview(line.encode(errors="backslashreplace") + b"\n")
        try:
            while waiting:
                waiting = waiting[os.write(self._descriptor, waiting) :]
        except OSError:
            return  # whoever read it has gone; the service has not


def is_journal(descriptor: int, journal_stream: str | None) -> bool:
    """Tell whether a descriptor leads to systemd's journal.

    Parameters
    ----------
    descriptor : int
        Usually standard error.
    journal_stream : str or None
        The environment's ``JOURNAL_STREAM``: device and inode of what the service manager has connected.

    Returns
    -------
    bool
        False when it was redirected since.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def _quote(value: Any) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    # letters of any language as they are, but nothing that could move a terminal's cursor
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in quoted)
