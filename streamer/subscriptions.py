"""What one connection has subscribed to, and how much is too much.

libzmq keeps every subscription of every peer in a tree with one node of 48 bytes per character, until the peer leaves,
and then takes about a microsecond per node to free it, in the thread that sends. So both are bounded.

Source: ZMTP 3.1, RFC 37 (https://rfc.zeromq.org/spec/37/): a subscriber sends nothing but subscriptions and
cancellations, which libzmq hands on as a byte 1 or 0 and the topic.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

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
MESSAGES_PER_SECOND = 64.0
"""Messages per second that a connection may go on sending after those."""


@dataclass
class Account:
    """Keeps count of what a connection sends.

    Attributes
    ----------
    topic_bytes : int
        Bytes of the topics that it is subscribed to.
    """

    topic_bytes: int = 0
    _topics: dict[int, int] = field(default_factory=dict)  # hashes, as the topics may be long, and their lengths
    _allowance: float = MESSAGES_AT_ONCE
    _counted: float = field(default_factory=time.monotonic)

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
        self._allowance = min(MESSAGES_AT_ONCE, self._allowance + (now - self._counted) * MESSAGES_PER_SECOND)
        self._allowance -= 1
        self._counted = now
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
        if self._allowance < 0:
            return f"sent more than {MESSAGES_AT_ONCE} messages, and {MESSAGES_PER_SECOND:.0f} per second"
        return ""
