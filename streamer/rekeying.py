"""Gives a publisher that runs another key of its own, when the file that it came from holds another.

libzmq reads a key when an endpoint is bound, and unbinding would end every connection that was accepted there. So the
endpoint is bound a second time, on a duplicate of the socket that listens, with the new key; and the descriptor by
which the first listener accepts is made to lead elsewhere, to a socket that nobody can reach. Who is connected stays
connected to the first listener, and whoever connects now meets the second.

The kernel goes on telling libzmq that somebody knocks at the first descriptor, since what it watches is the socket
behind it, which is still open (epoll(7), question 6); accepting there then finds nobody. For the same reason the
descriptor has to lead back before libzmq stops watching it, as `Rekeying.close` sees to.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from pathlib import Path

import zmq

from streamer.connections import Connections
from streamer.key_files import KeyFileError, read_secret_key
from streamer.keys import ServerKeys
from streamer.limited_log import LimitedLog

MAXIMUM_CHANGES = 64
"""Keys after the first; each leaves a descriptor, and a listener that is asked in vain whenever somebody connects."""
CAN_CHANGE = sys.platform == "linux"
"""Whether listeners can be exchanged: other systems forget what they watch as soon as its descriptor leads elsewhere,
and libzmq would end the process when it stops watching."""

_log = logging.getLogger("moodring.keys")


class Rekeying:
    """Looks at the file of a publisher's key again and again. Everything is for the socket's thread.

    A file that cannot be read, is not a secret key or can be read by others is refused with a line in the log, and the
    key stays as it was.

    Parameters
    ----------
    publisher : zmq.Socket
        Bound, with `keys`.
    endpoint : str
        Where.
    keys : ServerKeys
        Without a file there is nothing to look at.
    connections : Connections
        Of that socket; they know by which descriptor it listens.
    """

    def __init__(self, publisher: zmq.Socket[bytes], endpoint: str, keys: ServerKeys, connections: Connections) -> None:
        self._publisher = publisher
        self._endpoint = endpoint
        self._file: Path | None = keys.server_key
        self._secret = keys.secret_key
        self._connections = connections
        self._replaced: list[int] = []
        self._nobody: socket.socket | None = None
        self._warnings = LimitedLog(_log)

    def refresh(self) -> None:
        """Look at the file; if it holds another key, whoever connects from now on meets that one."""
        if self._file is None:
            return
        try:
            secret = read_secret_key(self._file).secret
        except KeyFileError as error:
            self._warnings.warning(str(error), f"{error}; the publisher's key stays as it was")
            return
        if secret == self._secret:
            return
        if not CAN_CHANGE or len(self._replaced) >= MAXIMUM_CHANGES:
            why = f"it has changed {MAXIMUM_CHANGES} times" if CAN_CHANGE else "this system cannot change it meanwhile"
            message = f'restart the publisher to use the new key in "{self._file}": {why}'
            self._warnings.warning(message, message)
            return
        try:
            self._listen_with(secret)
        except (OSError, zmq.ZMQError) as error:
            reason = f'cannot use the new key in "{self._file}" yet: {error.strerror or error}'
            self._warnings.warning(reason, reason)
            return
        self._secret = secret
        _log.info('whoever connects now meets the new key in "%s"', self._file)

    def close(self) -> None:
        """Let all descriptors lead back; the socket must be closed next, before its thread does anything else."""
        listener = self._connections.listener
        if listener is not None:
            for descriptor in self._replaced:
                os.dup2(listener, descriptor, inheritable=False)
        self._replaced.clear()
        if self._nobody is not None:
            self._nobody.close()

    def _listen_with(self, secret: bytes) -> None:
        self._connections.watch()
        before = self._connections.listener
        if before is None:
            raise OSError("libzmq does not say where it listens")
        if self._nobody is None:
            self._nobody = _unreachable()
        now = os.dup(before)
        # first, so that nobody is let in by the old key once this has begun; who knocks meanwhile waits
        os.dup2(self._nobody.fileno(), before, inheritable=False)
        try:
            self._publisher.setsockopt(zmq.CURVE_SECRETKEY, secret)
            self._publisher.setsockopt(zmq.USE_FD, now)
            self._publisher.bind(self._endpoint)
        except BaseException:
            self._publisher.setsockopt(zmq.CURVE_SECRETKEY, self._secret)
            os.dup2(now, before, inheritable=False)
            os.close(now)
            raise
        self._replaced.append(before)
        self._connections.watch()


def _unreachable() -> socket.socket:
    """Listen where nobody can connect: at a path that is gone."""
    nobody = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        nobody.setblocking(False)
        with tempfile.TemporaryDirectory() as folder:
            nobody.bind(os.path.join(folder, "nobody"))
            nobody.listen(1)
    except BaseException:
        nobody.close()
        raise
    return nobody
