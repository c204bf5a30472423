"""A thousand trackers through one hub to fifty subscribers: what is lost, how long it takes, what the hub costs.

Trackers are PUB sockets, many to a process, each of which sends real estimates twice a second; subscribers, in other
processes, hear all of them, which is what they ask most of a hub. Beside them one subscriber is connected to every
tracker directly: its latency, in the same run, is what the machine takes without a hub. Needs Linux.

    python scripts/benchmarks/hub.py [--trackers 1000] [--subscribers 50] [--seconds 20] [--keys]

With `--keys` the hub encrypts for its subscribers; its trackers and the direct subscriber do not.

Prints one line for each figure; the exit status is 1 if a message was lost or the 99th percentile is 50 ms or more.
"""

from __future__ import annotations

import argparse
import array
import multiprocessing
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zmq
from process_usage import cpu_seconds

from streamer.key_files import write_key_pair
from streamer.keys import ClientKeys
from streamer.messages import Estimate, Mood, encode

RATE = 2.0
"""Messages of a tracker per second."""
TARGET = 0.050
"""Seconds from a tracker's sending to a subscriber's having it, for 99 of 100 messages."""
TRACKER_PROCESSES = 2
SUBSCRIBER_PROCESSES = 5
QUIET = 1.5
"""Seconds without a message after which a subscriber has all that it will get."""
PATIENCE = 60.0
"""Seconds for everybody to hear everybody."""
_FIRST_FIELDS = 4  # version, stream, sequence, time


class Heard(NamedTuple):
    """What the subscribers of one process heard."""

    sent_at: np.ndarray
    latency: np.ndarray
    missing: int
    received: int
    busy: float
    """Processors' seconds per second of the process, its input and output thread included."""


def track(pipe: Connection, names: list[str], stop: Event) -> None:
    """Be several trackers, each at a moment of its own within a period, until told to stop."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = []
    for _ in names:
        socket = context.socket(zmq.PUB)
        socket.bind("tcp://127.0.0.1:*")
        sockets.append(socket)
    pipe.send([socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in sockets])
    mood = Mood(0.1234, -0.2345)
    order = random.Random(0).sample(range(len(names)), len(names))
    due, sequence = time.monotonic(), 0
    while not stop.is_set():
        for number in order:
            due += 1 / (RATE * len(names))
            time.sleep(max(0.0, due - time.monotonic()))
            estimate = Estimate(
                names[number], sequence, time.time(), sequence / 2, 0.1234, -0.2345, 0.2, 0.2, mood, "tracking",
                -20.1, 0.0, "benchmark",
            )  # fmt: skip
            sockets[number].send_multipart(encode(estimate))
        sequence += 1
    pipe.send({f"emotion/{name}/".encode(): sequence for name in names})
    pipe.recv()  # until everybody has everything
    context.destroy(linger=0)


def subscribe(pipe: Connection, endpoints: list[list[str]], streams: int, keys: ClientKeys | None) -> None:
    """Be several subscribers, each connected to some endpoints, until nothing comes any more."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.max_sockets = 4096
    poller = zmq.Poller()
    last: dict[zmq.Socket[bytes], dict[bytes, int]] = {}
    for connected in endpoints:
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 10_000)
        socket.subscribe("emotion/")
        if keys is not None:
            keys.apply_to(socket)
        for endpoint in connected:
            socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
        last[socket] = {}
    sent_at, latency = array.array("d"), array.array("d")
    began, used = time.monotonic(), time.process_time()
    received = missing = 0
    ready = False
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET or not ready:
        for socket, _ in poller.poll(200):
            quiet_since = time.monotonic()
            sequences = last[socket]
            try:
                for _ in range(200):
                    topic, body = socket.recv_multipart(zmq.NOBLOCK)
                    now = time.time()
                    fields = body.split(b", ", _FIRST_FIELDS)
                    sequence, sent = int(fields[2][12:]), float(fields[3][8:])
                    before = sequences.get(topic, sequence - 1)
                    if sequence <= before:
                        continue  # sent once more for another subscriber
                    missing += sequence - before - 1
                    sequences[topic] = sequence
                    received += 1
                    sent_at.append(sent)
                    latency.append(now - sent)
            except zmq.Again:
                pass
        if not ready and all(len(sequences) == streams for sequences in last.values()):
            ready = True
            began, used = time.monotonic(), time.process_time()
            pipe.send(True)
    busy = (time.process_time() - used) / (time.monotonic() - began)
    totals: dict[bytes, int] = pipe.recv()  # how many each tracker has sent
    for sequences in last.values():
        missing += sum(totals[topic] - 1 - sequence for topic, sequence in sequences.items())
    pipe.send(Heard(np.frombuffer(sent_at), np.frombuffer(latency, dtype=np.float64), missing, received, busy))
    context.destroy(linger=0)


def join(endpoint: str, streams: int, keys: ClientKeys | None) -> float:
    """Subscribe late, to all streams; gives the seconds until there is a message of each."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 10_000)
    socket.subscribe("emotion/")
    if keys is not None:
        keys.apply_to(socket)
    began = time.monotonic()
    socket.connect(endpoint)
    topics: set[bytes] = set()
    while len(topics) < streams and time.monotonic() - began < PATIENCE:
        if socket.poll(100):
            topics.add(socket.recv_multipart()[0])
    context.destroy(linger=0)
    return time.monotonic() - began


def make_keys(folder: Path) -> tuple[ClientKeys, list[str]]:
    """Make keys for the hub's subscribers, and give theirs and the hub's options."""
    allowed = folder / "allowed"
    allowed.mkdir(mode=0o755)
    public, secret = write_key_pair("hub", folder)
    _, subscriber_secret = write_key_pair("subscriber", folder)
    shutil.copy(folder / "subscriber.key", allowed)
    return ClientKeys.load(subscriber_secret, public), ["--server-key", str(secret), "--allow-clients", str(allowed)]


def memory(process: int, kind: str) -> float:
    """Give a process' memory in MB: ``VmRSS`` now, ``VmHWM`` at its peak."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) / 1e3


