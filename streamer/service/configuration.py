"""The configuration of ``moodring serve``: a TOML file, of which every error is reported at once, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from model.bundled import BUNDLED
from model.errors import MoodringError
from model.loading import RUNTIMES, ModelChoice, Runtime
from model.toml_text import has_parser, parse_toml
from streamer.endpoints import EndpointError, is_loopback, validate_endpoint
from streamer.messages import DEFAULT_ENDPOINT, MessageError, validate_stream_name
from streamer.service.addresses import LOCAL_ADDRESS, Address, guard, local_address
from streamer.service.inputs import KINDS, Input
from streamer.service.tables import Findings, Table, boolean, one_of, path_below, seconds, show_value, text
from streamer.service.tls_keys import tls_files
from streamer.tls import TLSFiles

DEFAULT_HTTP = "127.0.0.1:5589"
MAXIMUM_BYTES = 1 << 20
"""A larger file is not read; thousands of streams fit."""


class ConfigurationError(MoodringError):
    """A configuration cannot be used.

    Attributes
    ----------
    problems : tuple of str
        One line for each thing that is wrong: file, key, value, and what would be valid.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class StreamConfiguration:
    """A stream.

    Attributes
    ----------
    name : str
        As in topics.
    input : Input
        What is heard.
    required : bool
        Whether the service is unhealthy without it.
    """

    name: str
    input: Input
    required: bool


@dataclass(frozen=True)
class Process:
    """What is the same for all streams, and cannot be changed without a restart.

    Attributes
    ----------
    model : ModelChoice
        Which model, in which runtime.
    lag : float
        Seconds to look back.
    rate : float
        Estimates per second of each stream.
    endpoint : str
        Where to publish.
    insecure : bool
        Publish to other machines without encryption.
    server_key, allow_clients : Path or None
        The publisher's secret key, and the folder of its clients' public keys.
    http : Address or None
        Where health and metrics are served.
    http_tls : TLSFiles or None
        Who may ask there; None for everybody, without encryption.
    """

    model: ModelChoice
    lag: float
    rate: float
    endpoint: str
    insecure: bool
    server_key: Path | None
    allow_clients: Path | None
    http: Address | None
    http_tls: TLSFiles | None


@dataclass(frozen=True)
class Configuration:
    """A valid configuration.

    Attributes
    ----------
    path : Path
        Where it was read from.
    process : Process
        What is the same for all streams.
    streams : dict of str to StreamConfiguration
        By name.
    """

    path: Path
    process: Process
    streams: dict[str, StreamConfiguration]


def load_configuration(path: str | Path) -> Configuration:
    """Read and check a configuration. Nothing that it names is opened.

    Parameters
    ----------
    path : str or Path
        A TOML file; what is relative in it is relative to its folder.

    Returns
    -------
    Configuration

    Raises
    ------
    ConfigurationError
        If it cannot be read, or anything in it is not valid.
    """
    path = Path(path)
    return check_configuration(_read(path, str(path)), path)


def check_configuration(content: Mapping[str, Any], path: Path) -> Configuration:
    """Check what was read.

    Parameters
    ----------
    content : mapping
        As ``tomllib`` has it.
    path : Path
        Where it was read from.

    Returns
    -------
    Configuration

    Raises
    ------
    ConfigurationError
        If anything in it is not valid.
    """
    findings = Findings(str(path))
    root = Table(findings, content)
    folder = path.absolute().parent
    process = _process(root, folder)
    tables = root.tables("streams", "at least one stream: a table [streams.NAME]")
    streams = [_stream(name, table, folder) for name, table in tables.items()]
    root.finish("a configuration")
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return Configuration(path, process, {stream.name: stream for stream in streams if stream is not None})


def _read(path: Path, file: str) -> Mapping[str, Any]:
    if not has_parser():
        raise ConfigurationError(['reading TOML on Python 3.10 needs tomli: pip install "moodring[serve]"'])
    try:
        with path.open("rb") as opened:
            data = opened.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{file}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigurationError([f"{show_value(file)}: cannot be read: {error}"]) from error
    if len(data) > MAXIMUM_BYTES:
        raise ConfigurationError([f"{file}: is larger than {MAXIMUM_BYTES} bytes, and not a configuration"])
    try:
        return parse_toml(data)
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{file}: is not TOML: byte {error.start} is not UTF-8"]) from error
    except ValueError as error:
        reason = show_value(str(error)).strip('"')
        raise ConfigurationError([f"{file}: is not TOML: {reason}"]) from error


def _process(root: Table, folder: Path) -> Process:
    model = root.take("model", text, "default, large or the path of a model's file", None)
    runtime = root.take("runtime", one_of(*RUNTIMES), " or ".join(RUNTIMES), None)
    lag = root.take("lag", seconds, "seconds, such as 0.0 or 2.5", 0.0)
    rate = root.take("rate", seconds, "estimates a second, such as 2 or 10", 2.0)
    publish = root.table("publish")
    endpoint = publish.take(
        "endpoint", _endpoint, "tcp://HOST:PORT, such as tcp://127.0.0.1:5588, or ipc://PATH", DEFAULT_ENDPOINT
    )
    insecure = publish.take("insecure", boolean, "true or false", False)
    server_key = publish.take("server_key", path_below(folder), "the path of a .key_secret file", None)
    allow_clients = publish.take(
        "allow_clients", path_below(folder), "the path of a folder of clients' public keys", None
    )
    if "server_key" in publish:
        publish.require("allow_clients", "the folder of the public keys of those who may subscribe")
    if "allow_clients" in publish:
        publish.require("server_key", "the publisher's secret key, which moodring keygen makes")
    if not (insecure or server_key or is_loopback(endpoint)):
        publish.complain(
            "endpoint",
            f"= {show_value(endpoint)} is open to the network, unencrypted; give publish.server_key and "
            "publish.allow_clients, or an endpoint on 127.0.0.1, or publish.insecure = true",
        )
    if not endpoint.endswith((":*", ":0")):
        publish.claim("endpoint", endpoint)
    publish.finish("[publish]")
    http = root.table("http")
    enabled = http.take("enabled", boolean, "true or false", True)
    listen = http.take("listen", local_address, LOCAL_ADDRESS, local_address(DEFAULT_HTTP))
    open_to_others = http.take("insecure", boolean, "true or false", False)
    http_tls = tls_files(http, folder)
    if enabled:
        guard(http, "listen", listen, open_to_others or http_tls is not None)
    http.finish("[http]")
    if model is not None and model not in BUNDLED:
        model = str(folder / model)
    http_address = listen if enabled else None
    return Process(
        ModelChoice(model, cast("Runtime | None", runtime)),
        lag,
        rate,
        endpoint,
        insecure,
        server_key,
        allow_clients,
        http_address,
        http_tls if enabled else None,
    )


def _stream(name: str, table: Table, folder: Path) -> StreamConfiguration | None:
    try:
        validate_stream_name(name)
    except MessageError:
        table.complain("", 'is not a name of a stream; give 1 to 100 letters, digits, ".", "_" and "-"')
    valid = f"one of {', '.join(KINDS)}"
    kind = table.take("type", one_of(*KINDS), valid, None)
    table.require("type", valid)
    if kind is None:
        return None
    required = table.take("required", boolean, "true or false", True)
    heard = KINDS[kind](table, folder)
    table.finish(f"a stream of type {kind}")
    return None if heard is None else StreamConfiguration(name, heard, required)


def _endpoint(value: Any) -> str:
    try:
        validate_endpoint(text(value))
    except EndpointError as error:
        raise ValueError from error
    return str(value)
