"""HTTPS, and a whole service with keys and certificates on all of its surfaces."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import numpy as np
import pytest

from streamer.messages import Estimate
from streamer.service.configuration import ConfigurationError, load_configuration
from streamer.service.web import HANDSHAKE_DEADLINE, MAXIMUM_REQUESTS, PageServer
from streamer.subscriber import PublisherSilent, Subscriber
from streamer.tls import MutualTLS
from tests.conftest import Outcome
from tests.streamer.certificates import NEEDS_OPENSSL, Desk, offer
from tests.streamer.keyring import Keyring, Log, logged, wait_for

pytestmark = NEEDS_OPENSSL
PATIENCE = 40.0
SECRET = b"moodring_"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("certificates"))
    for name in ("stage", "lights", "sound", "stranger"):
        desk.make(name)
    return desk.folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    desk = Desk(tmp_path)
    desk.allow("lights")
    return desk


class Pages(PageServer):
    """A server with one page."""

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes] | None:
        return HTTPStatus.OK, "text/plain", SECRET * 1000


@pytest.fixture
def tls(desk: Desk) -> MutualTLS:
    return MutualTLS(desk.files("stage"))


@pytest.fixture
def pages(tls: MutualTLS) -> Iterator[Pages]:
    pages = Pages("127.0.0.1", 0, "http.listen", tls)
    yield pages
    pages.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "http request"]


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


def _port(pages: Pages) -> int:
    return int(pages.address.rpartition(":")[2])


def _get(desk: Desk, port: int, name: str, path: str = "/metrics") -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=desk.client(name))
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("nobody", "it has no certificate"),
        ("stranger", "it has a certificate that is not allowed"),
        ("plain", "it does not speak TLS"),
        ("garbage", "it does not speak TLS"),
        ("old", "it speaks no TLS of version 1.2 or later"),
        ("silent", "it did not complete the TLS handshake in time"),
    ],
)
def test_who_is_not_allowed_is_not_given_a_byte(desk: Desk, pages: Pages, log: Log, who: str, reason: str) -> None:
    request = b"GET /metrics HTTP/1.0\r\n\r\n"
    address, answer = offer(desk, _port(pages), who, request)
    assert len(answer) < 100  # an alert, at most
    assert SECRET not in answer
    wait_for(lambda: log.has("refused", address, reason))
    wait_for(lambda: pages.refused > 0)  # others may be: a port that was somebody else's is still tried
    for _ in range(3):
        offer(desk, _port(pages), "nobody", request)
    assert len([line for line in log.lines if "no certificate" in line]) <= 1
    assert _get(desk, _port(pages), "lights") == (200, SECRET * 1000)


def test_clients_that_never_shake_hands_hold_nobody_up_for_long(desk: Desk, pages: Pages) -> None:
    threads = threading.active_count()
    slow = [socket.create_connection(("127.0.0.1", _port(pages))) for _ in range(MAXIMUM_REQUESTS + 8)]
    for connection in slow:
        connection.sendall(b"\x16\x03\x01\x02\x00")  # the beginning of one, and never the rest
    began = time.monotonic()
    assert _get(desk, _port(pages), "lights")[0] == 200
    assert time.monotonic() - began < 3 * HANDSHAKE_DEADLINE + 5
    assert threading.active_count() <= threads + MAXIMUM_REQUESTS
    for connection in slow:
        connection.close()


def test_who_shakes_hands_and_asks_nothing_is_gone_soon(desk: Desk, pages: Pages) -> None:
    with desk.connect(_port(pages), "lights") as idle:
        began = time.monotonic()
        with suppress(OSError):
            assert idle.recv(1) == b""
        assert time.monotonic() - began < 10
    wait_for(lambda: pages.refused > 0)  # others may be: a port that was somebody else's is still tried


def test_certificates_are_read_again(desk: Desk, pages: Pages, tls: MutualTLS) -> None:
    assert _get(desk, _port(pages), "lights")[0] == 200
    desk.allow("sound")
    tls.use(tls.load())
    assert _get(desk, _port(pages), "sound")[0] == 200
    with pytest.raises((OSError, http.client.HTTPException)):
        _get(desk, _port(pages), "lights")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            '[http]\ncertificate = "a.pem"\n',
            ["http.private_key is missing; give the path of", "http.allowed_certificates is missing; give the path of"],
        ),
        (
            '[http]\ncertificate = 5\nprivate_key = "k"\nallowed_certificates = "c"\n',
            ["http.certificate = 5 is not valid; give the path of this end's certificate, in PEM"],
        ),
        (
            '[http]\nlisten = "0.0.0.0:0"\n',
            ["give an address on 127.0.0.1, or insecure = true beside it, or, for TLS, certificate, private_key and"],
        ),
        (
            '[streams.b]\ntype = "tcp"\nlisten = "0.0.0.0:0"\nprivate_key = "k"\n',
            ["streams.b.certificate is missing", "streams.b.allowed_certificates is missing", "for TLS, certificate"],
        ),
        (
            '[streams.b]\ntype = "fifo"\npath = "p"\nprivate_key = "k"\n',
            ["streams.b.private_key is not a key of a stream of type fifo"],
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, problems: list[str]) -> None:
    path = tmp_path / "serve.toml"
    path.write_text('[streams.a]\ntype = "microphone"\n' + text)
    with pytest.raises(ConfigurationError) as refused:
        load_configuration(path)
    assert len(refused.value.problems) == len(problems)
    for line, problem in zip(refused.value.problems, problems, strict=True):
        assert line.startswith(f"{path}: ")
        assert problem in line


def test_the_network_is_open_with_certificates(moodring: Callable[..., Outcome], desk: Desk) -> None:
    path = desk.folder / "serve.toml"
    files = 'certificate = "stage.pem"\nprivate_key = "stage.key"\nallowed_certificates = "allowed.pem"\n'
    path.write_text(
        f'[http]\nlisten = "0.0.0.0:5589"\n{files}'
        f'[streams.desk]\ntype = "tcp"\nlisten = "0.0.0.0:5600"\n{files}'
        f'[streams.far]\ntype = "tcp"\nconnect = "far.example:5601"\n{files}'
    )
    outcome = moodring("serve", path, "--check")
    assert (outcome.status, outcome.errors) == (0, "")
    assert "http: https://0.0.0.0:5589/healthz" in outcome.output
    assert "stream desk: port tls://0.0.0.0:5600" in outcome.output
    assert "stream far: connection to tls://far.example:5601" in outcome.output
    desk.private_key("stage").chmod(0o644)
    outcome = moodring("serve", path, "--check")
    assert outcome.status == 1
    (line,) = outcome.errors.splitlines()
    assert line.startswith(f'moodring: {path}: http.private_key = "') or "desk.private_key" in line or "far." in line
    assert "others can read or change the private key" in line
    assert "; give the PEM file" in line


class Served:
    """A running ``moodring serve`` and its log."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-m", "streamer.cli", "serve", str(path), "--log-format", "json"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def says(self, *words: str) -> str:
        """Wait until a line with these words is in the log."""
        deadline = time.monotonic() + PATIENCE
        while True:
            lines = [line for line in self.log if all(word in line for word in words)]
            if lines:
                return lines[0]
            assert time.monotonic() < deadline, (words, self.log)
            assert self.process.poll() is None, self.log
            time.sleep(0.01)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as errors:
            for line in errors:
                self.log.append(json.loads(line)["message"])


