"""Which publishers a hub listens to, and how it knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import MoodringError
from streamer.endpoints import EndpointError, validate_endpoint
from streamer.keys import ClientKeys

MAXIMUM_UPSTREAMS = 1536
"""Publishers of one hub: each takes a descriptor, as each subscriber does, and a process has 4096; chain hubs for
more."""
_LARGEST_LIST = 1 << 20
"""Bytes of a list of publishers that are read, five times what the most of them take."""


@dataclass(frozen=True)
class Upstream:
    """A publisher to listen to.

    Attributes
    ----------
    endpoint : str
        Where it is bound.
    keys : ClientKeys or None
        Who is asking, and who is expected to answer; None where nothing is encrypted.
    """

    endpoint: str
    keys: ClientKeys | None = None


def read_upstreams(
    endpoints: Sequence[str], listed: Path | None, key: Path | None, server_public_key: Path | None
) -> list[Upstream]:
    """Put together what the command line and a list say.

    Parameters
    ----------
    endpoints : sequence of str
        Endpoints.
    listed : Path or None
        A text file: an endpoint per line and, if it has a key of its own, the path of its public key, relative to the
        file's folder; ``#`` begins a comment.
    key : Path or None
        The hub's secret key; with it, every publisher must have a public key.
    server_public_key : Path or None
        The public key of the publishers that have none of their own in the list.

    Returns
    -------
    list of Upstream
        In their order.

    Raises
    ------
    MoodringError
        If there is none, one is named twice or malformed, keys are missing, or a file cannot be read.
    """
    named = [(endpoint, server_public_key, "") for endpoint in endpoints]
    if listed is not None:
        named += [(endpoint, own or server_public_key, where) for endpoint, own, where in _lines(listed)]
    if not named:
        raise MoodringError("there is nobody to listen to: name a publisher with --from ENDPOINT, or --from-file FILE")
    if len(named) > MAXIMUM_UPSTREAMS:
        raise MoodringError(
            f"{len(named)} publishers are more than the {MAXIMUM_UPSTREAMS} that a hub listens to; chain hubs"
        )
    upstreams: dict[str, Upstream] = {}
    for endpoint, public_key, where in named:
        if endpoint in upstreams:
            raise MoodringError(f"{where}{endpoint} is named twice; leave one out")
        try:
            validate_endpoint(endpoint)
        except EndpointError as error:
            raise EndpointError(f"{where}{error}") from error
        if endpoint.startswith("tcp://") and (endpoint.endswith((":*", ":0")) or endpoint.startswith("tcp://*:")):
            raise EndpointError(f"{where}{endpoint} is nowhere to connect to; give the publisher's host and port")
        if key is None and public_key is not None:
            raise MoodringError(
                f"{where}{endpoint} has a public key, {public_key}, but the hub has none; give its own (--key)"
            )
        if key is not None and public_key is None:
            raise MoodringError(
                f"{where}{endpoint} has no public key to know it by: give --server-public-key FILE, or the file's path "
                "after the endpoint in the list; publishers without keys need a hub of their own, without --key"
            )
        keys = ClientKeys.load(key, public_key) if key is not None and public_key is not None else None
        upstreams[endpoint] = Upstream(endpoint, keys)
    return list(upstreams.values())


def _lines(path: Path) -> Iterator[tuple[str, Path | None, str]]:
    """Give endpoint, public key and where that is said."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_LIST + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise MoodringError(f'cannot read "{path}": {error.strerror or error}') from error
    except UnicodeDecodeError as error:
        raise MoodringError(f'"{path}" is no text file; write one endpoint per line') from error
    if len(content) > _LARGEST_LIST:
        raise MoodringError(f'"{path}" is larger than {_LARGEST_LIST} bytes; is it a list of endpoints?')
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=1)
        if words:
            own = path.parent / words[1].strip() if len(words) > 1 else None
            yield words[0], own, f'"{path}", line {number}: '
