"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from model.loading import RUNTIMES, ModelChoice, Runtime
from streamer.commands.completion import complete_endpoints
from streamer.messages import DEFAULT_ENDPOINT, MessageError, validate_stream_name

if TYPE_CHECKING:
    from streamer.keys import ClientKeys, ServerKeys

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
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    rate : float
        Estimates per second.
    quiet, json : bool
        Show nothing, or one JSON object per estimate, instead of the live view.
    insecure : bool
        Publish to other machines without encryption.
    keys : ServerKeys or None
        The publisher's keys; None to publish without.
    record : Path or None
        Where to record; None to record nothing.
    """

    publish: str
    stream: str | None
    model: ModelChoice
    lag: float
    rate: float
    quiet: bool
    json: bool
    insecure: bool
    keys: ServerKeys | None
    record: Path | None


def stream_name(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check a stream name, as a click callback."""
    try:
        return None if value is None else validate_stream_name(value)
    except MessageError as error:
        raise click.BadParameter(str(error)) from error


def endpoint_argument(command: _F) -> _F:
    """Add the argument ``endpoint`` to a command that subscribes."""
    return click.argument("endpoint", default=DEFAULT_ENDPOINT, shell_complete=complete_endpoints)(command)


def model_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--model`` and ``--runtime`` to a command, which gets a `ModelChoice` as its argument ``model``."""

    @wraps(command)
    def wrapper(*arguments: Any, model: str | None, runtime: Runtime | None, **others: Any) -> None:
        command(*arguments, model=ModelChoice(model, runtime), **others)

    decorators = [
        click.option(
            "--model",
            "model",
            metavar="MODEL",
            type=click.Path(dir_okay=True),
            help="default or large (bundled; large needs torch and `pip install --no-deps musicnn`), or what `moodring "
            "train` or `moodring export` wrote.  [default: default]",
        ),
        click.option(
            "--runtime",
            type=click.Choice(RUNTIMES),
            help="What computes the model.  [default: onnx for the bundled default and .onnx files, torch for others]",
        ),
    ]
    for decorator in reversed(decorators):
        wrapper = decorator(wrapper)
    return wrapper


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


def client_key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--key`` and ``--server-public-key`` to a command that subscribes.

    The command gets `streamer.keys.ClientKeys`, or None, as its argument ``keys``.
    """

    @wraps(command)
    def wrapper(key: Path | None, server_public_key: Path | None, **arguments: Any) -> None:
        command(keys=_client_keys(key, server_public_key), **arguments)

    decorators = [
        click.option(
            "--key",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="This subscriber's secret key (NAME.key_secret), for a publisher with keys; see `moodring keygen`.",
        ),
        click.option(
            "--server-public-key",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="The publisher's public key (NAME.key): nobody else is listened to.",
        ),
    ]
    for decorator in reversed(decorators):
        wrapper = decorator(wrapper)
    return wrapper


def _client_keys(key: Path | None, server_public_key: Path | None) -> ClientKeys | None:
    if key is None and server_public_key is None:
        return None
    if key is None or server_public_key is None:
        raise click.UsageError(
            "--key and --server-public-key go together: who is asking, and who is expected to answer."
        )
    from streamer.keys import ClientKeys

    return ClientKeys.load(key, server_public_key)


def server_keys(server_key: Path | None, allow_clients: Path | None) -> ServerKeys | None:
    """Read the keys that ``--server-key`` and ``--allow-clients`` name; None without them."""
    if server_key is None:
        if allow_clients is not None:
            raise click.UsageError("--allow-clients needs --server-key FILE, the publisher's own secret key.")
        return None
    from streamer.keys import ServerKeys

    return ServerKeys.load(server_key, allow_clients)


def publish_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--publish``, ``--insecure``, ``--server-key`` and ``--allow-clients`` to a command.

    The command gets `streamer.keys.ServerKeys`, or None, as its argument ``keys``, beside ``publish`` and ``insecure``.
    """

    @wraps(command)
    def wrapper(server_key: Path | None, allow_clients: Path | None, **arguments: Any) -> None:
        command(keys=server_keys(server_key, allow_clients), **arguments)

    decorators: list[Callable[..., Any]] = [
        click.option(
            "--publish",
            metavar="ENDPOINT",
            default=DEFAULT_ENDPOINT,
            show_default=True,
            help="Where subscribers connect.",
        ),
        click.option("--insecure", is_flag=True, help="Allow an endpoint that other machines can reach, unencrypted."),
        click.option(
            "--server-key",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Encrypt, with this secret key (NAME.key_secret); see `moodring keygen`.",
        ),
        click.option(
            "--allow-clients",
            metavar="FOLDER",
            type=click.Path(path_type=Path),
            help="With --server-key: whose public keys (NAME.key) are in here may subscribe, and nobody else. Changes "
            "take effect at once.",
        ),
    ]
    for decorator in reversed(decorators):
        wrapper = decorator(wrapper)
    return wrapper


def live_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `LiveOptions` to a command, which gets them as its first argument."""

    @wraps(command)
    def wrapper(**arguments: Any) -> None:
        live = LiveOptions(**{field.name: arguments.pop(field.name) for field in fields(LiveOptions)})
        command(live, **arguments)

    decorators: list[Callable[..., Any]] = [
        publish_options,
        click.option("--stream", metavar="NAME", callback=stream_name, help="Name of the stream in messages."),
        model_option,
        lag_option,
        click.option(
            "--rate",
            metavar="HZ",
            type=float,
            default=2.0,
            show_default=True,
            help="Estimates a second: 2, 6, 10, 14, 18 or 30 with the bundled models. More than 2 come from frames of "
            "500 ms that overlap.",
        ),
        click.option("--quiet", is_flag=True, help="Only publish; show nothing."),
        click.option("--json", is_flag=True, help="Print one JSON object per estimate instead of the live view."),
        click.option(
            "--record",
            metavar="FOLDER",
            type=click.Path(path_type=Path),
            help="Keep what is heard (FLAC) and what is published, in a new folder below this one; see `moodring "
            "replay`.",
        ),
    ]
    for decorator in reversed(decorators):
        wrapper = decorator(wrapper)
    return wrapper
