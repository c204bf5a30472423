"""The XPUB socket at which subscribers are served, and all that looks after it; for the one thread that owns it.

`XPUB` rather than `PUB`, because it shows who subscribes. Who asks for too much is disconnected (`streamer.guard`,
`streamer.connections`), and with keys nobody is let in but those who are allowed (`streamer.authentication`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import zmq

from streamer.authentication import Authentication
from streamer.connections import Connections, limit_peers
from streamer.endpoints import EndpointError, explain_zmq_error, is_loopback, refuse_taken_path, validate_endpoint
from streamer.guard import Guard
from streamer.heap import give_back_freed_memory
from streamer.keys import ServerKeys
from streamer.limited_log import LimitedLog
from streamer.rekeying import Rekeying

ATTENTION_INTERVAL = 0.002
"""Seconds between two looks at what peers do, so that many who do much cost no more than that, and what they send waits
in the kernel; no longer, since in ten of them a flood brings 300,000 parts of a message, and libzmq's thread then frees
them for as long as the others wait."""
HEARD_AT_ONCE = 64
"""Messages from subscribers that are looked at before there is time for those to subscribers: a millisecond's work."""
MANY_ENDED = 64
"""Connections that have ended since freed memory was given back, at which it is given back again: of one, libzmq frees
up to 50 kB."""
TIDYING_INTERVAL = 10.0
"""Seconds between two times at least, where some come and go all the time."""
LINGER = 1.0
"""Seconds that closing the context gives the last messages to leave."""

_log = logging.getLogger("moodring.publisher")


