"""The bad peers of `scripts.benchmarks.bad_peers` as faults: several of a kind, in a process of their own.

    python -m scripts.benchmarks.soak.attackers KIND ENDPOINT

They go on until killed, at the lowest priority: on other machines they would not take the tracker's processors away.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from scripts.benchmarks import bad_peers
from scripts.benchmarks.bad_peers import Stop

ATTACKERS: dict[str, tuple[Callable[[str, Stop], None], ...]] = {
    "subscribers that connect and vanish": (bad_peers.vanish, bad_peers.vanish_politely),
    "flood of subscriptions": (bad_peers.flood, bad_peers.flood_politely),
    "garbage on the port": (bad_peers.speak_garbage, bad_peers.speak_garbage_later),
    "messages to the publisher without end": (bad_peers.send_without_end, bad_peers.talk_back, bad_peers.change_mind),
    "silent TCP connections": (bad_peers.say_nothing,),
    "subscribers that never read, or slowly": (
        bad_peers.never_read,
        bad_peers.never_read_politely,
        bad_peers.read_slowly,
    ),
}


def main() -> None:
    """Attack until killed."""
    os.nice(19)
    kind, endpoint = sys.argv[1:]
    never = threading.Event()
    for attacker in ATTACKERS[kind]:
        threading.Thread(target=attacker, args=(endpoint, never), daemon=True).start()
    never.wait()


if __name__ == "__main__":
    main()
