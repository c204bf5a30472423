"""Whether the model keeps up, and whether what it says arrives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from streamer.doctor.finding import Finding, Verdict

if TYPE_CHECKING:
    from model.loading import ModelChoice

_MEASURED_FRAMES = 10
_LONGEST_MEASUREMENT = 10.0
"""Seconds after which no further frame is computed."""
_ARRIVAL_TIMEOUT = 3.0
"""Seconds for a message to go through the network of this machine itself."""


def look_at_model(choice: ModelChoice) -> Iterator[Finding]:
    """Load a model, and time it with a minute of noise: with all of the past that it looks back over.

    Parameters
    ----------
    choice : ModelChoice
        Which.

    Yields
    ------
    Finding

    Raises
    ------
    model.errors.MoodringError
        If it cannot be used.
    """
    import numpy as np

    from streamer.stream_tracker import StreamTracker

    began = time.perf_counter()
    model = choice.load()
    model.use_one_thread()
    loading = time.perf_counter() - began
    parameters = model.frontend.parameters
    budget = parameters.frame_duration
    tracker = StreamTracker(parameters.sample_rate, model)
    noise = np.random.default_rng(0).normal(scale=0.1, size=parameters.frame_length).astype(np.float32)
    durations: list[float] = []
    began = time.perf_counter()
    while len(durations) < model.history + _MEASURED_FRAMES and time.perf_counter() < began + _LONGEST_MEASUREMENT:
        before = time.perf_counter()
        estimates = tracker.push(noise)
        durations.append(time.perf_counter() - before)
        if any(one.valence is None or not math.isfinite(one.valence) for one in estimates):
            yield Finding(
                f"model {model.name}",
                "failure",
                "gives no estimate of noise",
                "install moodring again, or another model",
            )
            return
    typical, longest = median(durations[-_MEASURED_FRAMES:]), max(durations[-_MEASURED_FRAMES:])
    details = {
        "model": model.name,
        "runtime": model.runtime,
        "digest": model.digest(),
        "loading": round(loading, 3),
        "frame": round(typical, 6),
        "longest_frame": round(longest, 6),
        "budget": budget,
    }
    verdict: Verdict = "ok"
    remedy = ""
    if typical > budget / 2:
        verdict = "failure" if typical > budget else "warning"
        remedy = "this machine is too slow, or busy: close other programs, or use the default model"
    yield Finding(
        f"model {model.name}",
        verdict,
        f"loaded in {loading:.1f} s by {model.runtime}; {1000 * typical:.1f} ms for each {1000 * budget:.0f} ms of "
        f"audio, {budget / typical:.0f} times faster than it has to be (longest: {1000 * longest:.1f} ms)",
        remedy,
        details,
    )


def look_at_messages() -> Iterator[Finding]:
    """Publish a message at a free port of this machine, and receive it.

    Yields
    ------
    Finding
    """
    from streamer.publisher import Publisher
    from streamer.subscriber import PublisherSilent, Subscriber

    with Publisher("tcp://127.0.0.1:*") as publisher, Subscriber(publisher.endpoint) as subscriber:
        try:
            publisher.set_status("doctor", "running")
            subscriber.receive(_ARRIVAL_TIMEOUT)  # once connected
            before = time.perf_counter()
            publisher.set_status("doctor", "ended")
            while not subscriber.all_ended:
                subscriber.receive(_ARRIVAL_TIMEOUT)
            took = time.perf_counter() - before
        except PublisherSilent:
            yield Finding(
                "messages",
                "failure",
                f"what is published at 127.0.0.1 does not arrive at 127.0.0.1 within {_ARRIVAL_TIMEOUT:g} s",
                "allow Python's connections to 127.0.0.1 in the firewall, or end the VPN that takes them",
            )
        else:
            yield Finding(
                "messages",
                "ok",
                f"from publisher to subscriber in {1000 * took:.1f} ms",
                details={"milliseconds": round(1000 * took, 3)},
            )
