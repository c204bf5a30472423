"""A hub's ``/metrics``, in Prometheus' format, and ``/healthz``, over HTTP on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.hub.hub import Hub
from streamer.service.metrics import CONTENT_TYPE
from streamer.service.web import PageServer

_GAUGES = {
    "publishers": "Publishers that the hub listens to.",
    "publishers_connected": "Those of them that are connected.",
    "streams": "Streams that are live.",
    "subscribers": "Open connections to the hub's endpoint.",
}
_COUNTERS = {
    "received": "Messages that came from publishers.",
    "sent": "Messages sent on, each once however many subscribe to it.",
    "repeated": "Last values sent once more for late subscribers.",
    "refused": "Messages that are none of the protocol.",
    "dropped": "Messages of publishers or streams that sent too many, or of one stream too many.",
    "lost": "Messages that publishers have sent, and that did not reach the hub.",
    "repeats": "Last values that publishers sent once more.",
    "duplicates": "Messages that had come by another way already.",
    "collisions": "Messages of a stream whose name another publisher has.",
}
_CONNECTIONS = {
    "disconnected_floods": "Subscribers' connections ended for what they sent.",
    "refused_handshakes": "Subscribers' connections turned away.",
}


class HubPages(PageServer):
    """Serves a hub's metrics and health on loopback.

    Parameters
    ----------
    hub : Hub
        Whose; asked whenever they are.
    port : int
        0 for one that is free.

    Raises
    ------
    MoodringError
        If the port cannot be used.
    """

    def __init__(self, hub: Hub, port: int) -> None:
        self._hub = hub
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Statistics(hub))
        super().__init__("127.0.0.1", port, "--metrics")

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        """Make the page of a path; see `PageServer.answer`."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, generate_latest(self._registry)
        if path == "/healthz":
            statistics = self._hub.statistics()
            healthy = self._hub.alive and statistics.publishers_connected == statistics.publishers
            health = {
                "healthy": healthy,
                "hub": "running" if self._hub.alive else "failed",
                "publishers": statistics.publishers,
                "publishers_connected": statistics.publishers_connected,
                "streams": statistics.streams,
            }
            status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(health, indent=1).encode() + b"\n"
        return None


class _Statistics(Collector):
    """What the hub counts anyway."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is does not need to be asked for when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        statistics = self._hub.statistics()
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"moodring_hub_{name}", text, getattr(statistics, name))
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"moodring_hub_messages_{name}", text, getattr(statistics, name))
        for name, text in _CONNECTIONS.items():
            yield CounterMetricFamily(f"moodring_hub_{name}", text, getattr(statistics, name))
