"""``moodring keygen``: make a key pair for a publisher or a subscriber."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=".",
    help="An existing folder to write to.  [default: the current one]",
)
def keygen(name: str, output: Path) -> None:
    """Make a key pair: NAME.key, which others may have, and NAME.key_secret, which nobody else may read.

    Publisher and subscribers each need a pair of their own. The publisher gets the subscribers' public keys, in a
    folder, and the subscribers get the publisher's. Nothing is ever overwritten.

    \b
    Examples:
      moodring keygen stage                      for the publisher
      moodring keygen lights                     for a subscriber, best on its own machine
      mkdir allowed && cp lights.key allowed/    let it in, without a restart; remove the file: no more
      moodring listen --publish tcp://0.0.0.0:5588 --server-key stage.key_secret --allow-clients allowed
      moodring watch tcp://HOST:5588 --key lights.key_secret --server-public-key stage.key
    """
    from streamer.key_files import write_key_pair

    public_path, secret_path = write_key_pair(name, output)
    click.echo(f"{public_path}   public: copy it to those who should know {name}")
    click.echo(f"{secret_path}   secret: only for {name} itself")
