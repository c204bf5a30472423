"""The dashboard's server: who gets in, what it keeps, how it ends."""

from __future__ import annotations

import csv
import http.client
import io
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("starlette", reason="the dashboard's extra is not installed")
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from streamer.dashboard import record as records
from streamer.dashboard.record import DEAD_AFTER, KEPT_SECONDS, Record
from streamer.messages import Status, StreamState
from streamer.publisher import Publisher
from tests.streamer.dashboards import DEADLINE, MOODRING, Dashboard, dashboard, estimate, wait_for
from tests.streamer.keyring import Keyring

ANY_PORT = "tcp://127.0.0.1:*"
NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def open_page() -> Iterator[Dashboard]:
    with dashboard(NOBODY) as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[Dashboard]:
    with dashboard(NOBODY, "--host", "0.0.0.0") as running:
        yield running


def get(running: Dashboard, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=DEADLINE)
    try:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def subscribe(running: Dashboard, origin: str | None = None, **headers: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{running.port}/live",
        origin=origin,  # type: ignore[arg-type]
        additional_headers=headers,
        proxy=None,
        max_size=None,
    )


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


def status(stream: str, state: StreamState = "running", started: float = 1.0) -> Status:
    return Status(stream, 0, 1_800_000_000.0, state, 0.0, "", started=started)


def test_the_page_is_strict(open_page: Dashboard) -> None:
    for path in ("/", "/app.js", "/style.css", "/session.csv", "/nothing"):
        code, headers, body = get(open_page, path)
        assert code == (404 if path == "/nothing" else 200)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert body


@pytest.mark.parametrize("path", ["/..%2Frecord.py", "/%2e%2e/record.py", "/record.py", "/__init__.py"])
def test_only_the_page_s_own_files_are_served(open_page: Dashboard, path: str) -> None:
    assert get(open_page, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "192.0.2.1:{port}", "localhost:1", ""])
