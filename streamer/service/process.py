"""A service's process: from its start, through reloads, to its end."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.errors import MoodringError
from streamer.logs import LOGGER
from streamer.service.configuration import Configuration, ConfigurationError, load_configuration
from streamer.service.log import LogFormat, ServiceLog, is_journal
from streamer.service.notify import ServiceManager
from streamer.service.service import Health, Service
from streamer.service.signals import RELOAD, received_signals, terminal_was_closed

LONGEST_INTERVAL = 1.0
"""Seconds between looks at whether everything is alive."""
LONGEST_END = 5.0
"""Seconds after which the process ends, whatever holds its end up."""

_log = logging.getLogger("moodring.service")


def run_service(configuration: Configuration, log_format: LogFormat, level: int) -> bool:
    """Run a service until SIGTERM or Ctrl-C; SIGHUP reads the configuration again.

    Parameters
    ----------
    configuration : Configuration
        What to run.
    log_format : {'text', 'json'}
        What the log looks like.
    level : int
        The lowest level that is logged.

    Returns
    -------
    bool
        Whether it ended because it was asked to, rather than because it could not start or go on; the log says why.
    """
    with _logging_to_standard_error(log_format, level):
        try:
            return _run(configuration)
        except MoodringError as error:
            _log.critical("%s", error)
            return False


def _run(configuration: Configuration) -> bool:
    terminal = sys.stderr.fileno() if sys.stderr.isatty() else None
    manager = ServiceManager(os.environ)
    with received_signals() as signals:
        service = Service(configuration)
        reason = "stopped"
        failure: str | None = None
        try:
            service.start()
            _log.info("publishing on %s; health and metrics: %s", service.endpoint, service.pages)
            manager.ready(_summary(service.health()))
            interval = min(LONGEST_INTERVAL, manager.watchdog_interval or LONGEST_INTERVAL)
            while True:
                number = signals.wait(interval)
                if number is not None and number == RELOAD:
                    if terminal is not None and terminal_was_closed(terminal):
                        reason = "the terminal was closed"
                        break
                    manager.reloading()
                    _reload(service, configuration.path)
                    manager.ready(_summary(service.health()))
                elif number is not None:
                    break
                failure = service.failure()
                if failure is not None:
                    break
                health = service.health()
                if health.alive:
                    manager.alive(_summary(health))
        finally:
            manager.stopping()
            _end_anyway_later()
            began = time.monotonic()
            if failure is None:
                _log.info("ends: %s", reason)
                service.close(reason)
            else:
                _log.critical("cannot go on: %s", failure)
                service.close(failure, "failed")
            _log.info("ended in %.2f s", time.monotonic() - began)
    return failure is None


def _reload(service: Service, path: Path) -> None:
    try:
        service.reload(load_configuration(path))
    except MoodringError as error:
        problems = error.problems if isinstance(error, ConfigurationError) else (str(error),)
        for problem in problems:
            _log.error("%s", problem)
        _log.error("%s was not reloaded; everything goes on as before", path)


def _end_anyway_later() -> None:
    def end() -> None:
        with suppress(OSError):
            os.write(2, b"moodring: does not end in time; it is cut short\n")
        os._exit(1)

    timer = threading.Timer(LONGEST_END, end)
    timer.daemon = True
    timer.start()


def _summary(health: Health) -> str:
    good = sum(reading.good for reading in health.streams.values())
    bad = [f"{name} {reading.state}" for name, reading in health.streams.items() if not reading.good]
    return f"{good} of {len(health.streams)} streams are well" + (f" ({', '.join(bad)})" if bad else "")


@contextmanager
def _logging_to_standard_error(log_format: LogFormat, level: int) -> Iterator[None]:
    descriptor = sys.stderr.fileno()
    handler = ServiceLog(descriptor, log_format, is_journal(descriptor, os.environ.get("JOURNAL_STREAM")))
    logger = logging.getLogger(LOGGER)
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.handlers, level_before, logger.propagate = before
        logger.setLevel(level_before)
        handler.close()