class Outlet:
    """Binds, sends, and hears what subscribers ask for.

    Parameters
    ----------
    endpoint : str
        Where to bind.
    insecure : bool
        Allow an endpoint that other machines can reach, although nothing is encrypted.
    keys : ServerKeys or None
        Encrypt everything, and let nobody subscribe but those whose public keys are in its folder.
    queue : int
        Messages that wait for one subscriber before it starts to lose some.
    handshake_timeout : float
        Seconds for a peer to prove that it belongs.

    Attributes
    ----------
    context : zmq.Context
        The socket's own, in which nothing else connects or binds.
    endpoint : str
        Where it is bound; a port given as ``*`` is replaced by the one that was free.

    Raises
    ------
    streamer.endpoints.EndpointError
        If the endpoint is malformed, taken, the path of an existing file, or open to the network without `insecure`
        or `keys`.
    """

    def __init__(
        self, endpoint: str, insecure: bool, keys: ServerKeys | None, queue: int, handshake_timeout: float
    ) -> None:
        validate_endpoint(endpoint)
        if not (insecure or keys or is_loopback(endpoint)):
            raise EndpointError(
                f"{endpoint} is open to the network, unencrypted; publish on tcp://127.0.0.1:PORT, give --server-key "
                "and --allow-clients, or add --insecure"
            )
        refuse_taken_path(endpoint)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.context.linger = 0
        self._socket = self.context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # every subscription and cancellation, to count each peer's
        self._socket.setsockopt(zmq.SNDHWM, queue)
        self._socket.setsockopt(zmq.LINGER, int(LINGER * 1000))
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, int(handshake_timeout * 1000))
        limit_peers(self._socket)
        self._authentication: Authentication | None = None
        if keys is not None:
            keys.apply_to(self._socket)
            # libzmq counts each client's name as a message that waits, for ever: one as without keys, and one for that
            self._socket.setsockopt(zmq.RCVHWM, 2)
        self._connections = Connections(self._socket)
        if keys is not None:
            self._authentication = Authentication(self.context, keys.allow_clients, self._connections)
        self._guard = Guard(self._connections)
        self._attended = -math.inf
        self._tidied, self._ended_before = -math.inf, 0
        self._news: list[zmq.Socket[bytes] | int] = [self._socket, self._connections.monitor]
        if self._authentication is not None:
            self._news.append(self._authentication.zap_socket)
        if self._connections.arrivals is not None:
            self._news.append(self._connections.arrivals)
        self._faults = LimitedLog(_log)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._connections.close()
            self.context.destroy(linger=0)
            raise EndpointError(explain_zmq_error(endpoint, error)) from error
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._rekeying = Rekeying(self._socket, self.endpoint, keys, self._connections) if keys is not None else None

    @property
    def connections(self) -> int:
        """Connections that are open now, those included whose handshake is not complete."""
        return len(self._connections)

    @property
    def floods(self) -> int:
        """Connections so far that were ended because of what they sent."""
        return self._guard.floods

    @property
    def refused(self) -> int:
        """Connections so far that ended before their handshake was complete, or were too many."""
        return self._connections.refused

    def prepare(self, poller: zmq.Poller) -> float:
        """Let a poller notice when to `attend`, but no more often than every `ATTENTION_INTERVAL`.

        Parameters
        ----------
        poller : zmq.Poller
            The thread's, to be used next.

        Returns
        -------
        float
            When to come here again although nothing was noticed, in monotonic seconds.
        """
        rested = self._attended + ATTENTION_INTERVAL
        rests = time.monotonic() < rested
        for news in self._news:
            if not rests:
                poller.register(news, zmq.POLLIN)
            elif news in poller:
                poller.unregister(news)
        return rested if rests else math.inf

    def attend(self, ready: dict[object, int], ask: Callable[[bytes], None]) -> None:
        """Look after connections, and hear what they have sent, if a poll has noticed anything of it.

        Parameters
        ----------
        ready : dict
            What the poll said.
        ask : callable
            Is told what the topics begin with that somebody has just subscribed to.
        """
        if ready.keys().isdisjoint(self._news):
            return
        self._attended = time.monotonic()
        self.survive(self._connections.watch)
        if self._authentication is not None and self._authentication.zap_socket in ready:
            self.survive(self._authentication.answer)
        if self._socket in ready:
            self.survive(lambda: self._hear(ask))
        self.survive(self._guard.patrol)

    def refresh(self) -> None:
        """Do what must be done again and again; to be called once a second.

        Looks at the folder of keys, and at the file of the publisher's own, and gives back the memory of connections
        that have ended.
        """
        if self._authentication is not None:
            self.survive(self._authentication.refresh)
        if self._rekeying is not None:
            self.survive(self._rekeying.refresh)
        ended, now = self._connections.ended, time.monotonic()
        if ended - self._ended_before >= MANY_ENDED and now >= self._tidied + TIDYING_INTERVAL:
            self._tidied, self._ended_before = now, ended
            give_back_freed_memory()

    def send(self, frames: list[bytes]) -> None:
        """Send a message to all who have subscribed to its topic; what does not fit in a queue is dropped for it alone.

        Parameters
        ----------
        frames : list of bytes
            Topic and body.
        """
        self._socket.send_multipart(frames)

    def survive(self, attend: Callable[[], None]) -> None:
        """Do something for peers; if it fails for a reason that nobody thought of, the others shall hear on.

        Parameters
        ----------
        attend : callable
            What to do.
        """
        try:
            attend()
        except Exception as error:
            self._faults.warning(repr(error), f"cannot deal with what a peer does: {error!r}")

    def close(self) -> None:
        """Close the socket; terminating `context` then waits up to `LINGER` seconds for the last messages to leave."""
        if self._authentication is not None:
            self._authentication.stop()
        self._connections.close()
        if self._rekeying is not None:
            self._rekeying.close()
        self._socket.close()

    def _hear(self, ask: Callable[[bytes], None]) -> None:
        for _ in range(HEARD_AT_ONCE):
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._connections.settle()
                return
            if self._authentication is not None:
                self._authentication.heard(frame)
            prefix = self._guard.hear(frame)
            if prefix is not None:
                ask(prefix)
