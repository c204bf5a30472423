"""What bad subscribers do to the good ones and to the publisher: quiet and under attack in turn, in one run.

A publisher sends the estimates of several streams to well-behaved subscribers in other processes. In every other part
of the run bad ones join in, a process each, which makes 200: two never read, one reads a tenth, others connect and
vanish in a loop, subscribe to a million topics, send garbage, say nothing, or send a message without end (`bad_peers`
has them all). Prints messages sent, received and lost by the well-behaved, their latency quiet and under attack, and
the publisher's memory. Needs Linux.

    python scripts/benchmarks/bad_subscribers.py [--rounds 7] [--seconds 6]

The bad ones run when nothing else wants the processors (SCHED_IDLE): on other machines they would not take them away
from the publisher. What they make the publisher and the kernel do counts in full.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import zmq
from bad_peers import BAD_PEERS, Stop
from process_usage import cpu_seconds, memory

from streamer.messages import Estimate, Mood, decode
from streamer.publisher import Publisher

STREAMS = 4
RATE = 5.0
"""Estimates per second of each stream; more often than a tracker's two, for the statistics."""
PROCESSES = 6
SUBSCRIBERS_EACH = 31
SETTLE = 2.0
"""Seconds at the beginning of each part, in which the attackers start or end, that are in neither's latency."""
AFTERWARDS = 10.0
"""Seconds between the last attack and the last look at the publisher's memory."""


def publish(pipe: Connection, stop: Event) -> None:
    """Publish estimates whose time is that of sending, until told to stop; in a process of its own."""
    logging.disable()  # the attack is known
    with Publisher("tcp://127.0.0.1:*") as publisher:
        pipe.send(publisher.endpoint)
        names = [f"s{stream}" for stream in range(STREAMS)]
        for name in names:
            publisher.set_status(name, "running")
        sent, due = 0, time.monotonic()
        while not stop.is_set():
            name, sequence = names[sent % STREAMS], sent // STREAMS
            mood = Mood(0.1234, -0.2345)
            publisher.publish(
                Estimate(name, sequence, time.time(), sequence / 2, 0.1234, -0.2345, 0.2, 0.2, mood, "tracking", -20.1,
                         0.0, "benchmark")
            )  # fmt: skip
            sent += 1
            due += 1 / (STREAMS * RATE)
            time.sleep(max(0.0, due - time.monotonic()))
        for name in names:
            publisher.set_status(name, "ended")
        pipe.send((sent, publisher.statistics()))


def subscribe(pipe: Connection, endpoint: str) -> None:
    """Be several good subscribers until the streams have ended; in a process of its own.

    Sends a word when everybody has heard every stream, and at the end when each estimate was sent and how long it
    took, how many should have come, and how many came that were not the next.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    for _ in range(SUBSCRIBERS_EACH):
        reader = context.socket(zmq.SUB)
        reader.connect(endpoint)
        reader.subscribe(b"emotion/")
        reader.subscribe(b"status/")
        poller.register(reader, zmq.POLLIN)
    first: dict[tuple[Any, str], int] = {}
    last: dict[tuple[Any, str], int] = {}
    ended: set[tuple[Any, str]] = set()
    disorder = 0
    sent, delays = [], []
    told = False
    while len(ended) < SUBSCRIBERS_EACH * STREAMS:
        for reader, _ in poller.poll():
            message = decode(reader.recv_multipart())
            arrived = time.time()
            key = (reader, message.stream)
            if not isinstance(message, Estimate):
                if message.state == "ended":
                    ended.add(key)
            elif key not in first:
                first[key] = last[key] = message.sequence
            elif message.sequence != last[key]:  # otherwise a last value, sent once more for somebody else
                disorder += message.sequence != last[key] + 1
                last[key] = message.sequence
                sent.append(message.time)
                delays.append(arrived - message.time)
        if not told and len(first) == SUBSCRIBERS_EACH * STREAMS:
            told = True
            pipe.send("ready")
    newest = {name: max(last[key] for key in last if key[1] == name) for _, name in last}
    expected = sum(newest[name] - began for (_, name), began in first.items())
    pipe.send((np.array(sent), np.array(delays), expected, disorder))
    context.destroy(linger=0)


def be_bad(peer: Callable[[str, Stop], None], endpoint: str, stop: Event) -> None:
    """Be one bad subscriber; in a process of its own."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    peer(endpoint, stop)


