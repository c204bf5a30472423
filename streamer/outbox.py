"""What waits to be sent: a bounded queue to the thread that owns the socket, and what wakes that thread up."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
from typing import Generic, TypeVar

import zmq

from streamer.limited_log import LimitedLog

QUEUE_LENGTH = 256
"""Messages between the tracker and the publisher's thread; callers wait when it is full."""
PATIENCE = 2.0
"""Seconds that callers wait then, before the message is dropped: whatever holds the thread up, tracking goes on."""

_log = logging.getLogger("moodring.publisher")

Item = TypeVar("Item")


class Outbox(Generic[Item]):
    """Many threads put messages in; one takes them out, and polls `waker` to know when.

    Parameters
    ----------
    context : zmq.Context
        Of the thread that takes them out.

    Attributes
    ----------
    waker : zmq.Socket
        Can be read when there may be messages.
    dropped : int
        Messages so far for which there was no room.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.dropped = 0
        self._queue: queue.Queue[Item] = queue.Queue(QUEUE_LENGTH)
        self._patience = PATIENCE
        self._lock = threading.Lock()
        self._warnings = LimitedLog(_log)
        self.waker = context.socket(zmq.PAIR)
        self._sender = context.socket(zmq.PAIR)
        for end in (self.waker, self._sender):
            end.setsockopt(zmq.SNDHWM, 1)
            end.setsockopt(zmq.RCVHWM, 1)
            end.setsockopt(zmq.LINGER, 0)
        self.waker.bind("inproc://wake")
        self._sender.connect("inproc://wake")

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    def put(self, item: Item) -> None:
        """Hand a message over; waits up to `PATIENCE` for room, and counts it as dropped if there is none.

        Parameters
        ----------
        item : Item
            The message.
        """
        try:
            self._queue.put(item, timeout=self._patience)
        except queue.Full:
            self._patience = 0.0  # until there is room again: waiting for each message would be as bad
            with self._lock:
                self.dropped += 1
                self._warnings.warning("full", "the publisher's thread is held up; messages are lost")
            return
        self._patience = PATIENCE
        self.wake()

    def wake(self) -> None:
        """Make `waker` readable; from any thread."""
        with self._lock:
            try:
                self._sender.send(b"", zmq.NOBLOCK)
            except zmq.Again:
                return  # enough wake-ups are waiting already

    def take(self) -> list[Item]:
        """Take what waits, no more than `QUEUE_LENGTH` messages, without waiting.

        Returns
        -------
        list of Item
            In the order of `put`.
        """
        with suppress(zmq.Again):  # woken for something else
            self.waker.recv(zmq.NOBLOCK)
        items: list[Item] = []
        while len(items) < QUEUE_LENGTH:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return items

    def close(self) -> None:
        """Close the thread's end."""
        self.waker.close()

    def close_entry(self) -> None:
        """Close the callers' end, when the thread has ended."""
        self._sender.close()
