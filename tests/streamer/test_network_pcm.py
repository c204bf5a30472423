from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.named_pipe import NamedPipe
from streamer.network_pcm import TAKEOVER_AFTER, ConnectingPCM, ListeningPCM
from streamer.pcm import PCMDecoder, PCMFormat
from streamer.pcm_source import PCMSource
from streamer.source import Block, SourceError

PCM = PCMFormat(8000, 1, "s16le")
SECOND = (np.sin(np.arange(8000) / 7) * 2**14).astype("<i2")
SHORT = SECOND[:2000]


class Reading:
    """A source that is read in a thread."""

    def __init__(self, source: PCMSource) -> None:
        self.source = source
        self.blocks: list[Block] = []
        self.refused = 0
        source._on_refused = self._count
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate([block.samples[:, 0] for block in self.blocks] or [np.zeros(0)])

    @property
    def troubles(self) -> list[str]:
        return [block.trouble for block in self.blocks if block.trouble]

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.blocks[-3:], self.refused)
            assert self._thread.is_alive()
            time.sleep(0.01)

    def end(self) -> bool:
        self.source.close()
        self._thread.join(2)
        return not self._thread.is_alive()

    def _count(self) -> None:
        self.refused += 1

    def _read(self) -> None:
        for block in self.source.blocks():
            self.blocks.append(block)


@contextmanager
def reading(source: PCMSource) -> Iterator[Reading]:
    heard = Reading(source)
    try:
        yield heard
    finally:
        assert heard.end()


@pytest.fixture
def port() -> Iterator[Reading]:
    with reading(ListeningPCM("127.0.0.1", 0, PCM)) as heard:
        yield heard


def _connect(heard: Reading) -> socket.socket:
    assert isinstance(heard.source, ListeningPCM)
    return socket.create_connection(("127.0.0.1", heard.source.port), timeout=10)


@given(st.binary(max_size=200), st.lists(st.integers(0, 50), max_size=10), st.integers(1, 3))
def test_portions_of_any_size_give_the_same_samples(data: bytes, sizes: list[int], channels: int) -> None:
    def decode(portions: list[bytes]) -> list[bytes | str]:
        decoder = PCMDecoder("it", PCMFormat(8000, channels, "s24le"), "there")
        heard: list[bytes | str] = [b""]
        try:
            for samples in [*map(decoder.push, portions), decoder.finish()]:
                heard[0] += samples.tobytes()  # type: ignore[operator]
            decoder.refuse_rest()
        except SourceError as error:
            heard.append(str(error))
        return heard

    rest, portions = data, []
    for size in sizes:
        portions.append(rest[:size])
        rest = rest[size:]
    assert decode([*portions, rest]) == decode([data])


def test_what_a_writer_sends_at_once_is_heard_as_if_it_were_played(port: Reading) -> None:
    began = time.monotonic()
    with _connect(port) as writer:
        writer.sendall(np.tile(SECOND, 2).tobytes())
    port.until(lambda: len(port.samples) == 16000)
    assert time.monotonic() - began > 1.8
    np.testing.assert_allclose(port.samples, np.tile(SECOND, 2) / 2**15)
    assert sum(block.lost for block in port.blocks) == 0


def test_the_time_between_two_writers_is_a_loss(port: Reading) -> None:
    began = time.monotonic()
    with _connect(port) as writer:
        writer.sendall(SECOND.tobytes())
        port.until(lambda: len(port.samples) == 8000)
    port.until(lambda: port.troubles)
    assert port.troubles[-1] == f"no writer is connected to {port.source.name}"
    with _connect(port) as writer:
        writer.sendall(SECOND.tobytes())
        port.until(lambda: len(port.samples) == 16000)
    elapsed = time.monotonic() - began
    losses = [block.lost for block in port.blocks if block.lost]
    assert len(losses) == 1
    assert 1.2 < losses[0] / 8000 < elapsed - 1.8


def test_a_second_writer_is_turned_away(port: Reading) -> None:
    with _connect(port) as first:
        first.sendall(SECOND[:4000].tobytes())
        port.until(lambda: len(port.samples))
        with _connect(port) as second:
            assert second.recv(1) == b""
        assert port.refused == 1
        first.sendall(SECOND[4000:].tobytes())
        port.until(lambda: len(port.samples) == 8000)


