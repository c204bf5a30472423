"""What a shell completes besides subcommands, options and files: devices, endpoints, streams."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable

import click

from model.errors import MoodringError
from streamer.messages import DEFAULT_ENDPOINT, MessageError

_DEVICES_TIMEOUT = 3.0
"""Seconds for the sound system to list its devices; whoever waits for a completion waits no longer."""
_STREAMS_TIMEOUT = 0.5
"""Seconds for a publisher to say what it publishes: it sends the last values to a new subscriber at once."""
_ANOTHER_TIMEOUT = 0.1
"""Seconds after one message in which another one is waited for."""
_SPECIAL = re.compile(r"([^A-Za-z0-9_.,:/@%+=-])")


def complete_devices(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an input device."""
    from streamer.microphone import input_devices

    try:
        names = dict.fromkeys(device.name for device in input_devices(_DEVICES_TIMEOUT))
    except MoodringError:
        return []
    return _beginning(incomplete, names)


def complete_endpoints(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete an endpoint: where moodring publishes if nothing else is said."""
    return _beginning(incomplete, [DEFAULT_ENDPOINT])


def complete_streams(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a stream that is being published at the command's endpoint."""
    from streamer.subscriber import PublisherSilent, Subscriber

    names: set[str] = set()
    deadline = time.monotonic() + _STREAMS_TIMEOUT
    # where an option still waits for its value, click leaves arguments unread
    unread = [word for word in ctx.args if word.startswith(("tcp://", "ipc://"))]
    try:
        with Subscriber(unread[0] if unread else ctx.params.get("endpoint") or DEFAULT_ENDPOINT) as subscriber:
            remaining = _STREAMS_TIMEOUT
            while remaining > 0:
                names.add(subscriber.receive(remaining).stream)
                remaining = min(_ANOTHER_TIMEOUT, deadline - time.monotonic())
    except (MoodringError, MessageError, PublisherSilent):
        pass
    return _beginning(incomplete, sorted(names))


def _beginning(incomplete: str, values: Iterable[str]) -> list[str]:
    matching = [value for value in values if value.casefold().startswith(incomplete.casefold())]
    if _bash_takes_it_as_typed():
        # once for the command line, and once for the `read` of click's script
        return [_SPECIAL.sub(r"\\\\\1", value) for value in matching]
    return matching


def _bash_takes_it_as_typed() -> bool:
    """Tell whether it is bash that asks, for a word that is not in quotation marks."""
    if not any(name.endswith("_COMPLETE") and value == "bash_complete" for name, value in os.environ.items()):
        return False
    words = os.environ.get("COMP_WORDS", "").split("\n")
    place = int(os.environ.get("COMP_CWORD", "0"))
    return not words[place : place + 1] or words[place][:1] not in ("'", '"')
