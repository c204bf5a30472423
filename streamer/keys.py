"""The keys of a publisher and of a subscriber, as CURVE, ZeroMQ's encryption and authentication, wants them.

A publisher has a key pair, and a folder with the public keys of those who may subscribe; a subscriber has a key pair,
and the publisher's public key, by which it knows that it talks to the right one. ``moodring keygen`` makes key pairs.
Needs only pyzmq and the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import zmq

from streamer.key_files import KeyFileError, list_public_keys, read_public_key, read_secret_key

ZAP_DOMAIN = b"moodring"
"""Name under which a publisher asks who may come in; libzmq lets everybody in where none is set."""


@dataclass(frozen=True)
class ServerKeys:
    """What a publisher needs to let in only those who belong.

    Attributes
    ----------
    public_key : bytes
        The publisher's public key: 40 characters in Z85.
    secret_key : bytes
        The secret key that belongs to it: 40 characters in Z85.
    allow_clients : Path
        A folder: who has the secret key to one of the public keys in its ``*.key`` files may subscribe. A publisher
        looks there again while it runs.
    server_key : Path or None
        The file of the secret key, at which a publisher looks again while it runs as well; None if it came from none.
    """

    public_key: bytes
    secret_key: bytes = field(repr=False)
    allow_clients: Path
    server_key: Path | None = None

    @classmethod
    def load(cls, server_key: Path, allow_clients: Path | None) -> ServerKeys:
        """Read a publisher's keys.

        Parameters
        ----------
        server_key : Path
            The publisher's secret key, a ``.key_secret`` file that only its owner can read.
        allow_clients : Path or None
            The folder of the clients' public keys. There is no way to let everybody in who knows the publisher's
            public key, so None is refused; an empty folder lets nobody in.

        Returns
        -------
        ServerKeys

        Raises
        ------
        KeyFileError
            If the file is not a secret key or can be read by others, or the folder cannot be read or can be changed by
            everybody.
        """
        pair = read_secret_key(server_key)
        if allow_clients is None:
            raise KeyFileError(
                f'"{server_key}" says who publishes, but not who may subscribe: name a folder of clients\' public keys '
                "as well (--allow-clients); an empty one lets nobody in"
            )
        list_public_keys(allow_clients)
        return cls(pair.public, pair.secret, allow_clients, server_key)

    def apply_to(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket, before it is bound, talk to nobody but clients that a ZAP handler lets in.

        Parameters
        ----------
        socket : zmq.Socket
            Without a handler for `ZAP_DOMAIN` in its context (`streamer.authentication`) it lets nobody in.
        """
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret_key)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


@dataclass(frozen=True)
class ClientKeys:
    """What a subscriber needs to be let in, and to know that it talks to the right publisher.

    Attributes
    ----------
    public_key : bytes
        The subscriber's public key: 40 characters in Z85.
    secret_key : bytes
        The secret key that belongs to it: 40 characters in Z85.
    server_public_key : bytes
        The publisher's public key: 40 characters in Z85.
    """

    public_key: bytes
    secret_key: bytes = field(repr=False)
    server_public_key: bytes

    @classmethod
    def load(cls, key: Path, server_public_key: Path) -> ClientKeys:
        """Read a subscriber's keys.

        Parameters
        ----------
        key : Path
            The subscriber's secret key, a ``.key_secret`` file that only its owner can read.
        server_public_key : Path
            The publisher's public key, a ``.key`` file.

        Returns
        -------
        ClientKeys

        Raises
        ------
        KeyFileError
            If one of them is not such a file, or the secret key can be read by others.
        """
        pair = read_secret_key(key)
        return cls(pair.public, pair.secret, read_public_key(server_public_key))

    def apply_to(self, socket: zmq.Socket[bytes]) -> None:
        """Let a socket, before it is connected, talk to nobody but the publisher that has the server's secret key.

        Parameters
        ----------
        socket : zmq.Socket
            Not connected yet.
        """
        socket.setsockopt(zmq.CURVE_SERVERKEY, self.server_public_key)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public_key)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self.secret_key)
