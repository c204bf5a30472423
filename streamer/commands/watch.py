"""``moodring watch``: subscribe and show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streamer.commands.completion import complete_streams
from streamer.commands.options import client_key_options, endpoint_argument, stream_name

if TYPE_CHECKING:
    from streamer.keys import ClientKeys


@click.command()
@endpoint_argument
@click.option(
    "--stream",
    metavar="NAME",
    callback=stream_name,
    shell_complete=complete_streams,
    help="Only this stream.  [default: all]",
)
@click.option("--json", is_flag=True, help="Print one JSON object per estimate instead of the live view.")
@click.option("--until-ended", is_flag=True, help="Stop when every stream heard of has ended.")
@client_key_options
def watch(endpoint: str, stream: str | None, json: bool, until_ended: bool, keys: ClientKeys | None) -> None:
    """Subscribe to the publisher at ENDPOINT and show what it sends, until Ctrl-C or SIGTERM.

    Waits for a publisher that is not there yet, and for one that went away.

    \b
    Examples:
      moodring watch
      moodring watch tcp://127.0.0.1:5600 --stream stage.left
      moodring watch --json | jq '[.position, .valence, .arousal]'
      moodring watch tcp://HOST:5588 --key lights.key_secret --server-public-key stage.key
    """
    import time

    from streamer.display import make_display
    from streamer.interruption import interruption, terminal_is_gone
    from streamer.subscriber import PublisherSilent, Subscriber

    with interruption() as interrupted, Subscriber(endpoint, stream, until_ended=until_ended, keys=keys) as subscriber:
        try:
            with make_display(endpoint, "moodring", quiet=False, json=json) as display:
                heard = time.monotonic()
                silent = False
                while not (interrupted.is_set() or (until_ended and subscriber.all_ended)):
                    try:
                        message = subscriber.receive(timeout=0.1)
                    except PublisherSilent:
                        if time.monotonic() - heard > subscriber.timeout and not silent:
                            silent = True
                            reason = subscriber.trouble or "waiting for a publisher"
                            display.notice(f"nothing comes from {endpoint}: {reason}")
                    else:
                        heard = time.monotonic()
                        if silent:
                            silent = False
                            display.notice(None)
                        display.show(message)
                    display.refresh()
        except OSError as error:
            if not (interrupted.is_set() or terminal_is_gone(error)):
                raise
            interrupted.hang_up()
    if interrupted.hung_up:
        interrupted.raise_if_set()
