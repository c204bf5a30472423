"""The whole path in a process of its own, as fast as it goes: simulated card, framer, tracker, publisher.

    python -m scripts.benchmarks.soak.whole_path --hours 24

Prints where it publishes, begins when a line comes on standard input, prints what it sent when it has ended, and
leaves when standard input is closed: so whoever started it can count threads before and after.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # as the command line does

import argparse
import json
import sys

from model.loading import load_model
from scripts.benchmarks.soak.simulated_card import SimulatedCard
from streamer.live import LiveStream
from streamer.messages import Estimate, StreamState
from streamer.publisher import Publisher
from streamer.tracker import Tracker

STREAM = "day"


class CountingOutlet:
    """Hands everything to a publisher and counts it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.estimates = 0

    def publish(self, estimate: Estimate) -> None:
        """Hand an estimate on."""
        self.estimates += 1
        self._publisher.publish(estimate)

    def set_status(self, stream: str, state: StreamState, dropped: float, reason: str, invalid: int) -> None:
        """Hand a status on."""
        self._publisher.set_status(stream, state, dropped, reason, invalid)


def main() -> None:
    """Run the path once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, required=True, help="hours of audio")
    parser.add_argument("--seed", type=int, default=0, help="what is played, lost and late")
    parser.add_argument("--model", help="a checkpoint; the bundled one if not given")
    arguments = parser.parse_args()
    checkpoint = load_model(arguments.model)
    with Publisher("tcp://127.0.0.1:*") as publisher:
        outlet = CountingOutlet(publisher)
        tracker = Tracker(checkpoint, outlet.publish)
        card = SimulatedCard(arguments.hours, arguments.seed)
        live = LiveStream(STREAM, card, tracker, outlet, checkpoint.frontend.parameters, paced=False)
        publisher.set_status(STREAM, "starting")
        print(json.dumps({"endpoint": publisher.endpoint}), flush=True)
        sys.stdin.readline()
        live.start()
        live.join()
        if live.error is not None:
            raise live.error
        print(json.dumps({"estimates": outlet.estimates}), flush=True)
        sys.stdin.readline()
        tracker.close()


if __name__ == "__main__":
    main()
