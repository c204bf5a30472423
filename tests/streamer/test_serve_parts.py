"""The parts of a service that can be run without a process of their own."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from streamer.service.board import SILENT_AFTER, Board
from streamer.service.configuration import load_configuration
from streamer.service.log import QUEUE_LENGTH, ServiceLog, is_journal
from streamer.service.looped_file import LoopedFile
from streamer.service.service import Service
from streamer.service.web import HEADER_DEADLINE, MAXIMUM_HEADER, MAXIMUM_REQUESTS
from streamer.source import SourceError
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, song: Path) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("service") / "serve.toml"
    path.write_text(
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\n[http]\nlisten = "127.0.0.1:0"\n'
        f'[streams.a]\ntype = "file"\npath = "{song}"\n'
    )
    service = Service(load_configuration(path))
    service.start()
    yield service
    service.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("http", "stream a"))]


def _connect(service: Service) -> socket.socket:
    assert service.http is not None
    host, _, port = service.http.partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def _ask(service: Service, request: bytes) -> bytes:
    with _connect(service) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        return answer


def _get(service: Service, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(service.http or "", timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def _until_healthy(service: Service) -> None:
    deadline = time.monotonic() + 20
    while _get(service, "/healthz")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK"),
        (b"GET /metrics?x HTTP/1.1\r\nHost: localhost:1\r\n\r\n", b"HTTP/1.0 200 OK"),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", b"HTTP/1.0 200 OK"),
        (b"GET /healthz HTTP/1.1\r\nHost: rebound.example\r\n\r\n", b"HTTP/1.0 421 Misdirected Request"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 404 Not Found"),
        (b"GET /../etc/passwd HTTP/1.0\r\n\r\n", b"HTTP/1.0 404 Not Found"),
        (b"POST /healthz HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.0 501 Unsupported method"),
        (b"GET /healthz HTTP/9.9\r\n\r\n", b"Error code: 505"),
        (b"\x00\xff\x16\r\n\r\n", b"Error code: 400"),
        (b"GET " + b"x" * MAXIMUM_HEADER, b""),
        (b"", b""),
    ],
)
def test_requests(service: Service, request_line: bytes, answer: bytes) -> None:
    _until_healthy(service)
    began = time.monotonic()
    assert answer in _ask(service, request_line)
    assert time.monotonic() - began < HEADER_DEADLINE + 5


def test_head_is_get_without_content(service: Service) -> None:
    head, _, content = _ask(service, b"HEAD /metrics HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"text/plain; version=0.0.4" in head
    assert int(re.findall(rb"Content-Length: (\d+)", head)[0]) > 1000
    assert content == b""


def test_slow_clients_hold_nobody_up_for_long(service: Service) -> None:
    threads_before = threading.active_count()
    slow = [_connect(service) for _ in range(MAXIMUM_REQUESTS + 8)]
    for connection in slow:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n")  # and never the empty line
    began = time.monotonic()
    _until_healthy(service)
    assert time.monotonic() - began < 3 * HEADER_DEADLINE + 5
    assert threading.active_count() <= threads_before + MAXIMUM_REQUESTS
    for connection in slow:
        connection.close()
    assert service.refused_requests() >= 8


def test_a_dead_tracker_is_unhealthy(tmp_path: Path, song: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(
        '[publish]\nendpoint = "tcp://127.0.0.1:*"\n[http]\nlisten = "127.0.0.1:0"\n'
        f'[streams.a]\ntype = "file"\npath = "{song}"\n'
    )
    service = Service(load_configuration(path))
    try:
        service.start()
        _until_healthy(service)
        assert service._tracker is not None
        service._tracker.close()
        status, body = _get(service, "/healthz")
        assert status == 503
        assert json.loads(body)["tracker"] == "dead"
        assert b"moodring_tracker_up 0.0" in _get(service, "/metrics")[1]
    finally:
        service.close()
    assert service.health().publisher == "dead"
    service.set_status("a", "running", 0.0, "", 0)  # by a thread that was left behind


def test_who_says_running_and_gives_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board()
    board.add("a", True)
    board.tell("a", "running", 0.0, "", 0)
    assert board.readings()["a"].good
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + SILENT_AFTER + 1)
    assert not board.readings()["a"].good


def test_losses_add_up_over_runs() -> None:
    board = Board()
    board.add("a", True)
    for state, dropped in (("running", 1.0), ("running", 1.5), ("starting", 0.0), ("running", 2.0)):
        board.tell("a", state, dropped, "", 0)  # type: ignore[arg-type]
    assert board.readings()["a"].dropped == 3.5
    board.tell("unknown", "running", 0.0, "", 0)
    assert set(board.readings()) == {"a"}


def _record(message: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("moodring.test", level, "", 0, message, None, None)


def test_log_lines(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    for journal, format, expected in (
        (False, "text", r'time=\S+Z level=warning logger=moodring.test message="a \\"b\\"\\nc\\u001b\[0m ü"'),
        (True, "text", r"<4>level=warning logger=moodring.test message="),
        (True, "json", r'<4>\{"level": "warning", "logger": "moodring.test", "message": "a'),
    ):
        log = ServiceLog(writing, format, journal)  # type: ignore[arg-type]
        log.emit(_record('a "b"\nc\x1b[0m ü'))
        log.close()
        line = os.read(reading, 65536).decode()
        assert re.match(expected, line), line
        assert line.count("\n") == 1
    status = os.fstat(writing)
    assert is_journal(writing, f"{status.st_dev}:{status.st_ino}")
    assert not is_journal(writing, "1:2")
    assert not is_journal(writing, None)
    os.close(reading)
    os.close(writing)


def test_a_log_that_nobody_reads_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    log = ServiceLog(writing, "text", journal=False)
    began = time.monotonic()
    for _ in range(QUEUE_LENGTH + 500):
        log.emit(_record("x" * 1000))
    assert time.monotonic() - began < 10
    lines = b""
    while b"lines were left out: standard error is not read fast enough" not in lines:
        lines = lines[-200:] + os.read(reading, 65536)
    os.close(reading)  # and now it has gone
    log.emit(_record("nobody"))
    log.close()
    os.close(writing)


def test_a_loop_of_what_is_too_short_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, [0.0] * 100, 8000)
    with pytest.raises(SourceError, match=r"is shorter than 0\.5 s, too short for a loop"):
        list(LoopedFile(path).blocks())
    soundfile.write(path, [0.0] * 8000, 8000)
    blocks = LoopedFile(path).blocks()
    heard = [next(blocks)]
    soundfile.write(path, [0.5] * 8000, 8000)
    heard.append(next(blocks))
    assert (heard[0].samples == 0).all()
    assert (heard[1].samples != 0).all()
    path.unlink()
    with pytest.raises(SourceError, match="there is no file"):
        list(blocks)


def test_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (REPOSITORY / "scripts" / "moodring.service").read_text()
    program = tmp_path / "moodring"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    unit = tmp_path / "moodring.service"
    unit.write_text(text.replace("/opt/moodring/bin/moodring", str(program)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=one", str(unit)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert "moodring.service" not in verified.stderr