def test_a_request_in_another_name_is_refused(open_page: Dashboard, host: str) -> None:
    named = host.format(port=open_page.port)
    assert get(open_page, "/", Host=named)[0] in (400, 403)
    assert get(open_page, "/session.csv", Host=named)[0] in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machine_s_own_names_are_served(open_page: Dashboard, host: str) -> None:
    assert get(open_page, "/", Host=f"{host}:{open_page.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_another_site_is_refused(open_page: Dashboard, origin: str) -> None:
    foreign = origin.format(port=open_page.port)
    assert get(open_page, "/session.csv", Origin=foreign)[0] == 403
    with pytest.raises(InvalidStatus) as refused:
        subscribe(open_page, foreign)
    assert refused.value.response.status_code == 403


def test_the_page_s_own_socket_is_accepted(open_page: Dashboard) -> None:
    with subscribe(open_page, f"http://127.0.0.1:{open_page.port}") as live:
        first = json.loads(live.recv(DEADLINE))
    assert first["endpoint"] == NOBODY
    assert first["silence"] is None
    assert len(first["circle"]["octants"]) == 8


def test_nothing_is_shown_without_the_token(guarded: Dashboard) -> None:
    for path in ("/", "/?token=", "/?token=wrong", "/?token=%C3%A4", "/app.js", "/session.csv", "/session.csv?token=x"):
        code, headers, body = get(guarded, path)
        assert code == 403
        assert b"link" in body
        assert "Set-Cookie" not in headers
    with pytest.raises(InvalidStatus) as refused:
        subscribe(guarded)
    assert refused.value.response.status_code == 403


def test_the_link_opens_everything(guarded: Dashboard) -> None:
    token = parse_qs(urlsplit(guarded.link).query)["token"][0]
    assert len(token) == 32
    code, headers, _ = get(guarded, f"/?token={token}")
    assert (code, headers["Location"]) == (303, "/")
    attributes = headers["Set-Cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=lax" in attributes
    cookie = headers["Set-Cookie"].partition(";")[0]
    for path in ("/", "/app.js", "/session.csv"):
        assert get(guarded, path, Cookie=cookie)[0] == 200
    with subscribe(guarded, None, Cookie=cookie) as live:
        live.recv(DEADLINE)
    assert get(guarded, "/", Cookie=cookie, Host=f"evil.example:{guarded.port}")[0] == 403
    with pytest.raises(InvalidStatus):
        subscribe(guarded, "http://evil.example", Cookie=cookie)


def test_a_page_too_many_is_told_so() -> None:
    from streamer.dashboard.pages import MAXIMUM_PAGES, TRY_AGAIN_LATER

    with dashboard(NOBODY) as running, ExitStack() as closing:
        open_pages = [closing.enter_context(subscribe(running)) for _ in range(MAXIMUM_PAGES)]
        for page in open_pages:
            page.recv(DEADLINE)
        with subscribe(running) as late, pytest.raises(ConnectionClosed) as closed:
            late.recv(DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == TRY_AGAIN_LATER
        open_pages.pop().close()

        def has_room() -> bool:
            with subscribe(running) as page:
                try:
                    return bool(page.recv(DEADLINE))
                except ConnectionClosed:
                    return False

        wait_for(has_room, "room for another page")


def test_the_table_has_every_estimate() -> None:
    with Publisher(ANY_PORT) as publisher, dashboard(publisher.endpoint) as running, subscribe(running) as live:
        publisher.set_status("a", "running")
        wait_for(lambda: json.loads(live.recv(DEADLINE))["streams"], "the status")
        for sequence in range(500):
            publisher.publish(estimate("a", sequence, 0.1234, None if sequence == 7 else -0.5))

        def rows() -> list[dict[str, str]]:
            return list(csv.DictReader(io.StringIO(get(running, "/session.csv")[2].decode())))

        wait_for(lambda: len(rows()) == 500, "every estimate")
        table = rows()
    assert [int(row["sequence"]) for row in table] == list(range(500))
    assert {(row["stream"], row["valence"], row["loudness"]) for row in table} == {("a", "0.1234", "-20.5")}
    assert table[7]["arousal"] == ""
    assert float(table[0]["started"]) == pytest.approx(time.time(), abs=60)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_time_with_a_page_open(number: int) -> None:
    with dashboard(NOBODY) as running, subscribe(running) as live:
        live.recv(DEADLINE)
        began = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 2 + 3  # on a machine that is busy with something else
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*MOODRING, "dashboard", NOBODY, "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == (
        f"moodring: cannot serve the dashboard at 127.0.0.1:{port}: Address already in use; "
        "choose another --port or --host\n"
    )


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
def test_a_missing_extra_is_one_line(package: str) -> None:
    program = f"""
import sys
sys.modules[{package!r}] = None
sys.argv = ["moodring", "dashboard", "--port", "0"]
from streamer.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f'moodring: moodring dashboard needs {package}: pip install "moodring[dashboard]"\n'


def test_an_endpoint_that_is_none_is_one_line() -> None:
    ended = subprocess.run(
        [*MOODRING, "dashboard", "stage", "--port", "0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith('moodring: "stage" is not an endpoint; write tcp://HOST:PORT')
    assert ended.stderr.count("\n") == 1


def test_a_publisher_with_keys(tmp_path: Path) -> None:
    ring = Keyring(tmp_path)
    ring.allow("lights")
    keys = ("--key", str(ring.secret("lights")), "--server-public-key", str(ring.public("stage")))
    with Publisher(ANY_PORT, keys=ring.server()) as publisher:
        publisher.set_status("a", "running")
        with dashboard(publisher.endpoint, *keys) as running, subscribe(running) as live:
            wait_for(lambda: json.loads(live.recv(DEADLINE))["streams"], "the status")
        with dashboard(publisher.endpoint) as running, subscribe(running) as live:
            wait_for(lambda: "key" in json.loads(live.recv(DEADLINE))["trouble"], "what is wrong")


def test_a_page_that_does_not_read_holds_nobody_up() -> None:
    with (
        Publisher(ANY_PORT) as publisher,
        dashboard(publisher.endpoint) as running,
        subscribe(running) as live,
        socket.create_connection(("127.0.0.1", running.port)) as deaf,
    ):
        deaf.sendall(
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        for number in range(300):
            publisher.set_status(f"{number}-{'x' * 90}", "running", reason="y" * 200)
        seen: set[str] = set()

        def all_seen() -> bool:
            seen.update(stream["name"] for stream in json.loads(live.recv(DEADLINE))["streams"])
            return len(seen) == 300

        wait_for(all_seen, "every stream")
        publisher.publish(estimate("late", 0, 0.1, 0.2))
        wait_for(lambda: "late" in str(json.loads(live.recv(DEADLINE))["streams"]), "what comes later")


def test_it_loads_nothing_of_the_tracker() -> None:
    program = """
import sys
import streamer.dashboard.listener, streamer.dashboard.server
heavy = {"numpy", "torch", "onnxruntime", "soundfile", "streamer.tracker", "streamer.publisher"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_slow_reader_gets_the_newest_of_each_stream_once() -> None:
    record = Record()
    for sequence in range(100):
        record.add(estimate("a", sequence, sequence / 100, 0.0))
        record.add(estimate("b", sequence, 0.0, 0.0))
    version, streams = record.updates(0)
    assert [(stream["name"], stream["point"][1]) for stream in streams] == [("a", 0.99), ("b", 0.0)]
    assert record.updates(version) == (version, [])
    assert len(list(record.rows())) == 200


def test_a_stream_is_dead_when_nothing_comes_and_alive_again_when_something_does() -> None:
    clock = Clock()
    record = Record(clock, clock)
    record.add(status("a"))
    record.add(status("b", "ended"))
    version, _ = record.updates(0)
    clock.seconds += DEAD_AFTER - 0.01
    assert record.updates(version) == (version, [])
    clock.seconds += 0.02
    version, streams = record.updates(version)
    assert [(stream["name"], stream["dead"]) for stream in streams] == [("a", True)]
    record.add(status("a", started=2.0))
    _, (stream,) = record.updates(version)
    assert (stream["dead"], stream["runs"]) == (False, 2)


def test_what_is_older_than_ten_minutes_is_forgotten() -> None:
    clock = Clock()
    record = Record(clock, clock)
    for sequence in range(1300):
        record.add(estimate("a", sequence, 0.1, 0.2, at=clock.seconds))
        clock.seconds += 1
    rows = list(record.rows())
    assert rows[-1].sequence == 1299
    assert rows[-1].arrived - rows[0].arrived == KEPT_SECONDS
    points = record.overview()["a"]
    assert points[-1][:3] == [clock.seconds - 1, 0.1, 0.2]


def test_a_page_gets_a_bounded_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "OVERVIEW_POINTS", 600)
    clock = Clock()
    record = Record(clock, clock)
    for sequence in range(5000):
        for stream in "abc":
            record.add(estimate(stream, sequence, 0.1, 0.2, at=clock.seconds))
        clock.seconds += 0.1
    points = record.overview()
    assert 400 < sum(map(len, points.values())) <= 600


def test_lost_estimates_are_counted_and_those_of_a_new_run_are_not_lost() -> None:
    record = Record()
    record.add(status("a"))
    for sequence in (5, 6, 9):
        record.add(estimate("a", sequence, 0.1, 0.2))
    record.add(status("a", started=2.0))
    record.add(estimate("a", 100, 0.1, 0.2))
    _, (stream,) = record.updates(0)
    assert stream["missed"] == 2


def test_a_last_value_of_long_ago_is_not_shown_as_if_it_were_new() -> None:
    record = Record()
    record.add(estimate("a", 5, 0.1, 0.2, at=time.time() - 60))
    _, (stream,) = record.updates(0)
    assert stream["point"] is None
    assert list(record.rows()) == []


def test_streams_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAXIMUM_STREAMS", 2)
    record = Record()
    for name in "abcb":
        record.add(status(name))
    assert record.left_out == 1
    assert len(record.updates(0)[1]) == 2


def test_numbers_of_any_size_are_kept() -> None:
    record = Record()
    extreme = estimate("a", (1 << 53) - 1, -1.0, 1.0)
    object.__setattr__(extreme, "loudness", -1e12)
    object.__setattr__(extreme, "valence_std", 1e12)
    record.add(extreme)
    (row,) = record.rows()
    assert row.sequence == extreme.sequence
    assert row.loudness == pytest.approx(-1e12, rel=1e-6)
    assert row.valence_std == pytest.approx(1e12, rel=1e-6)
