"""What one connection has subscribed to, and how much is too much.

libzmq keeps every subscription of every peer in a tree with one node of 48 bytes per character, until the peer leaves,
and then takes about a microsecond per node to free it, in the thread that sends. So both are bounded.

Source: ZMTP 3.1, RFC 37 (https://rfc.zeromq.org/spec/37/): a subscriber sends nothing but subscriptions and
cancellations, which libzmq hands on as a byte 1 or 0 and the topic.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.messages import ESTIMATE_TOPIC, STATUS_TOPIC

MAXIMUM_SUBSCRIPTIONS = 256
"""Topics that a connection may subscribe to; who wants more streams than that subscribes to all of them at once."""
MAXIMUM_TOPIC_BYTES = 4096
"""Bytes that the topics of a connection may have together: 200 KB in libzmq's tree, freed in 10 ms."""
MAXIMUM_TOPIC_BYTES_OF_ALL = 1 << 18
"""Bytes that the topics of all connections may have together, 12 MB in libzmq's tree: each of the most connections
there can be may subscribe to a dozen topics."""
LONGEST_TOPIC = max(len(ESTIMATE_TOPIC), len(STATUS_TOPIC)) + 100 + 1
"""Bytes of the longest topic that there can be; a longer subscription never matches."""
MESSAGES_AT_ONCE = 512
"""Messages that a connection may send at once: to subscribe to all that it may, and to cancel that."""
MESSAGES_PER_SECOND = 64
"""Messages per second that a connection may go on sending after those."""
BYTES_AT_ONCE = 1 << 17
"""Bytes that may arrive on a connection at once: `MESSAGES_AT_ONCE` of the longest, and encrypted, take half of it."""
BYTES_PER_SECOND = 1 << 14
"""Bytes per second that may go on arriving after those."""


@dataclass
class Allowance:
    """So much at once, and so much per second after that (a token bucket).

    Parameters
    ----------
    at_once : float
        What may be spent at the beginning, and after a pause.
    per_second : float
        How fast that comes back.
    now : float
        Monotonic seconds.
    """

    at_once: float
    per_second: float
    now: float

    def __post_init__(self) -> None:
        self._left = self.at_once

    def spend(self, amount: float, now: float) -> bool:
        """Spend some of it.

        Parameters
        ----------
        amount : float
            How much.
        now : float
            Monotonic seconds.

        Returns
        -------
        bool
            Whether there was enough.
        """
        self._left = min(self.at_once, self._left + (now - self.now) * self.per_second) - amount
        self.now = now
        return self._left >= 0


class Account:
    """Keeps count of what a connection sends.

    Parameters
    ----------
    now : float
        Monotonic seconds.

    Attributes
    ----------
    topic_bytes : int
        Bytes of the topics that it is subscribed to.
    """

    def __init__(self, now: float) -> None:
        self.topic_bytes = 0
        self._topics: dict[int, int] = {}  # hashes, as the topics may be long, and their lengths
        self._messages = Allowance(MESSAGES_AT_ONCE, MESSAGES_PER_SECOND, now)
        self._bytes = Allowance(BYTES_AT_ONCE, BYTES_PER_SECOND, now)
        self._received = 0

    def take(self, message: bytes, now: float) -> str:
        """Count a message.

        Parameters
        ----------
        message : bytes
            As libzmq hands it on; what is neither a subscription nor a cancellation is counted only.
        now : float
            Monotonic seconds.

        Returns
        -------
        str
            What is too much, to follow the connection's address; empty if nothing is.
        """
        topic = message[1:]
        if message[:1] == b"\x01":
            if len(topic) > LONGEST_TOPIC:
                return f"subscribed to a topic of {len(topic)} bytes, when {LONGEST_TOPIC} is the most there can be"
            self.topic_bytes += len(topic) - self._topics.get(hash(topic), 0)
            self._topics[hash(topic)] = len(topic)
        elif message[:1] == b"\x00":
            self.topic_bytes -= self._topics.pop(hash(topic), 0)
        if len(self._topics) > MAXIMUM_SUBSCRIPTIONS or self.topic_bytes > MAXIMUM_TOPIC_BYTES:
            return f"subscribed to more than {MAXIMUM_SUBSCRIPTIONS} topics, or {MAXIMUM_TOPIC_BYTES} bytes of them"
        if not self._messages.spend(1, now):
            return f"sent more than {MESSAGES_AT_ONCE} messages, and {MESSAGES_PER_SECOND} per second"
        return ""

    def receive(self, received: int, now: float) -> str:
        """Count what has arrived, be it a message or not.

        Parameters
        ----------
        received : int
            Bytes since the connection began.
        now : float
            Monotonic seconds.

        Returns
        -------
        str
            As from `take`.
        """
        new, self._received = received - self._received, received
        if not self._bytes.spend(new, now):
            return f"sent more than {BYTES_AT_ONCE} bytes, and {BYTES_PER_SECOND} per second"
        return ""
