"""Many publishers at one endpoint: what they send is sent on as it came, and late subscribers get last values.

libzmq's own proxy (`zmq_proxy_steerable`) is not used: it hands subscriptions up to every publisher, so that each
subscriber of the hub costs each publisher messages, last values come again from all of them for all, and nobody looks
at what comes in, from whom, or who subscribes. PROTOCOL.md says what a hub promises.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from types import TracebackType

import zmq

from model.errors import MoodringError
from streamer.hub.inlets import Inlets
from streamer.hub.switchboard import Origin, Switchboard
from streamer.hub.upstreams import Upstream
from streamer.keys import ServerKeys
from streamer.limited_log import LimitedLog
from streamer.messages import DEFAULT_ENDPOINT, HEARTBEAT_INTERVAL, MessageError, decode
from streamer.outlet import Outlet
from streamer.publisher import HANDSHAKE_TIMEOUT
from streamer.repeats import Repeats
from streamer.subscriptions import Allowance

SEND_HIGH_WATER_MARK = 10_000
"""Messages that wait for one subscriber, three seconds of a thousand streams, before it starts to lose some; the
subscribers' queues share the messages."""
REPEATED_AT_ONCE = 8192
"""Deliveries of last values, one to each subscriber, that there may be at once: of 80 streams to 50 subscribers, or of
all streams to a few."""
REPEATED_PER_SECOND = 1 << 16
"""Deliveries per second after those: fewer than a thousand live streams cause among 50 subscribers anyway."""
TAKEN_AT_ONCE = 512
"""Messages of publishers that are looked at before there is time for subscribers: some tens of milliseconds' work."""
GATHERING = 0.005
"""Seconds between two looks at what has come, if there is so much: what is sent on together costs each subscriber one
packet, and one awakening, rather than one for each message. A message that comes alone does not wait."""
MESSAGES_AT_ONCE = 8192
"""Messages that a publisher may send at once, such as the last values of all streams of another hub."""
MESSAGES_PER_SECOND = 8192
"""Messages that a publisher may send per second after those: as many live streams as there can be send 6000."""
USUAL_BYTES = 512
"""Bytes of a message that counts as one: most have 400. A larger one counts as several, so that what waits for
subscribers who do not read is bounded in bytes, too."""
HELD_UP = 1.0
"""Seconds in which nothing was done, because the process or the machine was stopped: nobody's silence counts then."""
_LONGEST_WAIT = 0.1

_log = logging.getLogger("moodring.hub")


@dataclass(frozen=True)
class HubStatistics:
    """What a hub has done so far.

    Attributes
    ----------
    publishers : int
        Publishers that it listens to.
    publishers_connected : int
        Those that are connected now.
    streams : int
        Streams that are live now.
    received, sent : int
        Messages that came, and messages sent on, each counted once however many subscribe to it.
    repeated : int
        Last values sent once more for late subscribers.
    refused : int
        Messages that are none of this protocol.
    dropped : int
        Messages of publishers or streams that sent too many, or of one stream too many.
    repeats, duplicates, collisions, lost : int
        As in `streamer.hub.switchboard.Counts`.
    subscribers : int
        Connections of subscribers that are open now.
    disconnected_floods, refused_handshakes : int
        As in `streamer.publisher.PublisherStatistics`.
    """

    publishers: int
    publishers_connected: int
    streams: int
    received: int
    sent: int
    repeated: int
    refused: int
    dropped: int
    repeats: int
    duplicates: int
    collisions: int
    lost: int
    subscribers: int
    disconnected_floods: int
    refused_handshakes: int