def run_parts(
    processes: Any, pid: int, endpoint: str, rounds: int, seconds: float, only: str
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, float]]:
    """Let quiet and attack take turns; give when each was, and the publisher's share of a core in them."""
    when: dict[str, list[tuple[float, float]]] = {"quiet": [], "attack": []}
    cpu = {"quiet": 0.0, "attack": 0.0}
    for _ in range(rounds):
        for part, parts in when.items():
            stop = processes.Event()
            peers = [peer for peer in BAD_PEERS if only in peer.__name__] if part == "attack" else []
            attackers = [processes.Process(target=be_bad, args=(peer, endpoint, stop), daemon=True) for peer in peers]
            for attacker in attackers:
                attacker.start()
            time.sleep(SETTLE)
            began, used = time.time(), cpu_seconds(pid)
            time.sleep(seconds)
            parts.append((began, time.time()))
            cpu[part] += (cpu_seconds(pid) - used) / seconds / rounds
            stop.set()
            for attacker in attackers:
                attacker.join(5)
                if attacker.is_alive():
                    attacker.kill()
    return when, cpu


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="parts of each kind (default 7)")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a part (default 6)")
    parser.add_argument("--only", default="", help="attack with those alone whose name contains this")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    processes = multiprocessing.get_context("spawn")
    stop = processes.Event()
    pipe, end = processes.Pipe()
    publisher = processes.Process(target=publish, args=(end, stop))
    publisher.start()
    endpoint = pipe.recv()
    readers = []
    for _ in range(PROCESSES):
        ours, theirs = processes.Pipe()
        reader = processes.Process(target=subscribe, args=(theirs, endpoint), daemon=True)
        reader.start()
        readers.append((reader, ours))
    for _, ours in readers:
        ours.recv()
    pid = publisher.pid
    assert pid is not None
    time.sleep(SETTLE)
    before = memory(pid, "VmRSS")
    when, cpu = run_parts(processes, pid, endpoint, options.rounds, options.seconds, options.only)
    time.sleep(AFTERWARDS)
    after, peak = memory(pid, "VmRSS"), memory(pid, "VmHWM")
    stop.set()
    sent, done = pipe.recv()
    heard = [ours.recv() for _, ours in readers]
    publisher.join(10)
    times, delays = (np.concatenate([one[i] for one in heard]) for i in (0, 1))
    expected, disorder = (sum(one[i] for one in heard) for i in (2, 3))
    good = PROCESSES * SUBSCRIBERS_EACH
    print(f"{good} well-behaved subscribers, {len(BAD_PEERS)} bad ones; {sent} estimates sent")
    print(f"received {len(delays)} of {expected}: {expected - len(delays)} lost, {disorder} out of order")
    figures: dict[str, list[float]] = {}
    for part, parts in when.items():
        of_parts = [delays[(times >= began) & (times < ended)] * 1000 for began, ended in parts]
        p50, p99 = np.median([np.percentile(one, [50, 99]) for one in of_parts], axis=0)
        figures[part] = [p50, p99]
        spread = ", ".join(f"{np.percentile(one, 99):.1f}" for one in of_parts)
        print(f"{part:7s} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   (p99 of each part: {spread})   "
              f"publisher {cpu[part]:.0%} of a core")  # fmt: skip
    ratios = [
        np.percentile(delays[(times >= b) & (times < e)], 99) / np.percentile(delays[(times >= a) & (times < d)], 99)
        for (a, d), (b, e) in zip(when["quiet"], when["attack"], strict=True)
    ]
    print(f"p99 under attack / quiet: {figures['attack'][1] / figures['quiet'][1]:.2f}   "
          f"(median of the pairs {statistics.median(ratios):.2f})")  # fmt: skip
    print(f"publisher's memory: {before:.0f} MB before, {peak:.0f} MB at its peak, {after:.0f} MB afterwards")
    print(done)


if __name__ == "__main__":
    main()
