"""Every kind of bad subscriber at once, in another process, while good ones listen in a third."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamer.messages import Estimate, Mood
from streamer.publisher import Publisher
from tests.conftest import REPOSITORY

GOOD = 20
SECONDS = 6.0
BAD_PROGRAM = """
import functools, sys, threading
from scripts.benchmarks import bad_peers
stop = threading.Event()
for peer in bad_peers.BAD_PEERS:
    if peer in (bad_peers.flood, bad_peers.flood_politely):
        peer = functools.partial(peer, topics=50_000)
    threading.Thread(target=peer, args=(sys.argv[1], stop), daemon=True).start()
print("attacking", flush=True)
sys.stdin.readline()
stop.set()
"""
GOOD_PROGRAM = """
import json, sys, threading
from streamer.subscriber import Subscriber
heard = []
def listen():
    with Subscriber(sys.argv[1], timeout=30, until_ended=True) as subscriber:
        own = [next(subscriber).sequence]
        heard.append(own)
        ready.release()
        own.extend(estimate.sequence for estimate in subscriber)
ready = threading.Semaphore(0)
threads = [threading.Thread(target=listen) for _ in range(int(sys.argv[2]))]
for thread in threads:
    thread.start()
for thread in threads:
    ready.acquire()
print("ready", flush=True)
for thread in threads:
    thread.join()
print(json.dumps(heard))
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()  # the line that says that it is ready
    return process


def _memory() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="memory and floods are measured as Linux has them")
def test_bad_subscribers_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with Publisher("tcp://127.0.0.1:*") as publisher:
        publisher.set_status("a", "running")
        publisher.publish(_estimate(0))
        good = _start(GOOD_PROGRAM, publisher.endpoint, str(GOOD))
        before = peak = _memory()
        bad = _start(BAD_PROGRAM, publisher.endpoint)
        longest = 0.0
        sequence, started = 0, time.monotonic()
        during = publisher.statistics()
        while time.monotonic() < started + SECONDS or min(during.disconnected_floods, during.refused_handshakes) < 3:
            assert time.monotonic() < started + 60
            sequence += 1
            began = time.monotonic()
            publisher.publish(_estimate(sequence))
            longest = max(longest, time.monotonic() - began)
            peak = max(peak, _memory())
            during = publisher.statistics()
            time.sleep(0.01)
        bad.communicate("\n", timeout=20)
        deadline = time.monotonic() + 20
        while publisher.statistics().connections != GOOD:
            assert publisher.alive
            assert time.monotonic() < deadline, "the bad ones' connections stay open"
            time.sleep(0.05)
        publisher.set_status("a", "ended")
        output, _ = good.communicate(timeout=30)
        assert publisher.statistics().dropped == 0
    print(f"memory +{peak - before:.0f} MB, longest call {longest:.3f} s, {during}")
    heard = json.loads(output)
    assert len(heard) == GOOD
    for sequences in heard:
        assert sequences == list(range(sequences[0], sequence + 1))
        assert sequences[0] == 0
    assert longest < 2.0  # seconds that the tracker would have waited
    assert peak - before < 250  # in MB; all that is sent in the time would take gigabytes
    assert len(caplog.records) < 60
    assert "disconnected 127.0.0.1:" in caplog.text
    assert "refused a connection from " in caplog.text


def _estimate(sequence: int) -> Estimate:
    return Estimate("a", sequence, 1.0, sequence / 2, 0.1, 0.2, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m")
