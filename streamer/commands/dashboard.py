"""``moodring dashboard``: a web page that shows what a publisher sends."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from model.errors import MoodringError
from streamer.commands.options import client_key_options, endpoint_argument
from streamer.dashboard import DEFAULT_PORT

if TYPE_CHECKING:
    from streamer.keys import ClientKeys


@click.command()
@endpoint_argument
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Where the page is served. What other machines can reach needs the token in the link.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="0 for a free one.",
)
@client_key_options
def dashboard(endpoint: str, host: str, port: int, keys: ClientKeys | None) -> None:
    """Show what the publisher at ENDPOINT sends on a web page, until Ctrl-C or SIGTERM.

    Waits for a publisher that is not there yet, and for one that went away. The page keeps the last ten minutes.

    \b
    Examples:
      moodring dashboard
      moodring dashboard tcp://stage:5588 --key lights.key_secret --server-public-key stage.key
      moodring dashboard --host 0.0.0.0          for a phone: open the link that is printed
    """
    from streamer.dashboard.listener import Listener
    from streamer.dashboard.server import DashboardServer
    from streamer.interruption import interruption

    with ExitStack() as closing, interruption() as interrupted:
        listener = Listener(endpoint, keys)
        closing.callback(listener.close)
        server = closing.enter_context(DashboardServer(listener, endpoint, host, port))
        click.echo(f"dashboard: {server.link} ({endpoint})", err=True)
        if not server.on_loopback:
            click.echo("who has this link sees the page; it is not encrypted on its way", err=True)
        while not interrupted.is_set() and server.alive and listener.error is None:
            server.join(0.1)
        if listener.error is not None:
            raise MoodringError(f"the dashboard failed: {listener.error!r}") from listener.error
        if not (interrupted.is_set() or server.alive):
            raise MoodringError("the dashboard's web server has stopped; start it again")
    if interrupted.hung_up:
        interrupted.raise_if_set()
