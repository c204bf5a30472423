"""``moodring serve``: several streams as a service."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from model.errors import MoodringError

if TYPE_CHECKING:
    from streamer.service.configuration import Configuration


@click.command()
@click.argument("configuration", metavar="CONFIG.toml", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only check the configuration, and say what would run.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line per event on standard error: key=value pairs, or a JSON object.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The lowest level that is logged.",
)
@click.pass_context
def serve(
    ctx: click.Context, configuration: Path, check: bool, log_format: Literal["text", "json"], log_level: str
) -> None:
    """Track several streams (microphones, files in a loop, pipes, PCM over TCP) and publish them at one endpoint.

    SIGHUP reads the configuration again; SIGTERM and Ctrl-C end everything in order. streamer/SERVICE.md describes the
    configuration.

    \b
    Examples:
      moodring serve moodring.toml --check
      moodring serve moodring.toml
      curl http://127.0.0.1:5589/healthz
    """
    from streamer.service.configuration import ConfigurationError, load_configuration

    try:
        valid = load_configuration(configuration)
        if valid.process.http is not None or not check:
            _require_prometheus()
        if check:
            _check(valid)
            return
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(f"moodring: {problem}", err=True)
        ctx.exit(1)
    from streamer.service.process import run_service

    if not run_service(valid, log_format, logging.getLevelName(log_level.upper())):
        ctx.exit(1)


def _require_prometheus() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MoodringError('moodring serve needs prometheus_client: pip install "moodring[serve]"') from error


def _check(configuration: Configuration) -> None:
    from streamer.service.certificates import Certificates
    from streamer.service.service import load_keys, load_model

    process = configuration.process
    checkpoint = load_model(process)
    keys = load_keys(process)
    Certificates(configuration)
    encryption = "not encrypted" if keys is None else f"encrypted, for the keys in {keys.allow_clients}"
    click.echo(f"publish: {process.endpoint} ({encryption})")
    scheme = "http" if process.http_tls is None else "https"
    click.echo(f"http: {'none' if process.http is None else f'{scheme}://{process.http}/healthz and /metrics'}")
    click.echo(f"model: {checkpoint.name}, lag {process.lag:g} s")
    for name, stream in configuration.streams.items():
        click.echo(f"stream {name}: {stream.input}{'' if stream.required else ', not required'}")
