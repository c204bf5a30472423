"""``moodring devices``: what can be listened to."""

from __future__ import annotations

import click


@click.command()
def devices() -> None:
    """List the devices that can be listened to; ``*`` marks the default.

    \b
    Example:
      moodring devices
    """
    from rich.console import Console
    from rich.table import Table

    from streamer.microphone import find_input_device, input_devices

    found = input_devices()
    if not found:
        find_input_device()
    table = Table(box=None, pad_edge=False)
    for heading in ("", "name", "host API"):
        table.add_column(heading)
    for heading in ("channels", "Hz"):
        table.add_column(heading, justify="right")
    for device in found:
        table.add_row(
            "*" if device.default else "", device.name, device.host_api, str(device.channels), str(device.sample_rate)
        )
    Console().print(table)
