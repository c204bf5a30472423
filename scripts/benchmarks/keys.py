"""What keys cost: latency with and without, how soon a key that comes or goes takes effect, and a folder of many keys.

python scripts/benchmarks/keys.py
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path

from streamer.allow_list import AllowList
from streamer.key_files import write_key_pair
from streamer.keys import ClientKeys, ServerKeys
from streamer.messages import Estimate, Mood
from streamer.publisher import Publisher
from streamer.subscriber import PublisherSilent, Subscriber

MESSAGES = 1000
CHANGES = 5
MANY = 1000
SILENCE = 1.5
"""Seconds without a status, which comes every second, that mean that nothing comes any more."""
ANY_PORT = "tcp://127.0.0.1:*"


def latency(server: ServerKeys | None, client: ClientKeys | None) -> tuple[float, float]:
    """Return the median and 99th percentile of the way from publisher to subscriber, in ms."""
    delays = []
    with Publisher(ANY_PORT, keys=server) as publisher, Subscriber(publisher.endpoint, keys=client) as subscriber:
        publisher.set_status("a", "running")
        subscriber.receive(10)
        for number in range(MESSAGES):
            mood = Mood(0.1, 0.2)
            estimate = Estimate("a", number, 1.0, 0.5, 0.1, 0.2, None, None, mood, "tracking", -20.0, 0.0, "m")
            started = time.perf_counter()
            publisher.publish(estimate)
            next(subscriber)
            delays.append(1000 * (time.perf_counter() - started))
            time.sleep(0.002)
    delays.sort()
    return delays[MESSAGES // 2], delays[MESSAGES * 99 // 100]


def changes(server: ServerKeys, client: ClientKeys, public: Path) -> tuple[list[float], list[float]]:
    """Return the seconds until a subscriber hears something after its key is added, and nothing after it is removed."""
    added, removed = [], []
    allowed = server.allow_clients / public.name
    with Publisher(ANY_PORT, keys=server) as publisher, Subscriber(publisher.endpoint, keys=client) as subscriber:
        for _ in range(CHANGES):
            publisher.set_status("a", "running")
            with suppress(PublisherSilent):
                subscriber.receive(0.5)
            allowed.write_bytes(public.read_bytes())
            started = time.monotonic()
            subscriber.receive(30)
            added.append(time.monotonic() - started)
            allowed.unlink()
            started = heard = time.monotonic()
            with suppress(PublisherSilent):
                while True:
                    publisher.set_status("a", "running")
                    subscriber.receive(SILENCE)
                    heard = time.monotonic()
            removed.append(heard - started)
    return added, removed


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (server_public, server_secret), (public, secret) = (write_key_pair(who, folder) for who in ("stage", "lights"))
        allowed = folder / "allowed"
        allowed.mkdir(mode=0o755)
        server, client = ServerKeys.load(server_secret, allowed), ClientKeys.load(secret, server_public)
        added, removed = changes(server, client, public)
        print(f"a key is added: heard after {min(added):.1f} to {max(added):.1f} s")
        print(f"a key is removed: nothing more after {min(removed):.1f} to {max(removed):.1f} s")
        (allowed / public.name).write_bytes(public.read_bytes())
        for kind, keys in (("without keys", (None, None)), ("with keys", (server, client))):
            median, late = latency(*keys)
            print(f"latency {kind}: p50 {median:.2f} ms, p99 {late:.2f} ms")
        for number in range(MANY):
            (allowed / f"{number}.key").write_bytes(public.read_bytes())
        started = time.perf_counter()
        many = AllowList(allowed)
        read = time.perf_counter()
        time.sleep(2.5)  # until the files' times tell of every change
        many.refresh()
        again = time.perf_counter()
        many.refresh()
        print(
            f"{MANY} keys: read in {1000 * (read - started):.0f} ms, "
            f"looked at again in {1000 * (time.perf_counter() - again):.0f} ms"
        )


if __name__ == "__main__":
    main()
