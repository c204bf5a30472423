"""How late an estimate arrives, and what one live stream costs.

Streams a file in real time with ``moodring stream`` in one process and subscribes in this one. Prints how long after
the end of its 500 ms frame each estimate arrived, beside an empty message's way through ZeroMQ on this machine at the
same time, and the tracker's share of one core; then the same at ten estimates a second, and how many times that costs.
Then ``moodring --help`` beside an empty Python.

    python scripts/benchmarks/latency.py [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import zmq
from process_usage import cpu_seconds

from streamer.composer import compose
from streamer.subscriber import Subscriber

MOODRING = [str(Path(sys.executable).with_name("moodring"))]
SETTLED = 12
"""Seconds before the measurement begins: the window is filling."""
USUAL_RATE, HIGH_RATE = 2, 10
ECHO = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
time.sleep(1)
while True:
    socket.send(str(time.time()).encode())
    time.sleep(0.5)
"""


def measure(path: Path, seconds: float, rate: float) -> tuple[list[float], list[float], float]:
    """Stream a file; give the delays of estimates and of empty messages in ms, and the share of a core."""
    with tempfile.TemporaryDirectory() as folder:
        endpoint = f"tcp://127.0.0.1:{20000 + os.getpid() % 20000}"
        tracker = subprocess.Popen(
            [*MOODRING, "stream", str(path), "--publish", endpoint, "--quiet", "--rate", str(rate)], cwd=folder
        )
        echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
        assert echo.stdout is not None
        empty = zmq.Context().socket(zmq.SUB)
        empty.connect(f"tcp://127.0.0.1:{int(echo.stdout.readline())}")
        empty.subscribe(b"")
        delays, floor = [], []
        with Subscriber(endpoint, timeout=60) as subscriber:
            for estimate in subscriber:
                arrived = time.time()
                while empty.poll(0):
                    empty.recv()
                if estimate.sequence == SETTLED * rate:
                    began, used = time.monotonic(), cpu_seconds(tracker.pid)
                elif estimate.sequence > SETTLED * rate:
                    delays.append((arrived - estimate.time) * 1000)
                    if empty.poll(450 if rate == USUAL_RATE else 0):
                        floor.append((time.time() - float(empty.recv())) * 1000)
                    if len(delays) >= seconds * rate:
                        break
        share = (cpu_seconds(tracker.pid) - used) / (time.monotonic() - began)
        tracker.send_signal(signal.SIGINT)
        echo.terminate()
        tracker.wait()
        echo.wait()
    return delays, floor, share


def command_time(command: list[str]) -> float:
    """Return the median duration of a command in seconds, of 9 runs."""
    durations = []
    for _ in range(9):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        durations.append(time.perf_counter() - began)
    return statistics.median(durations)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of audio to measure (default 60)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "piece.wav"
        piece = compose()
        soundfile.write(path, np.tile(piece, (int((seconds + 20) // 60) + 1, 1)), 44100)
        usual = measure(path, seconds, USUAL_RATE)
        high = measure(path, seconds, HIGH_RATE)
    delays, floor, share = usual
    rows = {"estimate, after its frame's end": delays, "empty message": floor, f"estimate at {HIGH_RATE} Hz": high[0]}
    for name, values in rows.items():
        median, p99 = np.percentile(values, [50, 99])
        print(f"{name:32s} median {median:6.2f} ms   p99 {p99:6.2f} ms   ({len(values)} messages)")
    print(
        f"{'one live stream':32s} {share:.2%} of one core; at {HIGH_RATE} Hz {high[2]:.2%}, {high[2] / share:.2f} times"
    )
    helped, empty = command_time([*MOODRING, "--help"]), command_time([sys.executable, "-c", "pass"])
    print(f"{'moodring --help':32s} {helped:.3f} s   (an empty Python: {empty:.3f} s)")


if __name__ == "__main__":
    main()
