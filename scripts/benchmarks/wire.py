"""How many bytes a live stream's messages take on the wire, as TCP carries them: topics, bodies and ZeroMQ's frames.

Plays a file in real time with `moodring stream`, and counts what its publisher sends to a subscriber of everything,
who is connected through a relay in this process, between two statuses.

    python scripts/benchmarks/wire.py [--seconds 30]
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import soundfile

from streamer.composer import compose
from streamer.subscriber import Subscriber

MOODRING = [sys.executable, "-m", "streamer.cli"]
SETTLING = 3.0
"""Seconds after the first estimate before counting begins: the handshake and last values are over."""

PATIENCE = 60.0
_TRY_EVERY = 0.1


class Relay:
    """Passes on one connection and counts the bytes from the publisher."""

    def __init__(self, publisher: int) -> None:
        self.received = 0
        self._publisher = publisher
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        subscriber, _ = self._listener.accept()
        publisher = self._connect()
        threading.Thread(target=self._pass, args=(subscriber, publisher), daemon=True).start()
        with suppress(OSError):  # the subscriber has heard enough
            while data := publisher.recv(65536):
                self.received += len(data)
                subscriber.sendall(data)

    def _connect(self) -> socket.socket:
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._publisher))
            except ConnectionRefusedError:
                time.sleep(_TRY_EVERY)  # it is not there yet

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)


def free_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to count (default 30)")
    arguments = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        soundfile.write(song, compose(), 44100)
        command = [*MOODRING, "stream", str(song), "--quiet", "--publish", f"tcp://127.0.0.1:{port}"]
        stream = subprocess.Popen(command)
        try:
            relay = Relay(port)
            with Subscriber(f"tcp://127.0.0.1:{relay.port}", timeout=PATIENCE) as subscriber:
                next(iter(subscriber))
                began = time.monotonic() + SETTLING
                estimates = before = 0
                for _ in subscriber:
                    if not before and time.monotonic() >= began:
                        began, before, estimates = time.monotonic(), relay.received, 0
                    estimates += 1
                    if before and time.monotonic() >= began + arguments.seconds:
                        break
            seconds = time.monotonic() - began
            count = relay.received - before
            print(f"{count / seconds:.0f} bytes a second of one stream, {estimates / seconds:.1f} estimates a second")
        finally:
            stream.terminate()
            stream.wait()


if __name__ == "__main__":
    main()
