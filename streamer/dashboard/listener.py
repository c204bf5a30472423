"""Listens to the publisher in a thread of its own, and writes down what comes."""

from __future__ import annotations

import threading

from streamer.dashboard.record import Record
from streamer.keys import ClientKeys
from streamer.subscriber import PublisherSilent, Subscriber

_PATIENCE = 0.1
"""Seconds after which a thread that waits for messages sees that it is to end."""


class Listener:
    """Fills a `Record` until it is closed. A publisher that is not there yet, or restarts, is waited for.

    Parameters
    ----------
    endpoint : str
        Where the publisher is bound.
    keys : ClientKeys, optional
        For a publisher with keys.

    Attributes
    ----------
    record : Record
        What has come.
    error : Exception or None
        Why it stopped by itself; None as long as it has not.

    Raises
    ------
    streamer.endpoints.EndpointError
        If the endpoint is malformed.
    """

    def __init__(self, endpoint: str, keys: ClientKeys | None = None) -> None:
        self.record = Record()
        self.error: Exception | None = None
        self._subscriber = Subscriber(endpoint, keys=keys)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._subscriber as subscriber:
                while not self._closed.is_set():
                    try:
                        message = subscriber.receive(_PATIENCE)
                    except PublisherSilent:
                        self.record.trouble = subscriber.trouble
                    else:
                        self.record.trouble = ""
                        self.record.add(message)
        except Exception as error:
            self.error = error
