"""``moodring bridge``: what a publisher says, to lights, stages and programs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.errors import MoodringError
from streamer.commands.completion import complete_streams
from streamer.commands.options import client_key_options, endpoint_argument, stream_name

if TYPE_CHECKING:
    from streamer.bridges.destinations import Kind
    from streamer.bridges.mapping import Mapping
    from streamer.bridges.running import Sender
    from streamer.keys import ClientKeys


@click.group()
def bridge() -> None:
    """Bring what a publisher says to lights, stages and programs.

    \b
    Examples:
      moodring bridge osc --to 192.168.1.20:9000
      moodring bridge sacn --to 192.168.1.50:5568 --map lights.toml
      moodring bridge midi --to "USB MIDI"
      moodring bridge sacn --check lights.toml       what it would do, before the show
    """


def _bridge_options(
    name: str, to: str | None, metavar: str = "HOST:PORT", help_text: str = "Where it goes."
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what all bridges have in common."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        decorators: list[Callable[..., Any]] = [
            endpoint_argument,
            click.option("--to", metavar=metavar, default=to, show_default=to is not None, help=help_text),
            click.option(
                "--map",
                "map_file",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="What goes where (TOML, see BRIDGES.md); changes take effect at once.  [default: a built-in]",
            ),
            click.option(
                "--check",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="Only say what a mapping does, or everything that is wrong with it.",
            ),
            click.option(
                "--stream",
                metavar="NAME",
                callback=stream_name,
                shell_complete=complete_streams,
                help="Which stream, instead of the mapping's.",
            ),
            client_key_options,
        ]
        for decorator in reversed(decorators):
            command = decorator(command)
        return bridge.command(name)(command)

    return decorate


@_bridge_options("osc", "127.0.0.1:9000")
def osc(to: str, **options: Any) -> None:
    """Send OSC messages by UDP, on every estimate.

    Without --map the addresses are /moodring/valence, /moodring/arousal and so on.
    """

    def sender() -> Sender:
        from streamer.bridges.osc import OSCSender

        return OSCSender(to)

    _run("osc", to, sender, **options)


@_bridge_options("sacn", "127.0.0.1:5568")
@click.option(
    "--priority", type=click.IntRange(0, 200), default=100, show_default=True, help="The highest one is taken."
)
def sacn(to: str, priority: int, **options: Any) -> None:
    """Send DMX universes as sACN (E1.31), 40 times a second and at once on each estimate.

    HOST:PORT is one receiver's; --to multicast sends each universe to its own group.
    """

    def sender() -> Sender:
        from streamer.bridges.sacn import SACNSender

        return SACNSender(to, priority)

    _run("sacn", to, sender, **options)


@_bridge_options("artnet", "127.0.0.1:6454")
def artnet(to: str, **options: Any) -> None:
    """Send DMX universes as Art-Net, 40 times a second and at once on each estimate.

    HOST:PORT is one receiver's, or a broadcast address. Universes count from 0, net and sub-net included.
    """

    def sender() -> Sender:
        from streamer.bridges.artnet import ArtNetSender

        return ArtNetSender(to)

    _run("artnet", to, sender, **options)


@_bridge_options("mqtt", "127.0.0.1:1883")
@click.option(
    "--username", metavar="NAME", help="For a broker that asks; the password is taken from MOODRING_MQTT_PASSWORD, or"
)
@click.option("--password-file", metavar="FILE", type=click.Path(path_type=Path), help="from a file's first line.")
@click.option("--tls", is_flag=True, help="Encrypt; the broker's certificate is checked.")
@click.option(
    "--tls-ca",
    "authorities",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Who may have signed it, instead of the authorities that this system knows; means --tls.",
)
@click.option(
    "--tls-cert",
    "certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The bridge's own, for a broker that asks; means --tls.",
)
@click.option(
    "--tls-key", "private_key", metavar="FILE", type=click.Path(path_type=Path), help="The key of that certificate."
)
@click.option("--insecure", is_flag=True, help="Allow to send a password unencrypted to another machine.")
def mqtt(
    to: str,
    username: str | None,
    password_file: Path | None,
    tls: bool,
    authorities: Path | None,
    certificate: Path | None,
    private_key: Path | None,
    insecure: bool,
    **options: Any,
) -> None:
    """Publish at an MQTT broker, on every estimate.

    Without --map the topics are moodring/valence, moodring/arousal and so on; moodring/available is online or offline.
    """

    def sender() -> Sender:
        from streamer.bridges.mqtt import MQTTSender
        from streamer.bridges.mqtt_access import read_password, tls_context
        from streamer.endpoints import is_loopback

        if username is None and password_file is not None:
            raise MoodringError("--password-file is for a user; give --username, too")
        password = None if username is None else read_password(password_file)
        encrypted = tls or any((authorities, certificate, private_key))
        if password is not None and not (encrypted or insecure or is_loopback(f"tcp://{to}")):
            raise MoodringError(f'--to "{to}": the password would go there unencrypted; give --tls, or --insecure')
        context = tls_context(authorities, certificate, private_key) if encrypted else None
        return MQTTSender(to, username, password, context)

    _run("mqtt", to, sender, **options)


@_bridge_options("websocket", "127.0.0.1:5590")
@click.option(
    "--allow-origin",
    "origins",
    metavar="ORIGIN",
    multiple=True,
    help="Pages of this origin may connect, too, such as https://stage.example.  [default: this machine's only]",
)
@click.option("--insecure", is_flag=True, help="Allow to listen where other machines can connect, unencrypted.")
def websocket(to: str, origins: tuple[str, ...], insecure: bool, **options: Any) -> None:
    """Listen for WebSocket connections at HOST:PORT, and send each a JSON object on every estimate."""

    def sender() -> Sender:
        from streamer.bridges.datagrams import split_address
        from streamer.bridges.websocket import WebSocketSender
        from streamer.endpoints import is_loopback, validate_endpoint

        split_address(to)
        validate_endpoint(f"tcp://{to}")
        if not (insecure or is_loopback(f"tcp://{to}")):
            raise MoodringError(f'--to "{to}" is open to the network, unencrypted; give --insecure if that is meant')
        return WebSocketSender(to, origins)

    _run("websocket", to, sender, **options)


@_bridge_options("midi", None, "NAME", "Which MIDI output port: its name or a part of it.")
@click.option("--virtual", metavar="NAME", help="Offer a port that other programs connect to.  [default: moodring]")
@click.option("--jack", is_flag=True, help="Ports of a JACK server (or PipeWire's) instead of the system's own.")
def midi(to: str | None, virtual: str | None, jack: bool, **options: Any) -> None:
    """Send MIDI control changes, notes and program changes, on every estimate.

    Without --map valence, arousal, loudness and so on are controls 20 to 25 of channel 1, 25 times a second.
    """
    if to is not None and virtual is not None:
        raise MoodringError("--to and --virtual are two ways to send; give one of them")
    offered = virtual or "moodring" if to is None else None

    def sender() -> Sender:
        from streamer.bridges.midi import MIDISender
        from streamer.bridges.midi_port import OutputPort

        return MIDISender(OutputPort(to, offered, jack))

    _run("midi", to or f'its own port "{offered}"', sender, **options)


@_bridge_options("lsl", "moodring", "NAME", "The name of the LSL stream.")
@click.option("--insecure", is_flag=True, help="LSL lets every machine connect, unencrypted; say that this is meant.")
def lsl(to: str, insecure: bool, **options: Any) -> None:
    """Offer a Lab Streaming Layer stream, with a channel for each output."""

    def sender() -> Sender:
        from streamer.bridges.lsl import LSLSender

        if not insecure:
            raise MoodringError("LSL is open to the network, unencrypted; give --insecure if that is meant")
        return LSLSender(to)

    _run("lsl", to, sender, **options)


def _run(
    name: str,
    to: str,
    make_sender: Callable[[], Sender],
    endpoint: str,
    map_file: Path | None,
    check: Path | None,
    stream: str | None,
    keys: ClientKeys | None,
) -> None:
    from streamer.bridges.destinations import KINDS
    from streamer.bridges.running import Follower, run, with_stream
    from streamer.interruption import interruption
    from streamer.subscriber import Subscriber

    kind = KINDS[name]
    if check is not None:
        from streamer.bridges.explain import explain

        click.echo(explain(with_stream(_mapping(check, kind), stream), kind))
        return
    follower = Follower(map_file, kind, stream)
    mapping = with_stream(_mapping(map_file, kind), stream)
    try:
        sender = make_sender()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("model", "streamer"):
            raise
        raise MoodringError(f'moodring bridge {name} needs {kind.package}: pip install "moodring[{name}]"') from error
    with interruption() as interrupted, closing(sender), Subscriber(endpoint, keys=keys) as subscriber:
        sender.set_up(mapping)
        click.echo(f"bridge {name}: {endpoint} to {to}, {len(mapping.outputs)} outputs", err=True)
        run(subscriber, mapping, sender, follower, interrupted.is_set, lambda line: click.echo(line, err=True))
    if interrupted.hung_up:
        interrupted.raise_if_set()


def _mapping(path: Path | None, kind: Kind) -> Mapping:
    from streamer.bridges.mapping_file import MappingError, default_mapping, load_mapping

    try:
        return default_mapping(kind) if path is None else load_mapping(path, kind)
    except MappingError as error:
        for problem in error.problems:
            click.echo(f"moodring: {problem}", err=True)
        raise click.exceptions.Exit(1) from error