def test_who_only_connects_keeps_nobody_out(port: Reading) -> None:
    with _connect(port):
        began = time.monotonic()
        while not len(port.samples):
            assert time.monotonic() < began + 20
            with _connect(port) as writer, suppress(OSError):
                writer.settimeout(0.5)
                writer.sendall(SECOND.tobytes())
                writer.recv(1)  # returns at once where the writer is turned away
    assert time.monotonic() - began > TAKEOVER_AFTER - 0.5


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "an HTTP request, not raw PCM"),
        (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01", "a ZeroMQ connection"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS connection"),
        (
            b"RIFF\xff\xff\xff\xffWAVEfmt ",
            "WAV, not raw PCM; decode it first: ffmpeg -i FILE -f s16le -ac 1 -ar 8000 tcp:",
        ),
    ],
)
def test_what_is_not_pcm_is_turned_away_and_the_next_writer_heard(port: Reading, beginning: bytes, what: str) -> None:
    with _connect(port) as stranger:
        stranger.sendall(beginning)
        with suppress(ConnectionError):
            assert stranger.recv(100) == b""
    port.until(lambda: port.refused == 1)
    with _connect(port) as writer:
        writer.sendall(SECOND.tobytes())
        port.until(lambda: len(port.samples) == 8000)
    assert what in " ".join(port.troubles) or not port.troubles


def test_who_connects_in_a_loop_costs_little(port: Reading) -> None:
    for _ in range(20):
        with _connect(port) as stranger, suppress(OSError):
            stranger.sendall(b"\x00\x00" * 100)
    assert sum(1 for block in port.blocks if block.lost) < 10
    assert port.end()


def test_a_port_that_is_taken(port: Reading) -> None:
    assert isinstance(port.source, ListeningPCM)
    with pytest.raises(SourceError, match=r"cannot listen at 127.0.0.1:\d+: Address already in use"):
        ListeningPCM("127.0.0.1", port.source.port, PCM)


def test_connecting_until_somebody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with reading(ConnectingPCM(*address, PCM)) as heard:
        heard.until(lambda: heard.troubles)
        assert heard.troubles[-1] == f"cannot connect to tcp://127.0.0.1:{address[1]}: Connection refused"
        for turn in (1, 2):
            with socket.create_server(address) as server, server.accept()[0] as writer:
                writer.sendall(SHORT.tobytes())
                heard.until(lambda turn=turn: len(heard.samples) == 2000 * turn)  # type: ignore[misc]


def test_a_named_pipe_and_its_writers(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    with reading(NamedPipe(path, PCM)) as heard:
        heard.until(lambda: heard.troubles)
        assert heard.troubles[-1] == f'there is no named pipe "{path}"; make it: mkfifo {path}'
        path.write_text("a file")
        heard.until(lambda: "is not a named pipe" in heard.troubles[-1])
        path.unlink()
        os.mkfifo(path)
        for turn in (1, 2):
            with path.open("wb") as writer:
                writer.write(SHORT.tobytes())
                writer.flush()
                heard.until(lambda turn=turn: len(heard.samples) == 2000 * turn)  # type: ignore[misc]
        path.unlink()
        os.mkfifo(path)  # another one, of the same name
        with path.open("wb") as writer:
            writer.write(SHORT.tobytes())
            writer.flush()
            heard.until(lambda: len(heard.samples) == 6000)
    np.testing.assert_allclose(heard.samples, np.tile(SHORT, 3) / 2**15)


@settings(max_examples=15)
@given(data=st.lists(st.binary(min_size=1, max_size=400), max_size=8))
def test_any_bytes_in_any_portions(data: list[bytes]) -> None:
    source = ListeningPCM("127.0.0.1", 0, PCM)
    with reading(source) as heard:
        with _connect(heard) as writer:
            for portion in data:
                with suppress(ConnectionError):
                    writer.sendall(portion)
        expected = len(b"".join(data)) // 2
        heard.until(lambda: heard.refused or len(heard.samples) == expected)