def percentiles(latency: np.ndarray) -> str:
    """Write the middle and the tail of latencies."""
    p50, p99, p999 = (float(np.percentile(latency, q)) * 1e3 for q in (50, 99, 99.9))
    return f"p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  p99.9 {p999:6.2f} ms  longest {float(latency.max()) * 1e3:6.1f} ms"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trackers", type=int, default=1000)
    parser.add_argument("--subscribers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--keys", action="store_true")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    start = multiprocessing.get_context("spawn")
    stop = start.Event()

    def launch(target: object, *arguments: object) -> Connection:
        ours, theirs = start.Pipe()
        start.Process(target=target, args=(theirs, *arguments), daemon=True).start()  # type: ignore[arg-type]
        return ours

    names = [f"tracker{number:04}" for number in range(options.trackers)]
    trackers = [launch(track, names[part::TRACKER_PROCESSES], stop) for part in range(TRACKER_PROCESSES)]
    endpoints = [endpoint for tracker in trackers for endpoint in tracker.recv()]
    scratch = tempfile.TemporaryDirectory()
    folder = Path(scratch.name)
    listed = folder / "trackers.txt"
    listed.write_text("".join(f"{endpoint}\n" for endpoint in endpoints))
    keys, encryption = make_keys(folder) if options.keys else (None, [])
    hub = subprocess.Popen(
        [
            *(sys.executable, "-m", "streamer.start", "hub", "--from-file", listed),
            *("--publish", "tcp://127.0.0.1:*", "--metrics", "0"),
            *encryption,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert hub.stderr is not None
    metrics = hub.stderr.readline().split()[1]
    endpoint = hub.stderr.readline().split()[1]
    each = [options.subscribers // SUBSCRIBER_PROCESSES] * SUBSCRIBER_PROCESSES
    for number in range(options.subscribers % SUBSCRIBER_PROCESSES):
        each[number] += 1
    subscribers = [launch(subscribe, [[endpoint]] * count, options.trackers, keys) for count in each if count]
    direct = launch(subscribe, [endpoints], options.trackers, None)
    for one in (*subscribers, direct):
        if not one.poll(PATIENCE):
            sys.exit(f"after {PATIENCE:.0f} s not everybody hears everybody")
        one.recv()
    time.sleep(2.0)
    began, used = time.time(), cpu_seconds(hub.pid)
    time.sleep(options.seconds)
    ended, used = time.time(), cpu_seconds(hub.pid) - used
    joined = join(endpoint, options.trackers, keys)
    joined_until = time.time() + 0.5
    resident, peak = memory(hub.pid, "VmRSS"), memory(hub.pid, "VmHWM")
    time.sleep(1.0)
    stop.set()
    totals = {topic: total for tracker in trackers for topic, total in tracker.recv().items()}
    heard = []
    for one in (*subscribers, direct):
        one.send(totals)
        heard.append(Heard(*one.recv()))
    page = urllib.request.urlopen(metrics).read().decode()
    counts = dict(re.findall(r"^moodring_hub_(\w+) ([0-9.e+]+)", page, re.MULTILINE))
    for tracker in trackers:
        tracker.send(None)
    hub.terminate()
    complaints = hub.stderr.read().splitlines()
    hub.wait()
    scratch.cleanup()

    def within(part: Heard, since: float, until: float) -> np.ndarray:
        return part.latency[(part.sent_at >= since) & (part.sent_at < until)]

    through = np.concatenate([within(part, began, ended) for part in heard[:-1]])
    beside_joiner = np.concatenate([within(part, ended, joined_until) for part in heard[:-1]])
    directly = within(heard[-1], began, ended)
    lost = sum(part.missing for part in heard[:-1])
    p99 = float(np.percentile(through, 99))
    seconds = ended - began
    print(
        f"{options.trackers} trackers x {RATE:g} messages/s, {options.subscribers} subscribers to all of them, "
        f"{seconds:.0f} s: {len(through) / seconds:.0f} messages/s delivered"
    )
    print(f"  through the hub  {percentiles(through)}   lost {lost} of {lost + sum(h.received for h in heard[:-1])}")
    print(f"  directly         {percentiles(directly)}   lost {heard[-1].missing}")
    print(f"  p99 through the hub / p99 directly: {p99 / float(np.percentile(directly, 99)):.2f}")
    print(f"  a late joiner heard of all streams after {joined:.2f} s; the others meanwhile:")
    print(f"                   {percentiles(beside_joiner)}")
    print(f"  hub: {100 * used / seconds:.0f} % of a core, memory {resident:.0f} MB, at its peak {peak:.0f} MB")
    print(f"  subscribers: {100 * sum(part.busy for part in heard[:-1]):.0f} % of a core, all processes together")
    print("  hub's counts: " + ", ".join(f"{name} {float(value):.0f}" for name, value in counts.items()))
    for line in complaints:
        print(f"  hub said: {line}")
    sys.exit(1 if lost or p99 >= TARGET else 0)


if __name__ == "__main__":
    main()
