from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from prometheus_client.parser import text_string_to_metric_families

from model.checkpoint import load_checkpoint
from model.errors import MoodringError
from streamer.messages import Estimate, Status
from streamer.publisher import Publisher
from streamer.service.configuration import load_configuration
from streamer.service.service import Service
from streamer.subscriber import Subscriber

MOODRING = [sys.executable, "-m", "streamer.cli"]
PATIENCE = 40.0


class Served:
    """A running ``moodring serve``, its log and a subscriber."""

    def __init__(self, folder: Path, streams: str, environment: dict[str, str] | None = None, head: str = "") -> None:
        self.path = folder / "serve.toml"
        self.endpoint = f"ipc://{folder}/moodring.sock"
        self.head = f'{head}\n[publish]\nendpoint = "{self.endpoint}"\n[http]\nlisten = "127.0.0.1:0"\n'
        self.configure(streams)
        self.process = subprocess.Popen(
            [*MOODRING, "serve", str(self.path), "--log-format", "json"],
            env=environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, str]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.subscriber = Subscriber(self.endpoint, timeout=PATIENCE)
        self.estimates: dict[str, list[Estimate]] = {}
        self.statuses: dict[str, list[Status]] = {}

    def configure(self, streams: str) -> None:
        self.path.write_text(self.head + streams)

    def logged(self, text: str) -> bool:
        return any(text in line["message"] for line in self.log)

    def state(self, stream: str) -> str:
        return self.statuses[stream][-1].state if stream in self.statuses else ""

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.log, {name: told[-1] for name, told in self.statuses.items()})
            assert self.process.poll() is None, self.log
            self.take(0.1)

    def take(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0 and self.subscriber._socket.poll(int(remaining * 1000)):
            message = self.subscriber.receive()
            if isinstance(message, Estimate):
                self.estimates.setdefault(message.stream, []).append(message)
            else:
                self.statuses.setdefault(message.stream, []).append(message)

    def get(self, path: str) -> tuple[int, str]:
        self.until(lambda: self.logged("health and metrics"))
        line = next(line["message"] for line in self.log if "health and metrics" in line["message"])
        url = line[line.index("http://") :].split("/healthz")[0]
        try:
            with urllib.request.urlopen(url + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def health(self) -> tuple[int, dict[str, Any]]:
        status, body = self.get("/healthz")
        return status, json.loads(body)

    def metrics(self) -> dict[tuple[str, str], float]:
        """Give what `prometheus_client` reads: by the sample's name and the stream's, or another label's value."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = [sample for family in families for sample in family.samples]
        return {(s.name, s.labels.get("stream", s.labels.get("surface", ""))): s.value for s in samples}

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal; give the seconds that it took until all threads had been joined."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        self._reader.join()
        return float(self.log[-1]["message"].removeprefix("ended in ").removesuffix(" s"))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.subscriber.close()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as errors:
            for line in errors:
                self.log.append(json.loads(line))


@contextmanager
def serving(folder: Path, streams: str, **options: Any) -> Iterator[Served]:
    served = Served(folder, streams, **options)
    try:
        yield served
    finally:
        served.close()


@pytest.fixture
def pcm(piece: np.ndarray) -> bytes:
    """Give five seconds of the demo piece as 16-bit stereo PCM of 44.1 kHz."""
    return bytes((piece[: 44100 * 5] * 32767).astype("<i2").tobytes())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_streams_of_every_kind_and_one_that_fails(tmp_path: Path, song: Path, pcm: bytes, free_port: int) -> None:
    excerpt = tmp_path / "excerpt.wav"
    samples, rate = soundfile.read(song, dtype="int16", stop=44100 * 2)
    soundfile.write(excerpt, samples, rate)
    os.mkfifo(tmp_path / "pipe")
    configuration = f"""
        [streams.loop]
        type = "file"
        path = "excerpt.wav"
        [streams.pipe]
        type = "fifo"
        path = "pipe"
        [streams.net]
        type = "tcp"
        listen = "127.0.0.1:{free_port}"
        [streams.stdin]
        type = "stdin"
        [streams.late]
        type = "file"
        path = "late.wav"
    """
    with serving(tmp_path, configuration) as served:
        served.until(lambda: served.state("late") == served.state("net") == served.state("pipe") == "stalled")
        assert "there is no file" in served.statuses["late"][-1].reason
        assert f"no writer is connected to tcp://127.0.0.1:{free_port}" in served.statuses["net"][-1].reason
        status, health = served.health()
        assert (status, health["healthy"], health["tracker"]) == (503, False, "running")
        assert health["streams"]["loop"]["healthy"]
        assert not health["streams"]["late"]["healthy"]

        (tmp_path / "late.wav").write_bytes(excerpt.read_bytes())
        source = tmp_path / "five.pcm"
        source.write_bytes(pcm)
        ffmpeg = ["ffmpeg", "-loglevel", "error", "-f", "s16le", "-ar", "44100", "-ac", "2", "-i", str(source)]
        sender = subprocess.Popen([*ffmpeg, "-f", "s16le", f"tcp://127.0.0.1:{free_port}"])
        writer = subprocess.Popen(["dd", f"if={source}", f"of={tmp_path}/pipe", "status=none"])
        assert served.process.stdin is not None
        stdin = threading.Thread(target=lambda: served.process.stdin.buffer.write(pcm))  # type: ignore[union-attr]
        stdin.start()
        served.until(lambda: served.health()[0] == 200)
        served.until(lambda: all(len(served.estimates.get(name, ())) >= 8 for name in ("pipe", "net", "stdin", "late")))
        for name in ("pipe", "stdin"):
            for there, here in zip(served.estimates["net"][:8], served.estimates[name][:8], strict=True):
                assert there.position == here.position
                assert there.valence == pytest.approx(here.valence, abs=1e-3)
                assert -0.5 < time.time() - here.time < 60
        positions = [estimate.position for estimate in served.estimates["loop"]]
        np.testing.assert_allclose(np.diff(positions), 0.5)
        assert positions[-1] > 2.5  # beyond the file's end
        runs = {status.started for status in served.statuses["late"]}
        assert len(runs) >= 2  # the file was opened again: another run
        assert served.estimates["late"][0].sequence == 0

        metrics = served.metrics()
        assert metrics["moodring_estimates_published_total", "loop"] > 0
        assert metrics["moodring_frames_total", "loop"] >= len(positions)
        assert metrics["moodring_latency_seconds_count", "net"] >= 8
        assert metrics["moodring_restarts_total", "late"] >= 1
        assert metrics["moodring_stalls_total", "net"] == 1
        assert metrics["moodring_subscribers", ""] == 1
        assert metrics["moodring_tracker_up", ""] == metrics["moodring_publisher_up", ""] == 1
        assert metrics["moodring_model_seconds_count", ""] == metrics["moodring_batch_frames_count", ""] > 0
        assert metrics["moodring_queue_frames", "net"] < 8
        assert metrics["moodring_refused_connections_total", "pcm"] == 0

        began = {name: served.statuses[name][-1].started for name in ("net", "loop")}
        sender.wait(20)
        writer.wait(20)
        served.until(lambda: served.state("net") == "stalled")
        assert subprocess.run([*ffmpeg, "-t", "1", "-f", "s16le", f"tcp://127.0.0.1:{free_port}"], check=True)
        before = len(served.estimates["net"])
        served.until(lambda: len(served.estimates["net"]) > before)
        assert served.state("net") == "running"
        gap = served.estimates["net"][before].position - served.estimates["net"][before - 1].position
        assert gap > 1.5
        assert served.estimates["net"][before].sequence == served.estimates["net"][before - 1].sequence + 1
        assert served.statuses["net"][-1].started == began["net"]
        assert served.statuses["net"][-1].dropped > 1
        stdin.join(20)
        served.process.stdin.close()
        served.until(lambda: served.state("stdin") == "ended")
        assert served.statuses["stdin"][-1].reason == "end of input"

        assert served.end() < 2
        served.take(0.5)
        assert served.process.returncode == 0
        assert {name: told[-1].state for name, told in served.statuses.items()} == dict.fromkeys(
            ("loop", "pipe", "net", "stdin", "late"), "ended"
        )
        assert served.statuses["loop"][-1].reason == "stopped"
        assert served.statuses["loop"][-1].started == began["loop"]


def test_reload(tmp_path: Path, song: Path, free_port: int) -> None:
    kept = f'[streams.kept]\ntype = "file"\npath = "{song}"\n'
    changed = f'[streams.changed]\ntype = "tcp"\nlisten = "127.0.0.1:{free_port}"\nchannels = %d\n'
    removed = f'[streams.removed]\ntype = "file"\npath = "{song}"\n'
    added = f'[streams.added]\ntype = "file"\npath = "{song}"\n'
    with serving(tmp_path, kept + changed % 2 + removed) as served:
        served.until(lambda: {"kept", "removed"} <= set(served.estimates) and served.state("changed") == "stalled")
        served.configure(kept + changed % 0)
        served.process.send_signal(signal.SIGHUP)
        served.until(lambda: served.logged("was not reloaded; everything goes on as before"))
        assert served.logged(f"{served.path}: streams.changed.channels = 0 is not valid; give a whole number")
        before = len(served.estimates["removed"])
        served.until(lambda: len(served.estimates["removed"]) > before)

        served.head = served.head.replace("[publish]", 'model = "large"\n[publish]')
        served.configure(kept + "required = false\n" + changed % 1 + added)
        served.process.send_signal(signal.SIGHUP)
        served.until(lambda: served.logged("added: added; removed: removed; changed: changed"))
        assert served.logged("restart to apply what has changed: model; until then it stays as it was")
        served.until(lambda: served.state("removed") == "ended" and len(served.estimates.get("added", ())) >= 2)
        assert served.statuses["removed"][-1].reason == "removed from the configuration"
        began = len(served.estimates["kept"])
        served.until(lambda: len(served.estimates["kept"]) > began + 1)
        with socket.create_connection(("127.0.0.1", free_port)) as writer:  # one channel now: 1.2 s, two frames
            writer.sendall(bytes(53000 * 2))
            served.until(lambda: len(served.estimates.get("changed", ())) == 2)

        kept_ones = served.estimates["kept"]
        first = kept_ones[0].sequence
        assert [estimate.sequence for estimate in kept_ones] == list(range(first, first + len(kept_ones)))
        np.testing.assert_allclose(np.diff([estimate.time for estimate in kept_ones]), 0.5, atol=1e-3)
        assert len({status.started for status in served.statuses["kept"]}) == 1
        assert len({status.started for status in served.statuses["changed"]}) == 2
        assert "ended" not in {status.state for status in served.statuses["changed"]}
        assert {estimate.model for estimate in kept_ones} == {kept_ones[0].model}
        _, health = served.health()
        assert set(health["streams"]) == {"kept", "changed", "added"}
        assert not health["streams"]["kept"]["required"]
        assert not any(stream == "removed" for _, stream in served.metrics())
        assert served.end(signal.SIGINT) < 2
        assert served.process.returncode == 0


def test_the_service_manager_is_told(tmp_path: Path, song: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify.sock"))
        manager.settimeout(PATIENCE)
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(tmp_path / "notify.sock"),
            "WATCHDOG_USEC": "600000",
        }
        with serving(tmp_path, f'[streams.a]\ntype = "file"\npath = "{song}"\n', environment=environment) as served:

            def told(until: str) -> list[str]:
                heard = []
                while until not in heard:
                    heard += manager.recv(4096).decode().splitlines()
                return heard

            assert told("READY=1")[0] == "READY=1"
            served.until(lambda: served.state("a") == "running")
            told("WATCHDOG=1")
            began = time.monotonic()
            told("WATCHDOG=1")
            assert time.monotonic() - began < 5
            told("STATUS=1 of 1 streams are well")
            served.process.send_signal(signal.SIGHUP)
            reloading = told("READY=1")
            assert "RELOADING=1" in reloading
            assert any(line.startswith("MONOTONIC_USEC=") for line in reloading)
            served.end()
            told("STOPPING=1")


def test_a_model_that_breaks_ends_the_service(tmp_path: Path, song: Path) -> None:
    broken = load_checkpoint()
    with torch.no_grad():
        for parameter in broken.network.parameters():
            parameter.mul_(1e30)
    broken.save(tmp_path / "broken.safetensors")
    streams = f'[streams.a]\ntype = "file"\npath = "{song}"\n[streams.b]\ntype = "file"\npath = "{song}"\n'
    with serving(tmp_path, streams, head='model = "broken.safetensors"') as served:
        served.process.wait(PATIENCE)
        served.take(1)
        assert served.process.returncode == 1
        assert {told[-1].state for told in served.statuses.values()} == {"failed"}
        for name in ("a", "b"):
            assert "gives values that are not numbers" in served.statuses[name][-1].reason
        served.close()
        assert served.log[-2]["level"] == "critical"
        assert "cannot go on: tracking failed: model" in served.log[-2]["message"]


def test_what_cannot_start(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    stream = '[streams.a]\ntype = "stdin"\n'
    with Publisher("tcp://127.0.0.1:*") as publisher:
        path.write_text(f'{stream}[publish]\nendpoint = "{publisher.endpoint}"\n[http]\nlisten = "127.0.0.1:0"\n')
        refused = subprocess.run(
            [*MOODRING, "serve", str(path)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "level=critical" in refused.stderr
    assert "is already in use, perhaps by another moodring; choose another" in refused.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path.write_text(f'{stream}[publish]\nendpoint = "tcp://127.0.0.1:*"\n[http]\nlisten = "{address}"\n')
        with pytest.raises(MoodringError, match=f"cannot serve HTTP at {address}: Address already in use; choose"):
            Service(load_configuration(path))


def test_a_microphone_and_a_missing_one(sound_server: dict[str, str], tmp_path: Path, song: Path) -> None:
    streams = """
        [streams.mic]
        type = "microphone"
        [streams.missing]
        type = "microphone"
        device = "no such device"
        required = false
    """
    with serving(tmp_path, streams, environment=sound_server) as served:
        served.until(lambda: served.state("missing") == "stalled" and served.estimates.get("mic"))
        assert 'no input device named "no such device"' in served.statuses["missing"][-1].reason
        player = subprocess.Popen(["paplay", "--device=mic_sink", str(song)], env=sound_server)
        served.until(lambda: served.estimates["mic"][-1].valence is not None)
        player.kill()
        player.wait()
        assert served.health()[0] == 200
        assert served.end() < 2
        served.take(0.5)
        assert served.process.returncode == 0
        assert served.state("mic") == served.state("missing") == "ended"
