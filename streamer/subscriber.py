"""Receives estimates in another process: a game, a lighting script, a logger.

Needs only pyzmq and the standard library::

    from streamer.subscriber import Subscriber

    with Subscriber() as subscriber:
        for estimate in subscriber:
            print(estimate.valence, estimate.arousal)
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterator
from types import TracebackType

import zmq

from model.errors import shown
from streamer.endpoints import EndpointError, explain_zmq_error, validate_endpoint
from streamer.handshakes import RETRY_INTERVAL, Handshakes
from streamer.keys import ClientKeys
from streamer.messages import (
    DEFAULT_ENDPOINT,
    ESTIMATE_TOPIC,
    MAXIMUM_BODY_BYTES,
    STATUS_TOPIC,
    Estimate,
    MessageError,
    Status,
    decode,
    validate_stream_name,
)

_RECEIVE_HIGH_WATER_MARK = 1000
_MAXIMUM_STREAMS = 1024
_LONGEST_REASON = 200


class PublisherSilent(TimeoutError):
    """Neither an estimate nor a status came for the subscriber's timeout: the publisher is gone, or never was."""


class Subscriber:
    """An iterator over the estimates that a publisher sends.

    Connects at once and, if the publisher is not there yet or restarts, again by itself. A last value that the
    publisher sends once more, because another subscriber has come, is passed over. Use it in one thread.

    Parameters
    ----------
    endpoint : str
        Where the publisher is bound.
    stream : str, optional
        The stream to hear; all streams if not given.
    timeout : float
        Seconds without any message after which `PublisherSilent` is raised. A publisher sends statuses once a
        second, in silence and without a source too, so 3 s mean that it has gone.
    until_ended : bool
        End the iteration when every stream heard of has said ``ended`` or ``failed``.
    keys : ClientKeys, optional
        For a publisher with keys: hear nobody but that publisher, and prove to it who is asking.

    Attributes
    ----------
    statuses : dict of str to Status
        The last status of each stream. Another `Status.started` than before means that the tracker was started
        again: the estimates' positions and sequences begin anew.
    refused : int
        Messages that could not be understood (another version, or not ours) and were passed over.

    Raises
    ------
    streamer.endpoints.EndpointError
        If the endpoint is malformed.
    streamer.messages.MessageError
        If the stream name could not be part of a topic.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        stream: str | None = None,
        timeout: float = 3.0,
        until_ended: bool = False,
        keys: ClientKeys | None = None,
    ) -> None:
        if stream is not None:
            validate_stream_name(stream)
        validate_endpoint(endpoint)
        self.endpoint = endpoint
        self.timeout = timeout
        self.until_ended = until_ended
        self.statuses: dict[str, Status] = {}
        self.refused = 0
        self._last: dict[tuple[type, str], Estimate | Status] = {}
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = context.socket(zmq.SUB)
        self._handshakes = Handshakes(self._socket, endpoint, keys is not None)
        self._close = weakref.finalize(self, _close, self._handshakes, self._socket, context)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _RECEIVE_HIGH_WATER_MARK)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAXIMUM_BODY_BYTES)
        if keys is not None:
            keys.apply_to(self._socket)
        for topic in (ESTIMATE_TOPIC, STATUS_TOPIC):
            self._socket.subscribe(topic if stream is None else f"{topic}{stream}/")
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(explain_zmq_error(endpoint, error)) from error

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Estimate]:
        return self

    def __next__(self) -> Estimate:
        """Wait for the next estimate.

        Raises
        ------
        PublisherSilent
            If no message came for `timeout` seconds; iterating again goes on waiting.
        StopIteration
            After `close`, and with `until_ended` when every stream heard of has ended.
        """
        while not self._socket.closed:
            message = self.receive()
            if isinstance(message, Estimate):
                return message
            if self.until_ended and self.all_ended:
                break
        raise StopIteration

    def receive(self, timeout: float | None = None) -> Estimate | Status:
        """Wait for the next message of either kind.

        Parameters
        ----------
        timeout : float, optional
            Seconds; the subscriber's own if not given.

        Returns
        -------
        Estimate or Status

        Raises
        ------
        PublisherSilent
            If none came in time.
        """
        timeout = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while True:
            if not self._wait(deadline):
                raise PublisherSilent(f"nothing came from {self.endpoint} for {timeout:g} s{self._last_words()}")
            message = self._take()
            if message is not None:
                return message

    def latest(self, timeout: float | None = None) -> Estimate | None:
        """Throw away what has queued up and return the newest estimate.

        With several streams this is the newest of them all; subscribe to one stream to follow that one.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait if nothing has come since the last call. 0 and None do not wait.

        Returns
        -------
        Estimate or None
            None if no estimate came.

        Raises
        ------
        PublisherSilent
            If a timeout was given and no message at all came in that time.
        """
        newest: Estimate | None = None
        deadline = time.monotonic() + (timeout or 0.0)
        heard = False
        while True:
            while self._socket.poll(0):
                message = self._take()
                heard = heard or message is not None
                if isinstance(message, Estimate):
                    newest = message
            if newest is not None:
                break
            if time.monotonic() >= deadline:
                self._handshakes.watch()
                break
            self._wait(deadline)
        if timeout and not heard:
            raise PublisherSilent(f"nothing came from {self.endpoint} for {timeout:g} s{self._last_words()}")
        return newest

    @property
    def trouble(self) -> str:
        """What keeps messages from coming, although a publisher is there; empty as long as they come."""
        self._handshakes.watch()
        return self._handshakes.trouble

    @property
    def all_ended(self) -> bool:
        """Whether every stream heard of, and at least one, has said ``ended`` or ``failed``."""
        return bool(self.statuses) and all(s.state in ("ended", "failed") for s in self.statuses.values())

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._close()

    def _wait(self, deadline: float) -> bool:
        """Wait for something to take, and look after the connection meanwhile."""
        while True:
            remaining = max(0.0, deadline - time.monotonic())
            # rounded up: a poll that ends a fraction too early would spin
            if self._socket.poll(int(min(remaining, RETRY_INTERVAL) * 1000) + 1):
                return True
            self._handshakes.watch()
            if time.monotonic() >= deadline:
                return False

    def _take(self) -> Estimate | Status | None:
        try:
            message = decode(self._socket.recv_multipart())
        except MessageError:
            self.refused += 1
            return None
        key = (type(message), message.stream)
        if self._last.get(key) == message:
            return None  # sent once more for another subscriber, which has just come
        if key in self._last or len(self._last) < 2 * _MAXIMUM_STREAMS:
            self._last[key] = message
        if isinstance(message, Status):
            before = self.statuses.get(message.stream)
            if before is not None and before.started != message.started:
                self._last.pop((Estimate, message.stream), None)  # no message of a new run is one sent once more
            if before is not None or len(self.statuses) < _MAXIMUM_STREAMS:
                self.statuses[message.stream] = message
        return message

    def _last_words(self) -> str:
        if self.trouble:
            return f": {self.trouble}"
        if not self.statuses:
            return ""
        last = max(self.statuses.values(), key=lambda status: status.time)
        reason = f": {shown(last.reason, _LONGEST_REASON)}" if last.reason else ""
        return f'; stream "{last.stream}" last said {last.state}{reason}'


def _close(handshakes: Handshakes, socket: zmq.Socket[bytes], context: zmq.Context[zmq.Socket[bytes]]) -> None:
    handshakes.close()
    socket.close()
    context.term()  # only now: a context waits, for ever if need be, until its sockets are closed