class Hub:
    """Listens to publishers, and publishes what they send at one endpoint, in a thread of its own.

    Parameters
    ----------
    upstreams : iterable of Upstream
        The publishers; they need not be there yet.
    endpoint : str
        Where subscribers connect.
    insecure : bool
        Allow an endpoint that other machines can reach, although nothing is encrypted.
    keys : ServerKeys, optional
        Encrypt what is published, and let nobody subscribe but those whose public keys are in its folder.

    Attributes
    ----------
    endpoint : str
        Where it is bound; a port given as ``*`` is replaced by the one that was free.

    Raises
    ------
    streamer.endpoints.EndpointError
        If it cannot be bound there, or a publisher's endpoint cannot be connected to, or is the hub's own.
    """

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        endpoint: str = DEFAULT_ENDPOINT,
        insecure: bool = False,
        keys: ServerKeys | None = None,
    ) -> None:
        upstreams = list(upstreams)
        if endpoint in (upstream.endpoint for upstream in upstreams):
            raise MoodringError(
                f"the hub would listen to itself: {endpoint} is among its publishers; leave it out there"
            )
        self._outlet = Outlet(endpoint, insecure, keys, SEND_HIGH_WATER_MARK, HANDSHAKE_TIMEOUT)
        try:
            self._inlets = Inlets(upstreams)
        except MoodringError:
            self._outlet.close()
            self._outlet.context.term()
            raise
        self.endpoint = self._outlet.endpoint
        self._repeats = Repeats(REPEATED_AT_ONCE, REPEATED_PER_SECOND)
        self._switchboard = Switchboard(self._repeats.forget)
        self._lines = LimitedLog(_log)
        self._allowances: dict[str, Allowance] = {}
        self._received = self._sent = self._repeated = self._refused = self._dropped = 0
        self._rested = self._held_up_until = time.monotonic()
        self._closing = threading.Event()
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run_or_fail, name="hub", daemon=True)
        self._thread.start()

    def __enter__(self) -> Hub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the hub's thread runs."""
        return self._thread.is_alive()

    @property
    def error(self) -> Exception | None:
        """What the thread failed with; None if it has not."""
        return self._error

    def statistics(self) -> HubStatistics:
        """Tell what has happened so far; from any thread.

        Returns
        -------
        HubStatistics
        """
        counts = asdict(self._switchboard.counts)
        dropped = counts.pop("dropped") + self._dropped
        return HubStatistics(
            publishers=len(self._inlets),
            publishers_connected=self._inlets.connected,
            streams=self._switchboard.live,
            received=self._received,
            sent=self._sent,
            repeated=self._repeated,
            refused=self._refused,
            dropped=dropped,
            subscribers=self._outlet.connections,
            disconnected_floods=self._outlet.floods,
            refused_handshakes=self._outlet.refused,
            **counts,
        )

    def join(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the thread to end, which it does by itself only when it has failed."""
        self._thread.join(timeout)

    def close(self) -> None:
        """Send on what has come, give it `streamer.outlet.LINGER` seconds to leave, and unbind. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._closing.set()
        self._thread.join()
        self._outlet.context.term()

    def _run_or_fail(self) -> None:
        try:
            self._run()
        except Exception as error:
            self._error = error
        finally:
            self._outlet.close()
            self._inlets.close()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._inlets.monitor, zmq.POLLIN)
        beat = time.monotonic()
        while not self._closing.is_set():
            ready = self._wait(poller, beat)
            now = time.monotonic()
            if self._inlets.monitor in ready:
                self._outlet.survive(self._inlets.watch)
            if self._inlets.socket in ready:
                self._outlet.survive(partial(self._take, now))
            self._outlet.attend(ready, self._repeats.ask)
            for frames in self._repeats.take(time.monotonic(), self._outlet.connections):
                self._outlet.send(frames)
                self._repeated += 1
            if now >= beat:
                if now - beat > HELD_UP:
                    self._held_up_until = now
                beat = now + HEARTBEAT_INTERVAL
                self._outlet.refresh()
                self._outlet.survive(self._inlets.retry)
                self._switchboard.expire(now, self._held_up_until)
        self._take(time.monotonic())

    def _wait(self, poller: zmq.Poller, beat: float) -> dict[object, int]:
        now = time.monotonic()
        rests = now < self._rested
        if rests and self._inlets.socket in poller:
            poller.unregister(self._inlets.socket)
        elif not rests:
            poller.register(self._inlets.socket, zmq.POLLIN)
        due = min(beat, self._repeats.due, self._outlet.prepare(poller), now + _LONGEST_WAIT)
        if rests:
            due = min(due, self._rested)
        return dict(poller.poll(max(0, int((due - now) * 1000) + 1)))

    def _take(self, now: float) -> None:
        for _ in range(TAKEN_AT_ONCE):
            message = self._inlets.receive()
            if message is None:
                self._rested = now + GATHERING
                return
            self._received += 1
            self._send_on(*message, now)

    def _send_on(self, origin: Origin | None, frames: list[bytes], now: float) -> None:
        if origin is None:
            self._dropped += 1  # of a connection that ended before anybody could say whose it was
            return
        allowance = self._allowances.get(origin.endpoint)
        if allowance is None:
            allowance = Allowance(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND, now)
            self._allowances[origin.endpoint] = allowance
        cost = max(1.0, sum(map(len, frames)) / USUAL_BYTES)
        if not allowance.spend(cost, now):
            allowance.spend(-cost, now)  # dropped messages cost nothing: it may go on with so many per second
            self._dropped += 1
            self._lines.warning(
                f"{origin.endpoint} floods", f"{origin.endpoint} sends too many messages; some are dropped"
            )
            return
        try:
            message = decode(frames)
        except MessageError as error:
            self._refused += 1
            self._lines.warning(f"{origin.endpoint} refused", f"refused a message from {origin.endpoint}: {error}")
            return
        if self._switchboard.admit(origin, message, frames[1], now):
            self._repeats.remember(message.stream, frames)
            self._outlet.send(frames)
            self._sent += 1
