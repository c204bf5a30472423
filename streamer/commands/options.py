"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from streamer.messages import DEFAULT_ENDPOINT, MessageError, validate_stream_name

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class LiveOptions:
    """What `listen`, `stream` and `demo` have in common.

    Attributes
    ----------
    publish : str
        Endpoint to bind.
    stream : str or None
        The stream's name; the source's own if None.
    model : str or None
        Path of a checkpoint; the bundled one if None.
    lag : float
        Seconds to look back.
    quiet, json : bool
        Show nothing, or one JSON object per estimate, instead of the live view.
    insecure : bool
        Publish to other machines without encryption.
    """

    publish: str
    stream: str | None
    model: str | None
    lag: float
    quiet: bool
    json: bool
    insecure: bool


def stream_name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check a stream name, as a click callback."""
    try:
        return None if value is None else validate_stream_name(value)
    except MessageError as error:
        raise click.BadParameter(str(error)) from error


def model_option(command: _F) -> _F:
    """Add ``--model``."""
    return click.option(
        "--model",
        "model",
        metavar="CHECKPOINT",
        type=click.Path(dir_okay=True),
        help="default or large (bundled; large needs `pip install --no-deps musicnn`), or a checkpoint that `moodring "
        "train` made.  [default: default]",
    )(command)


def lag_option(command: _F) -> _F:
    """Add ``--lag``."""
    return click.option(
        "--lag",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        help="Describe the moment that lies so far back.",
    )(command)


def live_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `LiveOptions` to a command, which gets them as its first argument."""

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        live = LiveOptions(**{field.name: arguments.pop(field.name) for field in fields(LiveOptions)})
        command(live, **arguments)

    decorators = [
        click.option(
            "--publish",
            metavar="ENDPOINT",
            default=DEFAULT_ENDPOINT,
            show_default=True,
            help="Where subscribers connect.",
        ),
        click.option("--stream", metavar="NAME", callback=stream_name, help="Name of the stream in messages."),
        model_option,
        lag_option,
        click.option("--quiet", is_flag=True, help="Only publish; show nothing."),
        click.option("--json", is_flag=True, help="Print one JSON object per estimate instead of the live view."),
        click.option("--insecure", is_flag=True, help="Allow an endpoint that other machines can reach, unencrypted."),
    ]
    for decorator in reversed(decorators):
        wrapper = decorator(wrapper)
    return wrapper
