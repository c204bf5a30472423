"""Metrics in Prometheus' format, by its own client library."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.messages import StreamState

if TYPE_CHECKING:
    from streamer.service.board import Reading
    from streamer.service.service import Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
_MODEL_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_STATES: tuple[StreamState, ...] = ("starting", "running", "stalled", "ended", "failed")


class Metrics:
    """What `Service` counts and measures.

    Parameters
    ----------
    service : Service
        Whose; asked whenever metrics are.
    """

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        build = Info("moodring_build", "What runs.", registry=self._registry)
        build.info({"version": version("moodring"), "python": platform.python_version()})
        self._latency = Histogram(
            "moodring_latency_seconds",
            "From the end of a frame, by its time, until its estimate is handed to the publisher.",
            ["stream"],
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._model = Histogram(
            "moodring_model_seconds",
            "Time that the model took for a batch.",
            buckets=_MODEL_BUCKETS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "moodring_batch_frames", "Frames in a batch.", buckets=_BATCH_BUCKETS, registry=self._registry
        )
        self._registry.register(_Readings(service))

    def observe_latency(self, stream: str, seconds: float) -> None:
        """Take note of how old a frame was when its estimate was handed to the publisher."""
        self._latency.labels(stream).observe(max(0.0, seconds))

    def observe_batch(self, frames: int, seconds: float) -> None:
        """Take note of a batch, and of the time that the model took for it."""
        self._batch.observe(frames)
        self._model.observe(seconds)

    def forget(self, stream: str) -> None:
        """Leave a stream out from now on."""
        self._latency.remove(stream)

    def page(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)


class _Readings(Collector):
    """What others count anyway."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is does not need to be asked for when this is registered."""
        return ()

    def collect(self) -> Iterable[Metric]:
        health = self._service.health()
        streams = health.streams
        yield _gauge("moodring_tracker_up", "Whether the tracker's thread runs.", float(health.tracker == "running"))
        yield _gauge(
            "moodring_publisher_up", "Whether the publisher's thread runs.", float(health.publisher == "running")
        )
        yield from self._of_publisher(streams)
        state = GaugeMetricFamily("moodring_stream_state", "1 for the state of a stream.", labels=["stream", "state"])
        published = CounterMetricFamily(
            "moodring_estimates_published", "Estimates handed to the publisher.", labels=["stream", "state"]
        )
        for name, reading in streams.items():
            for each in _STATES:
                state.add_metric([name, each], float(reading.state == each))
            for kind, count in reading.estimates.items():
                published.add_metric([name, kind], count)
        yield state
        yield published
        yield _counter("moodring_frames", "Frames given to the model.", {n: r.frames for n, r in streams.items()})
        yield _counter("moodring_dropped_seconds", "Seconds of audio lost.", {n: r.dropped for n, r in streams.items()})
        yield _counter(
            "moodring_invalid_samples", "Samples that were not finite.", {n: r.invalid for n, r in streams.items()}
        )
        yield _counter("moodring_stalls", "How often no audio came.", {n: r.stalls for n, r in streams.items()})
        yield _counter(
            "moodring_restarts",
            "How often a source that had failed was opened again.",
            {n: r.restarts for n, r in streams.items()},
        )
        waiting = GaugeMetricFamily("moodring_queue_frames", "Frames that wait for the model.", labels=["stream"])
        for name, count in self._service.waiting().items():
            waiting.add_metric([name], count)
        yield waiting

    def _of_publisher(self, streams: dict[str, Reading]) -> Iterable[Metric]:
        statistics = self._service.publisher_statistics()
        yield _gauge("moodring_subscribers", "Open connections to the endpoint.", statistics.connections)
        yield CounterMetricFamily("moodring_messages_sent", "Estimates and statuses sent.", statistics.sent)
        yield CounterMetricFamily(
            "moodring_messages_dropped", "Estimates and statuses that could not be sent.", statistics.dropped
        )
        yield CounterMetricFamily(
            "moodring_disconnected_floods", "Connections ended for what they sent.", statistics.disconnected_floods
        )
        refused = CounterMetricFamily("moodring_refused_connections", "Connections turned away.", labels=["surface"])
        refused.add_metric(["publish"], statistics.refused_handshakes)
        refused.add_metric(["pcm"], sum(reading.refused for reading in streams.values()))
        refused.add_metric(["http"], self._service.refused_requests())
        yield refused


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def _counter(name: str, text: str, values: dict[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["stream"])
    for stream, value in values.items():
        family.add_metric([stream], value)
    return family
