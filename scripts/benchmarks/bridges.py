"""How long an estimate takes through a bridge: from the publisher's send to the OSC and the sACN packet at a receiver.

Two bridges run as a user runs them, `moodring bridge osc` and `moodring bridge sacn`, the second with its frames at a
steady 40 Hz besides those that an estimate causes. They are asked in turn, so that neither waits for the other.
Publisher and receiver are this process, so that there is one clock. After each pair of estimates an empty message goes
from a PUB to a SUB socket of this process: what the machine takes for that.

    python scripts/benchmarks/bridges.py [--estimates 600]

Prints one line for each figure; the exit status is 1 if a packet was lost or a 99th percentile is 5 ms or more.
"""

from __future__ import annotations

import argparse
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zmq

from streamer.messages import Estimate, Mood
from streamer.publisher import Publisher

RATE = 20.0
"""Estimates a second: more than a tracker sends, to be done sooner."""
TARGET = 0.005
"""Seconds from the publisher's send to the packet at the receiver, for 99 of 100 estimates."""
PATIENCE = 20.0
VALUES = 1000
"""Different values, so that a packet tells by its value which estimate it is of."""
OSC_MAPPING = '[outputs.valence]\nsource = "valence"\naddress = "/v"\n'
SACN_MAPPING = 'rate = 40\n[outputs.valence]\nsource = "valence"\nuniverse = 1\nchannel = 1\nbits = 16\n'
FIRST_CHANNEL = 126  # of an E1.31 data packet (ANSI E1.31, table 4-1)


def estimate(number: int) -> Estimate:
    """Make an estimate of which the valence tells the number."""
    valence = 2 * (number % VALUES) / VALUES - 1
    mood = Mood(0.1234, -0.2345)
    return Estimate(
        "stage", number, time.time(), number / 2, valence, 0.5, 0.2, 0.2, mood, "tracking", -20.0, 0.0, "made-up"
    )


def number_in_osc(packet: bytes) -> int:
    """Return the number of the estimate that an OSC packet is of: address and type tag take 8 bytes."""
    (valence,) = struct.unpack(">f", packet[8:12])
    return round((valence + 1) / 2 * VALUES)


def number_in_sacn(packet: bytes) -> int:
    """Return the number of the estimate that a frame shows."""
    return round(int.from_bytes(packet[FIRST_CHANNEL : FIRST_CHANNEL + 2], "big") / 65535 * VALUES)


class Way(NamedTuple):
    """A publisher, and where what it says comes out of its bridge: the ways are measured in turn."""

    publisher: Publisher
    receiver: socket.socket
    read: Callable[[bytes], int]

    def take(self, number: int) -> float | None:
        """Publish an estimate; return the seconds to its first packet, or None if none came within a second."""
        sent = time.monotonic()
        self.publisher.publish(estimate(number))
        while (remaining := sent + 1.0 - time.monotonic()) > 0:
            self.receiver.settimeout(remaining)
            try:
                packet = self.receiver.recv(2048)
            except TimeoutError:
                return None
            now = time.monotonic()
            if self.read(packet) == number % VALUES:
                return now - sent
        return None


def measure(ways: dict[str, Way], count: int) -> bool:
    """Send estimates, and print what their ways took."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sending, receiving = context.socket(zmq.PUB), context.socket(zmq.SUB)
    port = sending.bind_to_random_port("tcp://127.0.0.1")
    receiving.connect(f"tcp://127.0.0.1:{port}")
    receiving.subscribe("")
    while not receiving.poll(10):
        sending.send(b"")
    while receiving.poll(200):
        receiving.recv()
    latency: dict[str, list[float]] = {name: [] for name in ("empty message", *ways)}
    due = time.monotonic()
    for number in range(1, count + 1):
        due = max(due + 1 / RATE, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        for name, way in ways.items():
            taken = way.take(number)
            if taken is not None:
                latency[name].append(taken)
        sent = time.monotonic()
        sending.send(b"")
        receiving.recv()
        latency["empty message"].append(time.monotonic() - sent)
    context.destroy(0)
    passed = True
    for name, heard in latency.items():
        lost = count - len(heard)
        median, p99 = (1000 * float(np.percentile(heard, part)) for part in (50, 99))
        print(
            f"{name}: median {median:.2f} ms, p99 {p99:.2f} ms, most {1000 * max(heard):.2f} ms, {lost} of {count} lost"
        )
        passed = passed and lost == 0 and p99 < 1000 * TARGET
    return passed


def main() -> None:
    """Start everything, measure, and end it."""
    parser = argparse.ArgumentParser(description="Measure the latency of bridges.")
    parser.add_argument("--estimates", type=int, default=600)
    arguments = parser.parse_args()
    kinds = {"osc": (OSC_MAPPING, number_in_osc), "sacn": (SACN_MAPPING, number_in_sacn)}
    ways: dict[str, Way] = {}
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        for kind, (mapping, read) in kinds.items():
            receiver = closing.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            receiver.bind(("127.0.0.1", 0))
            publisher = closing.enter_context(Publisher("tcp://127.0.0.1:*"))
            ways[kind] = Way(publisher, receiver, read)
            path = folder / f"{kind}.toml"
            path.write_text(mapping)
            to = f"127.0.0.1:{receiver.getsockname()[1]}"
            command = ["bridge", kind, publisher.endpoint, "--to", to, "--map", str(path)]
            bridge = closing.enter_context(subprocess.Popen([sys.executable, "-m", "streamer.cli", *command]))
            closing.callback(bridge.terminate)
        deadline = time.monotonic() + PATIENCE
        while any(way.publisher.statistics().connections == 0 for way in ways.values()):
            if time.monotonic() > deadline:
                sys.exit("the bridges did not connect")
            time.sleep(0.05)
        for way in ways.values():
            way.take(0)  # until it is awake
        passed = measure(ways, arguments.estimates)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
