"""How late estimates arrive when one process tracks many live streams, and what that costs.

Runs ``moodring serve`` with as many looped files, each in real time, subscribes to all of them in this process, and
prints how long after the end of its 500 ms frame each estimate arrived, estimates lost, audio dropped, and the
tracker's share of one core, first with one stream, then with all. Beside them, in the same run: empty messages that
another process sends as often, and how busy it is.

    python scripts/benchmarks/streams.py [--streams 200] [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import zmq
from process_usage import cpu_seconds, memory

from streamer.composer import compose
from streamer.messages import Estimate
from streamer.subscriber import Subscriber

MOODRING = [str(Path(sys.executable).with_name("moodring"))]
SETTLING = 65.0
"""Seconds before the measurement begins: until then windows and the memory of a minute are filling."""
ENDING = 5.0
PIECE_RATE = 44100
EMPTY = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
interval, due = 0.5 / int(sys.argv[1]), time.monotonic()
while True:
    socket.send(str(time.time()).encode())
    due += interval
    time.sleep(max(0.0, due - time.monotonic()))
"""


@dataclass
class Outcome:
    """What was seen of some streams: delays in milliseconds, estimates lost, seconds dropped, shares of one core."""

    delays: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)
    lost: int = 0
    dropped: float = 0.0
    share: float = 0.0
    empty_share: float = 0.0
    memory: float = 0.0


def configure(folder: Path, streams: int, port: int) -> Path:
    """Write a configuration of so many looped files, which are links to one."""
    text = f'[publish]\nendpoint = "tcp://127.0.0.1:{port}"\n'
    for number in range(streams):
        text += f'[streams.s{number}]\ntype = "file"\npath = "{folder / "piece.wav"}"\nloop = true\n'
    path = folder / "serve.toml"
    path.write_text(text)
    return path


def hear_empty(port: int, measuring: threading.Event, delays: list[float]) -> None:
    """Note how many milliseconds empty messages took, while that is being measured; for a thread, for ever."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(f"tcp://127.0.0.1:{port}")
    socket.subscribe(b"")
    while True:
        sent = float(socket.recv())
        if measuring.is_set():
            delays.append((time.time() - sent) * 1000)


def measure(folder: Path, streams: int, seconds: float) -> Outcome:
    """Track so many streams for a while, and hear all of them."""
    outcome = Outcome()
    port = 20000 + os.getpid() % 20000
    tracker = subprocess.Popen([*MOODRING, "serve", str(configure(folder, streams, port))], stderr=subprocess.DEVNULL)
    sender = subprocess.Popen([sys.executable, "-c", EMPTY, str(streams)], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    measuring = threading.Event()
    listener = threading.Thread(
        target=hear_empty, args=(int(sender.stdout.readline()), measuring, outcome.empty), daemon=True
    )
    listener.start()
    newest: dict[str, int] = {}
    began = 0.0
    used = (0.0, 0.0)
    try:
        with Subscriber(f"tcp://127.0.0.1:{port}", timeout=120) as subscriber:
            settled = time.monotonic() + SETTLING + streams / 20
            while not began or time.monotonic() < began + seconds:
                message = subscriber.receive()
                arrived = time.time()
                if not began and time.monotonic() > settled:
                    began = time.monotonic()
                    measuring.set()
                    used = cpu_seconds(tracker.pid), cpu_seconds(sender.pid)
                if not isinstance(message, Estimate):
                    outcome.dropped = max(outcome.dropped, message.dropped)
                    continue
                if began:
                    outcome.delays.append((arrived - message.time) * 1000)
                    outcome.lost += message.sequence - newest.get(message.stream, message.sequence - 1) - 1
                newest[message.stream] = message.sequence
        measuring.clear()
        elapsed = time.monotonic() - began
        outcome.share = (cpu_seconds(tracker.pid) - used[0]) / elapsed
        outcome.empty_share = (cpu_seconds(sender.pid) - used[1]) / elapsed
        outcome.memory = memory(tracker.pid)
    finally:
        tracker.send_signal(signal.SIGINT)
        sender.terminate()
        try:
            tracker.wait(ENDING)
        except subprocess.TimeoutExpired:
            tracker.kill()
        sender.wait()
    return outcome


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=200, help="streams at once (default 200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds to measure (default 60)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "piece.wav", compose(), PIECE_RATE)
        for streams in (1, options.streams):
            outcome = measure(Path(folder), streams, options.seconds)
            print(
                f"{streams} stream{'s' * (streams > 1)}, {len(outcome.delays) / options.seconds:.0f} estimates a second"
            )
            for name, delays in (("estimate after its frame's end", outcome.delays), ("empty message", outcome.empty)):
                median, p99 = np.percentile(delays, [50, 99])
                print(f"  {name:32s} median {median:6.2f} ms   p99 {p99:6.2f} ms   ({len(delays)} messages)")
            print(f"  lost {outcome.lost} estimates, dropped {outcome.dropped:.2f} s of audio")
            print(
                f"  tracker {outcome.share:.1%} of one core, {outcome.memory:.0f} MB; "
                f"sender of empty messages {outcome.empty_share:.1%}"
            )


if __name__ == "__main__":
    main()
