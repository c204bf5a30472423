"""Log lines that a stranger can provoke: as many as a person can read, and no more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

INTERVAL = 60.0
"""Seconds in which the same thing is logged once."""
MAXIMUM_LINES = 20
"""Lines per interval: so many strangers at once are one event, of which more lines would say no more."""


class LimitedLog:
    """Logs the same line once per `INTERVAL`, and `MAXIMUM_LINES` different ones. For one thread.

    Parameters
    ----------
    logger : logging.Logger
        Where warnings go.
    clock : callable
        Gives seconds, never less than before.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._began = clock()
        self._said: set[str] = set()
        self._left_out = 0

    def warning(self, subject: str, message: str) -> None:
        """Log a warning, unless there have been enough.

        Parameters
        ----------
        subject : str
            What it is about; two warnings with the same subject are the same.
        message : str
            The line.
        """
        self._say(logging.WARNING, subject, message)

    def info(self, subject: str, message: str) -> None:
        """Log what is no reason to worry; otherwise as `warning`."""
        self._say(logging.INFO, subject, message)

    def _say(self, level: int, subject: str, message: str) -> None:
        now = self._clock()
        if now - self._began >= INTERVAL:
            if self._left_out:
                self._logger.log(level, "%d more like these in the last %.0f s", self._left_out, now - self._began)
            self._began, self._said, self._left_out = now, set(), 0
        if subject in self._said:
            return
        if len(self._said) >= MAXIMUM_LINES:
            self._left_out += 1
        else:
            self._said.add(subject)
            self._logger.log(level, "%s", message)
