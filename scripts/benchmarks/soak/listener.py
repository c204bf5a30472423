"""A well-behaved subscriber in a process of its own: prints one line of JSON for each message that arrives.

    python -m scripts.benchmarks.soak.listener ENDPOINT

``["estimate", arrival, sequence, time, position, state]`` or
``["status", arrival, sequence, time, state, dropped, reason, started]``, times in UTC seconds.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress

from streamer.messages import Estimate
from streamer.subscriber import PublisherSilent, Subscriber


def main() -> None:
    """Listen until killed, or until nobody reads what is printed."""
    with Subscriber(sys.argv[1]) as subscriber, suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            try:
                message = subscriber.receive()
            except PublisherSilent:
                continue
            now = time.time()
            if isinstance(message, Estimate):
                line = ["estimate", now, message.sequence, message.time, message.position, message.state]
            else:
                line = ["status", now, message.sequence, message.time, message.state]
                line += [message.dropped, message.reason, message.started]
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
