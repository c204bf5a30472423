"""PCM over TLS, and the files that it needs; HTTPS is in test_serve_tls.py."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer.network_pcm import ConnectingPCM, ListeningPCM
from streamer.tls import MutualTLS, TLSError
from streamer.tls_handshakes import HANDSHAKE_DEADLINE, MAXIMUM_HANDSHAKES
from tests.streamer.certificates import NEEDS_OPENSSL, Desk, offer
from tests.streamer.keyring import Log, logged, wait_for
from tests.streamer.test_network_pcm import PCM, SECOND, SHORT, Reading, reading

pytestmark = NEEDS_OPENSSL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("certificates"))
    for name in ("stage", "lights", "sound", "authority", "stranger"):
        desk.make(name)
    desk.make("elsewhere", host="DNS:elsewhere.example")
    desk.make("member", signed_by="authority")
    desk.make("impostor", signed_by="stranger")
    return desk.folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Desk:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    desk = Desk(tmp_path)
    desk.allow("lights", "authority")
    return desk


@pytest.fixture
def log() -> Iterator[Log]:
    with logged() as log:
        yield log


@pytest.fixture
def port(desk: Desk) -> Iterator[Reading]:
    with reading(ListeningPCM("127.0.0.1", 0, PCM, tls=MutualTLS(desk.files("stage")))) as heard:
        yield heard


def _number(heard: Reading) -> int:
    assert isinstance(heard.source, ListeningPCM)
    return heard.source.port


@pytest.mark.parametrize("who", ["lights", "member"])
def test_who_is_allowed_is_heard_sample_by_sample(desk: Desk, port: Reading, who: str) -> None:
    sent = SECOND
    with desk.connect(_number(port), who) as writer:
        assert writer.version() == "TLSv1.3"
        writer.sendall(sent.tobytes())  # a record holds ten times as much as is read at once
        port.until(lambda: len(port.samples) == 8000)
    np.testing.assert_allclose(port.samples, sent / 2**15)
    assert not sum(block.lost for block in port.blocks)


def test_version_1_2_is_spoken_too(desk: Desk, port: Reading) -> None:
    context = desk.client("lights")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", _number(port))) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as writer,
    ):
        writer.sendall(SHORT.tobytes())
        port.until(lambda: len(port.samples) == 2000)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("nobody", "it has no certificate"),
        ("stranger", "it has a certificate that is not allowed"),
        ("impostor", "it has a certificate that is not allowed"),
        ("stage", "it has a certificate that is not allowed"),
        ("plain", "it does not speak TLS"),
        ("garbage", "it does not speak TLS"),
        ("old", "it speaks no TLS of version 1.2 or later"),
        ("silent", "it did not complete the TLS handshake in time"),
    ],
)
def test_of_who_is_not_allowed_not_a_byte_is_taken(
    desk: Desk, port: Reading, log: Log, who: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.tls_handshakes.HANDSHAKE_DEADLINE", 1.0)
    began = time.monotonic()
    address, _ = offer(desk, _number(port), who, SECOND.tobytes())
    wait_for(lambda: log.has("refused", address, reason))
    assert time.monotonic() - began < 11
    assert not len(port.samples)
    port.until(lambda: port.refused)
    with desk.connect(_number(port), "lights") as writer:
        writer.sendall(SHORT.tobytes())
        port.until(lambda: len(port.samples) == 2000)
    np.testing.assert_allclose(port.samples, SHORT / 2**15)


def test_one_that_tries_again_and_again_is_in_the_log_once(desk: Desk, port: Reading, log: Log) -> None:
    for _ in range(15):
        offer(desk, _number(port), "nobody", b"x")
    port.until(lambda: port.refused >= 15)
    assert len([line for line in log.lines if "no certificate" in line]) == 1


def test_strangers_neither_keep_a_writer_out_nor_disturb_it(desk: Desk, port: Reading) -> None:
    number = _number(port)
    silent = [socket.create_connection(("127.0.0.1", number)) for _ in range(3 * MAXIMUM_HANDSHAKES)]
    began = time.monotonic()
    with desk.connect(number, "lights") as writer:
        writer.sendall(SHORT.tobytes())
        port.until(lambda: len(port.samples) == 2000)
        assert time.monotonic() - began < HANDSHAKE_DEADLINE - 0.5, "the others were waited for"
        assert len(os.listdir("/proc/self/fd")) < 200 + len(silent)
        stop = threading.Event()

        def disturb() -> None:
            while not stop.is_set():
                offer(desk, number, "nobody", b"x")

        threads = [threading.Thread(target=disturb) for _ in range(2)]
        for thread in threads:
            thread.start()
        heard = len(port.blocks)
        until = time.monotonic() + 1
        while (pause := until - time.monotonic()) > 0:
            writer.sendall(SECOND[:800].tobytes())
            stop.wait(min(0.1, pause))
        stop.set()
        for thread in threads:
            thread.join()
        sent = 2000
        port.until(lambda: len(port.samples) >= 2000 + 8 * 800)
        sent = len(port.samples)
        assert sent % 800 == 2000 % 800
        assert sum(block.lost for block in port.blocks[heard:]) == 0
    for connection in silent:
        connection.close()


def test_who_is_silent_is_replaced_by_who_is_allowed_only(
    desk: Desk, port: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.network_pcm.TAKEOVER_AFTER", 1.0)
    with desk.connect(_number(port), "lights") as first:
        first.sendall(SHORT.tobytes())
        port.until(lambda: len(port.samples) == 2000)
        began = time.monotonic()
        while len(port.samples) < 4000:
            assert time.monotonic() < began + 20
            offer(desk, _number(port), "stranger", SHORT.tobytes())
            if time.monotonic() - began > 1:
                with desk.connect(_number(port), "member") as second:
                    second.sendall(SHORT.tobytes())
                    port.until(lambda: len(port.samples) == 4000)


def test_certificates_are_read_again_and_who_is_connected_stays(desk: Desk) -> None:
    tls = MutualTLS(desk.files("stage"))
    with reading(ListeningPCM("127.0.0.1", 0, PCM, tls=tls)) as heard:
        with desk.connect(_number(heard), "lights") as writer:
            writer.sendall(SHORT.tobytes())
            heard.until(lambda: len(heard.samples) == 2000)
            desk.allow("sound")
            for suffix in ("pem", "key"):
                (desk.folder / f"elsewhere.{suffix}").replace(desk.folder / f"stage.{suffix}")
            tls.use(tls.load())
            writer.sendall(SHORT.tobytes())
            heard.until(lambda: len(heard.samples) == 4000)
        offer(desk, _number(heard), "lights", SHORT.tobytes())
        context = desk.client("sound")
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", _number(heard))) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as writer,
        ):
            writer.sendall(SHORT.tobytes())
            heard.until(lambda: len(heard.samples) == 6000)


class Writing:
    """A server that sends PCM to whoever has the certificate that it asks for."""

    def __init__(self, desk: Desk, name: str, allowed: str) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(desk.certificate(name), desk.private_key(name))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(desk.certificate(allowed))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *exception: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.listener.close()

    def _run(self) -> None:
        while True:
            try:
                raw = self.listener.accept()[0]
            except OSError:
                return
            raw.settimeout(10)
            try:
                with self.context.wrap_socket(raw, server_side=True) as reader:
                    reader.sendall(SHORT.tobytes())
                    reader.recv(1)
            except OSError:
                raw.close()


def test_connecting_to_who_is_allowed(desk: Desk) -> None:
    desk.allow("sound")
    with (
        Writing(desk, "sound", "lights") as server,
        reading(ConnectingPCM("127.0.0.1", server.port, PCM, tls=MutualTLS(desk.files("lights")))) as heard,
    ):
        heard.until(lambda: len(heard.samples) == 2000)
        heard.source.close()


@pytest.mark.parametrize(
    ("server", "asks_for", "reason"),
    [
        ("stranger", "lights", "it has a certificate that is not allowed"),
        ("elsewhere", "lights", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("sound", "stranger", "it does not accept our certificate"),
    ],
)
def test_nobody_else_is_heard(desk: Desk, log: Log, server: str, asks_for: str, reason: str) -> None:
    desk.allow("sound", "elsewhere")
    with (
        Writing(desk, server, asks_for) as writer,
        reading(ConnectingPCM("127.0.0.1", writer.port, PCM, tls=MutualTLS(desk.files("lights")))) as heard,
    ):
        heard.until(lambda: heard.refused and log.has(f"127.0.0.1:{writer.port}", reason))
        assert not len(heard.samples)


def test_a_server_without_tls_or_without_a_word_is_not_heard(
    desk: Desk, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.tls_handshakes.HANDSHAKE_DEADLINE", 0.5)
    for words, reason in ((SECOND.tobytes(), "it does not speak TLS"), (b"", "it did not complete the TLS handshake")):
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            reading(ConnectingPCM(*server.getsockname(), PCM, tls=MutualTLS(desk.files("lights")))) as heard,
            server.accept()[0] as writer,
        ):
            writer.sendall(words)
            heard.until(lambda reason=reason: log.has("cannot connect to tls://", reason))  # type: ignore[misc]
            assert not len(heard.samples)


def _encrypt(desk: Desk) -> None:
    key, encrypted = desk.private_key("stage"), desk.private_key("encrypted")
    command = ["openssl", "pkcs8", "-topk8", "-in", key, "-out", encrypted, "-passout", "pass:x"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    encrypted.chmod(0o600)
    encrypted.replace(key)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _damage(path: Path) -> None:
    path.write_text(path.read_text().replace("M", "x", 3))


_FAULTS: dict[str, tuple[Callable[[Desk], object], str]] = {
    "others can read or change the private key": (lambda desk: desk.private_key("stage").chmod(0o640), "private_key"),
    "cannot read the private key": (lambda desk: desk.private_key("stage").unlink(), "private_key"),
    "it is encrypted": (_encrypt, "private_key"),
    "it does not belong to the certificate": (
        lambda desk: shutil.copy(desk.private_key("lights"), desk.private_key("stage")),
        "private_key",
    ),
    "there is no private key in it": (lambda desk: desk.private_key("stage").write_text("key"), "private_key"),
    "is not valid (": (lambda desk: _damage(desk.private_key("stage")), "private_key"),
    "is not text": (lambda desk: desk.certificate("stage").write_bytes(b"\xff"), "certificate"),
    "no certificate in it": (
        lambda desk: shutil.copy(desk.private_key("stage"), desk.certificate("stage")),
        "certificate",
    ),
    "a certificate in it is damaged": (lambda desk: _damage(desk.certificate("stage")), "certificate"),
    "there is no certificate in it": (
        lambda desk: desk.certificate("allowed").write_text(""),
        "allowed_certificates",
    ),
    "in it is damaged": (lambda desk: _damage(desk.certificate("allowed")), "allowed_certificates"),
    "everybody can put certificates into it": (
        lambda desk: desk.certificate("allowed").chmod(0o666),
        "allowed_certificates",
    ),
    "is not a file": (lambda desk: _pipe(desk.certificate("allowed")), "allowed_certificates"),
}


@pytest.mark.parametrize("reason", _FAULTS)
def test_a_file_that_cannot_be_used_is_one_line(desk: Desk, reason: str) -> None:
    spoil, key = _FAULTS[reason]
    tls = MutualTLS(desk.files("stage"))
    spoil(desk)
    with pytest.raises(TLSError) as refused:
        tls.load()
    line = str(refused.value)
    assert line.startswith(f'serve.toml: http.{key} = "{desk.folder}/')
    assert reason in line
    assert "; give " in line
    assert line.isprintable()