def _refused(desk: Desk, port: int, name: str, surface: str) -> float:
    page = _get(desk, port, name)[1].decode()
    return float(re.findall(rf'moodring_refused_connections_total{{surface="{surface}"}} (\S+)', page)[0])


def _receive(subscriber: Subscriber, stream: str) -> Estimate:
    return next(message for message in subscriber if isinstance(message, Estimate) and message.stream == stream)


def test_a_service_with_keys_and_certificates(desk: Desk, piece: np.ndarray) -> None:
    (desk.folder / "keys").mkdir()
    ring = Keyring(desk.folder / "keys")
    ring.allow("lights")
    ring.make("next")
    shutil.copy(ring.secret("stage"), desk.folder / "own.key_secret")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    files = 'certificate = "stage.pem"\nprivate_key = "stage.key"\nallowed_certificates = "allowed.pem"\n'
    path = desk.folder / "serve.toml"
    path.write_text(
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\nserver_key = "own.key_secret"\nallow_clients = "keys/allowed"\n'
        f'[http]\nlisten = "127.0.0.1:0"\n{files}'
        f'[streams.desk]\ntype = "tcp"\nlisten = "127.0.0.1:{port}"\n{files}'
    )
    pcm = (piece[: 44100 * 120] * 32767).astype("<i2").tobytes()
    (desk.folder / "desk.pcm").write_bytes(pcm)
    with Served(path) as served:
        line = served.says("publishing on", "health and metrics: https://")
        endpoint = line.split()[2].rstrip(";")
        web = int(line.partition("https://")[2].partition("/")[0].rpartition(":")[2])
        for number in (port, web):
            for who in ("nobody", "stranger", "plain"):
                address, answer = offer(desk, number, who, b"GET /metrics HTTP/1.0\r\n\r\n" + bytes(20000))
                served.says("refused", address)
                assert SECRET not in answer

        writing = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}", "-verify_return_error"]
        writing += ["-CAfile", "stage.pem", "-cert", "lights.pem", "-key", "lights.key"]
        with (
            (desk.folder / "desk.pcm").open("rb") as source,
            Subscriber(endpoint, timeout=PATIENCE, keys=ring.client("lights")) as subscriber,
        ):
            writer = subprocess.Popen(writing, cwd=desk.folder, stdin=source, stderr=subprocess.DEVNULL)
            try:
                first = _receive(subscriber, "desk")
                wait_for(lambda: _get(desk, web, "lights", "/healthz")[0] == 200, PATIENCE)
                assert min(_refused(desk, web, "lights", surface) for surface in ("pcm", "http")) >= 3
                with pytest.raises(PublisherSilent), Subscriber(endpoint) as stranger:
                    stranger.receive(0.5)

                desk.private_key("stage").chmod(0o640)
                served.process.send_signal(signal.SIGHUP)
                served.says("private_key", "others can read or change the private key", "; give the PEM file")
                served.says("was not reloaded; everything goes on as before")
                assert _get(desk, web, "lights", "/healthz")[0] == 200

                desk.private_key("stage").chmod(0o600)
                desk.allow("sound")
                served.process.send_signal(signal.SIGHUP)
                served.says("reloaded", "no changes")
                assert _get(desk, web, "sound", "/healthz")[0] == 200
                with pytest.raises((OSError, http.client.HTTPException)):
                    _get(desk, web, "lights", "/healthz")

                fresh = desk.folder / "fresh"
                shutil.copy(ring.secret("next"), fresh)
                fresh.replace(desk.folder / "own.key_secret")
                served.says("meets the new key")
                with Subscriber(endpoint, timeout=PATIENCE, keys=ring.client("lights", publisher="next")) as another:
                    latest = _receive(another, "desk")
                with pytest.raises(PublisherSilent), Subscriber(endpoint, keys=ring.client("lights")) as outdated:
                    outdated.receive(0.5)
                estimate = first
                while estimate.sequence < latest.sequence:
                    following = _receive(subscriber, "desk")
                    assert following.sequence == estimate.sequence + 1
                    assert following.position == estimate.position + 0.5  # the writer is the same, and noticed nothing
                    estimate = following
            finally:
                writer.kill()
                writer.wait()
        refused = _refused(desk, web, "sound", "pcm")
        offer(desk, port, "lights", pcm[:20000])
        wait_for(lambda: _refused(desk, web, "sound", "pcm") > refused, PATIENCE)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(PATIENCE) == 0
