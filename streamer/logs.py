"""What moodring has to say while it runs, through Python's logging: ``moodring.<module>`` is a module's logger."""

from __future__ import annotations

import logging
import sys

import click

LOGGER = "moodring"


class _StandardError(logging.Handler):
    """Looks standard error up for every line: a live view that draws on the terminal puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            click.echo(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


def log_to_standard_error() -> None:
    """Let warnings and errors appear on standard error as other lines of the command line do. May be called twice."""
    logger = logging.getLogger(LOGGER)
    handler = _StandardError(logging.WARNING)
    handler.setFormatter(logging.Formatter("moodring: %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False
