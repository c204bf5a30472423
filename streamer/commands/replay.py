"""``moodring replay``: what was recorded, once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamer.commands.options import publish_options

if TYPE_CHECKING:
    from streamer.keys import ServerKeys


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--speed",
    metavar="X",
    type=click.FloatRange(min=0, min_open=True),
    help="So many times as fast as it was.  [default: 1]",
)
@click.option("--fast", is_flag=True, help="As fast as subscribers can read, 1000 messages a second.")
@click.option("--loop", is_flag=True, help="Begin again at the end; each time is a new run.")
@publish_options
def replay(
    folder: Path,
    speed: float | None,
    fast: bool,
    loop: bool,
    publish: str,
    insecure: bool,
    keys: ServerKeys | None,
) -> None:
    """Publish what is in a recording again, with the timing that it had, until its end or Ctrl-C.

    Subscribers get the same estimates, with the same positions and sequence numbers, as if the music were played now;
    nothing is played, and nothing is computed. FOLDER is what `moodring listen --record` or `stream --record` made, or
    what `moodring watch --json` printed.

    \b
    Examples:
      moodring listen --record recordings
      moodring replay recordings/microphone-20261124T200000Z
      moodring replay recordings/microphone-20261124T200000Z --loop     and set up the lights meanwhile
      moodring replay recordings/microphone-20261124T200000Z --speed 10
      moodring watch --json > mood.jsonl; moodring replay mood.jsonl
    """
    from streamer.interruption import interruption
    from streamer.publisher import Publisher
    from streamer.recording.folder import find_messages
    from streamer.recording.lines import MessageReader
    from streamer.recording.replay import Replay

    if fast and (loop or speed is not None):
        raise click.UsageError("--fast goes neither with --speed nor with --loop.")
    messages = MessageReader(find_messages(folder))
    with interruption() as interrupted, Publisher(publish, insecure, keys) as publisher:
        click.echo(f'moodring: replaying "{messages.path}" at {publisher.endpoint}', err=True)
        played = Replay(messages, publisher, None if fast else speed or 1.0, interrupted)
        played.play()
        while loop and not interrupted.is_set():
            played.play()
    if interrupted.hung_up:
        interrupted.raise_if_set()
    click.echo(f"moodring: {played.sent} estimates were replayed", err=True)
