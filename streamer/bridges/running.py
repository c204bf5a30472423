"""Runs a bridge: hears a publisher, follows the mapping's file, and sends on every estimate and at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from model.errors import MoodringError
from streamer.bridges.destinations import Kind
from streamer.bridges.engine import Engine
from streamer.bridges.mapping import Mapping
from streamer.bridges.mapping_file import MappingError, load_mapping
from streamer.bridges.signals import Value
from streamer.messages import FINAL_STATES
from streamer.subscriber import PublisherSilent, Subscriber

LOOK_INTERVAL = 1.0
"""Seconds between two looks at the mapping's file."""
IDLE_INTERVAL = 0.1
"""Seconds between two updates where the mapping asks for none: a dead tracker has to be noticed all the same."""
LAST_TIMES = 3
"""How often the last frame of DMX is sent: a datagram may be lost, and none comes after it."""


class Sender(Protocol):
    """What brings values to a receiver. Nothing in it waits for the network."""

    def set_up(self, mapping: Mapping) -> None:
        """Prepare for the outputs of a mapping; called again when the mapping has changed.

        Raises
        ------
        MoodringError
            If that cannot be done.
        """

    def send(self, values: dict[str, Value], fresh: bool) -> None:
        """Send values by the output's name, on a new estimate (`fresh`) or because it is time again."""

    def close(self) -> None:
        """Release what is held."""


class Follower:
    """Looks after the mapping's file.

    Parameters
    ----------
    path : Path or None
        The file; None for a mapping that cannot change.
    kind : Kind
        What the mapping is for.
    stream : str or None
        What the command line has instead of the mapping's stream.
    """

    def __init__(self, path: Path | None, kind: Kind, stream: str | None) -> None:
        self._path = path
        self._kind = kind
        self._stream = stream
        self._seen = self._signature()
        self._looked = time.monotonic()

    def changed(self) -> Mapping | None:
        """Return a new mapping if there is one; None when the file is as it was, or it is not time to look.

        Raises
        ------
        MappingError
            If the file has changed and cannot be used; once for each change.
        """
        now = time.monotonic()
        if self._path is None or now - self._looked < LOOK_INTERVAL:
            return None
        self._looked = now
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature
        return with_stream(load_mapping(self._path, self._kind), self._stream)

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def with_stream(mapping: Mapping, stream: str | None) -> Mapping:
    """Return a mapping that follows another stream, if one is given."""
    return mapping if stream is None else replace(mapping, stream=stream)


def run(
    subscriber: Subscriber,
    mapping: Mapping,
    sender: Sender,
    follower: Follower,
    stopped: Callable[[], bool],
    notice: Callable[[str], None],
) -> None:
    """Bring what a publisher says to a receiver until it is to stop.

    Parameters
    ----------
    subscriber : Subscriber
        Hears it.
    mapping : Mapping
        What goes where, at first.
    sender : Sender
        Brings it there; already set up for the mapping.
    follower : Follower
        Gives new mappings.
    stopped : callable
        Whether to stop.
    notice : callable
        Is told, in one line, what the user should know.
    """
    engine = Engine(mapping, time.monotonic())
    due = time.monotonic()
    told = engine.scene
    while not stopped():
        try:
            message = subscriber.receive(max(0.0, due - time.monotonic()))
        except PublisherSilent:
            pass
        else:
            if engine.hear(message, now := time.monotonic()):
                sender.send(engine.values(now), fresh=True)
        now = time.monotonic()
        if now >= due:
            sender.send(engine.values(now), fresh=False)
            interval = 1 / engine.mapping.rate if engine.mapping.rate else IDLE_INTERVAL
            due = max(due + interval, now)  # after a pause nothing is made up for
            _reload(engine, sender, follower, notice)
        if engine.scene != told:
            notice(_scene_words(engine, subscriber))
            told = engine.scene
    _end(engine, sender)


def _reload(engine: Engine, sender: Sender, follower: Follower, notice: Callable[[str], None]) -> None:
    try:
        mapping = follower.changed()
        if mapping is not None:
            sender.set_up(mapping)
    except MappingError as error:
        more = f" (and {len(error.problems) - 1} more: see --check)" if len(error.problems) > 1 else ""
        notice(f"the old mapping stays: {error.problems[0]}{more}")
        return
    except MoodringError as error:
        sender.set_up(engine.mapping)
        notice(f"the old mapping stays: {error}")
        return
    if mapping is not None:
        engine.replace(mapping, time.monotonic())
        notice(f"{mapping.file} has changed: {len(mapping.outputs)} outputs")


def _end(engine: Engine, sender: Sender) -> None:
    now = time.monotonic()
    seconds = engine.end(now)
    if seconds is None:
        return
    interval = 1 / engine.mapping.rate if engine.mapping.rate else IDLE_INTERVAL
    ends = now + seconds
    while time.monotonic() < ends:
        sender.send(engine.values(time.monotonic()), fresh=False)
        time.sleep(interval)
    for _ in range(LAST_TIMES):
        sender.send(engine.values(ends), fresh=False)


def _scene_words(engine: Engine, subscriber: Subscriber) -> str:
    stream = f'stream "{engine.stream}"' if engine.stream else "any stream"
    if engine.scene is None:
        return f"{stream}: music"
    if engine.scene == "silent":
        return f"{stream}: no music"
    status = subscriber.statuses.get(engine.stream or "")
    if status is not None and status.state in FINAL_STATES:
        return f"{stream} has {status.state}"
    return f"nothing comes of {stream} from {subscriber.endpoint}: {subscriber.trouble or 'waiting'}"
