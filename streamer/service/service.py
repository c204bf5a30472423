"""The service: one model and one endpoint for several streams, which come and go with the configuration."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from model.errors import MoodringError
from model.estimator import Estimator
from streamer.framer import phases_of_rate
from streamer.keys import ServerKeys
from streamer.messages import Estimate, StreamState
from streamer.publisher import Publisher, PublisherStatistics
from streamer.service.board import Board, Reading
from streamer.service.certificates import Certificates
from streamer.service.configuration import Configuration, Process
from streamer.service.inputs import TcpInput
from streamer.service.metrics import Metrics
from streamer.service.supervision import SupervisedStream
from streamer.service.web import StatusServer
from streamer.tracker import Tracker

STREAMS_TIMEOUT = 1.5
"""Seconds that streams are given to end, all of them together."""
STUCK_AFTER = 10.0
"""Seconds for which frames must have waited, none of them being estimated, for the tracker to count as stuck."""

_KEYS = {
    "model": "model",
    "lag": "lag",
    "rate": "rate",
    "endpoint": "publish.endpoint",
    "insecure": "publish.insecure",
    "server_key": "publish.server_key",
    "allow_clients": "publish.allow_clients",
    "http": "http",
    "http_tls": "the certificates' paths in http",
}
"""Where each field of `Process` is in the configuration."""

_log = logging.getLogger("moodring.service")


@dataclass(frozen=True)
class Health:
    """Whether the service does what it shall.

    Attributes
    ----------
    tracker, publisher : str
        ``running``, ``stuck``, ``dead`` or ``starting``.
    streams : dict of str to Reading
        By name.
    """

    tracker: str
    publisher: str
    streams: dict[str, Reading]

    @property
    def good(self) -> bool:
        """Whether everything runs, apart from streams that are not required."""
        return self.alive and all(reading.good or not reading.required for reading in self.streams.values())

    @property
    def alive(self) -> bool:
        """Whether streams can be tracked and published at all."""
        return self.tracker == self.publisher == "running"


class Service:
    """Everything that runs.

    Parameters
    ----------
    configuration : Configuration
        What to run.

    Attributes
    ----------
    endpoint : str
        Where estimates are published.
    http : str or None
        Where health and metrics are served: host and port.
    pages : str
        Their URLs, for the log.

    Raises
    ------
    model.errors.MoodringError
        If the endpoint or the HTTP port cannot be used, or the model, the keys or the certificates cannot be read.
    """

    def __init__(self, configuration: Configuration) -> None:
        process = configuration.process
        self._process = process
        self._streams: dict[str, SupervisedStream] = {}
        self._inputs = dict(configuration.streams)
        self._board = Board()
        self._metrics = Metrics(self)
        self._tracker: Tracker | None = None
        self._web: StatusServer | None = None
        self._closed = False
        self._last_batch = time.monotonic()
        self._certificates = Certificates(configuration)
        self._publisher = Publisher(process.endpoint, process.insecure, load_keys(process))
        self.endpoint = self._publisher.endpoint
        self.http: str | None = None
        self.pages = "none"
        try:
            if process.http is not None:
                tls = None if process.http_tls is None else self._certificates[process.http_tls]
                self._web = StatusServer(process.http.host, process.http.port, self.health, self._metrics, tls)
                self.http = self._web.address
                self.pages = f"{'http' if tls is None else 'https'}://{self.http}/healthz and /metrics"
            self._checkpoint = load_model(process)
            phases = phases_of_rate(process.rate, self._checkpoint.frontend.parameters)
            self._tracker = Tracker(self._checkpoint, self.publish, process.lag, self._on_batch, phases)
        except BaseException:
            self._close_process()
            raise

    def start(self) -> None:
        """Start the streams."""
        self._add(self._inputs)

    def reload(self, configuration: Configuration) -> None:
        """Take another configuration: streams are added, removed and changed; those that stay the same go on.

        Parameters
        ----------
        configuration : Configuration
            The new one. Changes that need a restart are logged, and made by it.

        Raises
        ------
        model.errors.MoodringError
            If the new keys or certificates cannot be used; nothing has changed then.
        """
        load_keys(configuration.process)
        self._certificates.use(self._certificates.load(configuration))
        changed_keys = [
            _KEYS[field.name]
            for field in fields(Process)
            if getattr(configuration.process, field.name) != getattr(self._process, field.name)
        ]
        if changed_keys:
            _log.warning(
                "restart to apply what has changed: %s; until then it stays as it was", ", ".join(changed_keys)
            )
        before, after = self._inputs, dict(configuration.streams)
        removed = [name for name in before if name not in after]
        changed = [name for name in after if name in before and after[name].input != before[name].input]
        added = [name for name in after if name not in before]
        for name in removed:
            self._streams[name].stop("removed from the configuration")
        for name in changed:
            self._streams[name].stop("changed in the configuration", replaced=True)
        self._join([*removed, *changed])
        for name in removed:
            self._board.remove(name)
            self._metrics.forget(name)
        self._inputs = after
        for name in after:
            self._board.add(name, after[name].required)
        self._add([*changed, *added])
        kinds = {"added": added, "removed": removed, "changed": changed}
        news = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names) or "no changes"
        _log.info("reloaded %s; %s", configuration.path, news)

    def health(self) -> Health:
        """Tell how everything is doing."""
        tracker = "starting" if self._tracker is None else "dead" if not self._tracker.alive else "running"
        if tracker == "running" and self._is_stuck():
            tracker = "stuck"
        publisher = "running" if self._publisher.alive else "dead"
        return Health(tracker, publisher, self._board.readings())

    def waiting(self) -> dict[str, int]:
        """Tell how many frames of each stream wait for the model."""
        return {} if self._tracker is None else self._tracker.waiting()

    def publisher_statistics(self) -> PublisherStatistics:
        """Tell what the publisher has done."""
        return self._publisher.statistics()

    def refused_requests(self) -> int:
        """Tell how many HTTP connections were turned away."""
        return 0 if self._web is None else self._web.refused

    def publish(self, estimate: Estimate) -> None:
        """Take an estimate from the tracker."""
        self._publisher.publish(estimate)
        self._metrics.observe_latency(estimate.stream, time.time() - estimate.time)
        self._board.count_estimate(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        """Take a stream's status."""
        if self._closed:
            return  # from a stream that did not end in time
        self._publisher.set_status(stream, state, dropped, reason, invalid)
        self._board.tell(stream, state, dropped, reason, invalid)

    def failure(self) -> str | None:
        """Tell why the service cannot go on; None if it can."""
        if self._tracker is not None and not self._tracker.alive:
            return f"tracking failed: {self._tracker.error}"
        return None if self._publisher.alive else "publishing failed"

    def close(self, reason: str = "stopped", state: StreamState = "ended") -> None:
        """End everything in order. May be called twice.

        Parameters
        ----------
        reason : str
            What the streams' last statuses say.
        state : StreamState
            ``ended`` or ``failed``.
        """
        for stream in self._streams.values():
            stream.stop(reason, state)
        self._join(list(self._streams))
        self._close_process()

    def _add(self, names: Iterable[str]) -> None:
        assert self._tracker is not None
        for name in names:
            configured = self._inputs[name]
            self._board.add(name, configured.required)
            _log.info('stream "%s" hears %s', name, configured.input)
            heard = configured.input
            files = heard.tls if isinstance(heard, TcpInput) else None
            tls = None if files is None else self._certificates[files]
            self._streams[name] = SupervisedStream(
                name, heard, self._tracker, self, self._board, self._checkpoint.frontend.parameters, tls
            )
            self._streams[name].start()

    def _join(self, names: Sequence[str]) -> None:
        assert self._tracker is not None
        deadline = time.monotonic() + STREAMS_TIMEOUT
        for name in names:
            stream = self._streams.pop(name)
            if not stream.join(max(0.0, deadline - time.monotonic())):
                _log.error('stream "%s" does not end; it is left behind', name)
                self._tracker.remove_stream(name)

    def _close_process(self) -> None:
        if self._tracker is not None:
            self._tracker.close()
        if self._web is not None:
            self._web.close()
        self._closed = True
        self._publisher.close()

    def _on_batch(self, streams: Sequence[str], seconds: float) -> None:
        self._last_batch = time.monotonic()
        self._metrics.observe_batch(len(streams), seconds)
        for stream in streams:
            self._board.count_frame(stream)

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._last_batch > STUCK_AFTER and any(self.waiting().values())


def load_model(process: Process) -> Estimator:
    """Read the model.

    Parameters
    ----------
    process : Process
        Which, and what lag and rate.

    Returns
    -------
    Estimator

    Raises
    ------
    model.errors.MoodringError
        If it cannot be read, look back so far, or estimate so often.
    """
    checkpoint = process.model.load()
    checkpoint.frames_of_lag(process.lag)
    phases_of_rate(process.rate, checkpoint.frontend.parameters)
    return checkpoint


def load_keys(process: Process) -> ServerKeys | None:
    """Read the publisher's keys.

    Parameters
    ----------
    process : Process
        Where they are.

    Returns
    -------
    ServerKeys or None
        None if there are none.

    Raises
    ------
    streamer.key_files.KeyFileError
        If they cannot be used.
    """
    if process.server_key is None:
        return None
    if process.allow_clients is None:
        raise MoodringError("publish.allow_clients is missing")
    return ServerKeys.load(process.server_key, process.allow_clients)
