"""``moodring listen``: a microphone."""

from __future__ import annotations

import click

from streamer.commands.completion import complete_devices
from streamer.commands.options import LiveOptions, live_options


@click.command()
@click.option(
    "--device",
    metavar="NAME",
    shell_complete=complete_devices,
    help="The input device's name, or a part of it that no other has.  [default: the system's default input]",
)
@live_options
def listen(live: LiveOptions, device: str | None) -> None:
    """Track a microphone or another input device, and publish what is estimated, until Ctrl-C.

    \b
    Examples:
      moodring listen
      moodring listen --device "USB Audio"
      moodring listen --device line --stream stage.left --publish tcp://127.0.0.1:5600
      moodring listen --publish tcp://0.0.0.0:5588 --server-key stage.key_secret --allow-clients allowed
    """
    from streamer.commands.live import run_live
    from streamer.microphone import Microphone, find_input_device

    chosen = find_input_device(device)

    def open_microphone() -> Microphone:
        microphone = Microphone(chosen)
        click.echo(
            f"moodring: listening to {microphone.name} ({chosen.host_api}) "
            f"at {microphone.sample_rate} Hz, {microphone.channels} channel(s)",
            err=True,
        )
        return microphone

    run_live(live, open_microphone, "microphone", paced=False)
