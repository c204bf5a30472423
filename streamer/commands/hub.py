"""``moodring hub``: many trackers at one endpoint."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from model.errors import MoodringError
from streamer.messages import DEFAULT_ENDPOINT


@click.command()
@click.option(
    "--from",
    "endpoints",
    metavar="ENDPOINT",
    multiple=True,
    help="Where a tracker, a service or another hub publishes. May be given many times.",
)
@click.option(
    "--from-file",
    "listed",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A list of them: one ENDPOINT per line and, after it, the path of its public key if it has one of its own.",
)
@click.option(
    "--publish", metavar="ENDPOINT", default=DEFAULT_ENDPOINT, show_default=True, help="Where subscribers connect."
)
@click.option("--insecure", is_flag=True, help="Allow an endpoint that other machines can reach, unencrypted.")
@click.option(
    "--server-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Encrypt what is published, with this secret key (NAME.key_secret); see `moodring keygen`.",
)
@click.option(
    "--allow-clients",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="With --server-key: whose public keys (NAME.key) are in here may subscribe, and nobody else.",
)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The hub's secret key (NAME.key_secret), for trackers with keys: all of them must have some.",
)
@click.option(
    "--server-public-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The public key (NAME.key) of the trackers that have none of their own in --from-file.",
)
@click.option(
    "--metrics",
    "metrics_port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Serve http://127.0.0.1:PORT/metrics for Prometheus, and /healthz; 0 for a free port.",
)
def hub(
    endpoints: tuple[str, ...],
    listed: Path | None,
    publish: str,
    insecure: bool,
    server_key: Path | None,
    allow_clients: Path | None,
    key: Path | None,
    server_public_key: Path | None,
    metrics_port: int | None,
) -> None:
    """Listen to many trackers and publish all that they send at one endpoint, until Ctrl-C or SIGTERM.

    Trackers that are not there yet, or have gone, are waited for. Each stream has one tracker: of two that use the same
    name the first is heard, until it has been silent for 3 s. Hubs can listen to hubs.

    \b
    Examples:
      moodring hub --from tcp://bar:5588 --from tcp://stage:5588
      moodring hub --from-file trackers.txt --publish tcp://127.0.0.1:5600 --metrics 9100
      moodring hub --from tcp://stage:5588 --key hub.key_secret --server-public-key stage.key \\
          --publish "tcp://*:5588" --server-key hub.key_secret --allow-clients allowed
      moodring watch tcp://HUB:5588 --key lights.key_secret --server-public-key hub.key
    """
    from streamer.commands.options import server_keys
    from streamer.hub.hub import Hub
    from streamer.hub.upstreams import read_upstreams
    from streamer.interruption import interruption

    if metrics_port is not None:
        _require_prometheus()
    upstreams = read_upstreams(endpoints, listed, key, server_public_key)
    keys = server_keys(server_key, allow_clients)
    with ExitStack() as closing, interruption() as interrupted:
        running = closing.enter_context(Hub(upstreams, publish, insecure, keys))
        if metrics_port is not None:
            from streamer.hub.metrics import HubPages

            pages = HubPages(running, metrics_port)
            closing.callback(pages.close)
            click.echo(f"metrics: http://{pages.address}/metrics", err=True)
        publishers = "1 publisher" if len(upstreams) == 1 else f"{len(upstreams)} publishers"
        click.echo(f"publish: {running.endpoint} ({publishers})", err=True)
        while not interrupted.is_set() and running.alive:
            running.join(0.1)
        if running.error is not None:
            raise MoodringError(f"the hub failed: {running.error!r}") from running.error
    if interrupted.hung_up:
        interrupted.raise_if_set()


def _require_prometheus() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MoodringError('--metrics needs prometheus_client: pip install "moodring[serve]"') from error
