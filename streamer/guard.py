"""Decides what subscribers may do to a publisher: who asks for too much is disconnected, and the others hear on."""

from __future__ import annotations

import time

import zmq

from streamer.connections import Connection, Connections
from streamer.subscriptions import MAXIMUM_TOPIC_BYTES_OF_ALL


class Guard:
    """Hears all that subscribers send, and looks after what arrives without ever becoming a message.

    That is what a message in parts does as long as a further part is announced: libzmq keeps the parts, without bound.
    For the socket's thread.

    Parameters
    ----------
    connections : Connections
        Of the socket whose messages it hears.

    Attributes
    ----------
    floods : int
        Connections so far that were ended because of what they sent.
    """

    def __init__(self, connections: Connections) -> None:
        self.floods = 0
        self._connections = connections
        self._topic_bytes = 0  # of all connections: what was counted last, and all that came since

    def hear(self, frame: zmq.Frame) -> bytes | None:
        """Judge one message.

        Parameters
        ----------
        frame : zmq.Frame
            As the socket received it.

        Returns
        -------
        bytes or None
            What the topics begin with that somebody has just subscribed to; None if it is something else, too much,
            or from a connection that has gone.
        """
        connection = self._connections.sender(frame)
        if connection is None:
            return None
        message = frame.bytes
        if connection.settled:
            offence = connection.account.take(message, time.monotonic())
            if offence:
                self._end(connection, offence)
                return None
        if message[:1] != b"\x01":
            return None
        self._topic_bytes += len(message) - 1
        if self._topic_bytes > MAXIMUM_TOPIC_BYTES_OF_ALL:
            self._end_greediest()
        return message[1:]

    def patrol(self) -> None:
        """Look at how much has arrived."""
        now = time.monotonic()
        for connection in self._connections.active():
            offence = connection.account.receive(self._connections.received(connection), now)
            if offence:
                self._end(connection, offence)

    def _end_greediest(self) -> None:
        connections = list(self._connections)
        self._topic_bytes = sum(connection.account.topic_bytes for connection in connections)
        if self._topic_bytes > MAXIMUM_TOPIC_BYTES_OF_ALL:
            greediest = max(connections, key=lambda connection: connection.account.topic_bytes)
            self._end(greediest, "subscribed to the most when there were too many subscriptions")

    def _end(self, connection: Connection, offence: str) -> None:
        if not connection.ending:
            self._connections.end(connection, offence)
            self.floods += 1
