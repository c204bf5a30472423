"""How commands end: by signals, with their terminal, their reader or their disk, in order and in time."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from streamer.messages import Estimate, Mood, Status
from streamer.publisher import Publisher
from streamer.subscriber import PublisherSilent, Subscriber
from tests.conftest import REPOSITORY
from tests.streamer.forks import DEADLINE, Fork, Origin, origin, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="terminals and /proc as Linux has them")

LONGEST = 2.0
"""Seconds from what asks for the end to the last status."""
LOADED = 4.0
"""Times that everything may take longer on a machine that has much else to do."""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with origin(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture
def endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class _Terminal:
    """A terminal with somebody in front of it, until it is closed or stopped."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        self.name = os.ttyname(slave)
        self._slave = slave
        self.shown = b""
        self._looked_at = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while self._looked_at:
            if select.select([self._master], [], [], 0.02)[0]:
                with suppress(OSError):
                    self.shown += os.read(self._master, 4096)

    def stop(self) -> None:
        """Let nobody read any more what is shown, as Ctrl-S does."""
        self._looked_at = False
        self._reader.join()

    def close(self) -> None:
        self.stop()
        os.close(self._slave)
        os.close(self._master)


def _heard(subscriber: Subscriber, count: int) -> None:
    for _ in range(count):
        next(subscriber)


def _last_status(subscriber: Subscriber, fork: Fork) -> tuple[Status, float, float]:
    """Give the status after which nothing comes, and the seconds until it came and until the process had ended."""
    begin = time.monotonic()
    while not subscriber.all_ended:
        subscriber.receive(DEADLINE)
    told = time.monotonic() - begin
    wait_until(lambda: not fork.alive, "the end")
    ended = time.monotonic() - begin
    with suppress(PublisherSilent):
        while True:
            subscriber.receive(0.05)
    (status,) = subscriber.statuses.values()
    print(f"{status.state}: {status.reason}; last status after {told:.2f} s, end after {ended:.2f} s")
    assert told < LONGEST * LOADED
    assert ended < (LONGEST + 1) * LOADED
    return status, told, ended


@pytest.mark.parametrize(
    ("number", "reason", "exit_status"),
    [
        (signal.SIGINT, "stopped", 0),
        (signal.SIGTERM, "terminated", 0),
        (signal.SIGHUP, "the terminal was closed", 129),
    ],
)
def test_a_signal_ends_a_stream_in_order(
    forks: Origin, song: Path, endpoint: str, number: int, reason: str, exit_status: int
) -> None:
    run = forks.start("stream", song, "--publish", endpoint, "--json")
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        _heard(subscriber, 2)
        run.send(number)
        status, _, _ = _last_status(subscriber, run)
    assert (status.state, status.reason) == ("ended", reason)
    assert run.wait() == exit_status
    assert run.errors == ("" if not exit_status else f"moodring: {reason}\n")


@pytest.mark.parametrize("shown", [[], ["--json"], ["--quiet"]])
def test_a_closed_terminal_ends_a_stream_in_order(forks: Origin, song: Path, endpoint: str, shown: list[str]) -> None:
    terminal = _Terminal()
    run = forks.start("stream", song, "--publish", endpoint, *shown, terminal=terminal.name)
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        _heard(subscriber, 2)
        terminal.close()
        status, _, _ = _last_status(subscriber, run)
    assert (status.state, status.reason) == ("ended", "the terminal was closed")
    assert run.wait() == 129
    assert b"Traceback" not in terminal.shown


def test_a_terminal_that_does_not_tell_that_it_was_closed_is_noticed(forks: Origin, song: Path, endpoint: str) -> None:
    terminal = _Terminal()
    run = forks.start("stream", song, "--publish", endpoint, output=terminal.name)  # not its controlling terminal
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        _heard(subscriber, 2)
        terminal.close()
        status, _, _ = _last_status(subscriber, run)
    assert (status.state, status.reason) == ("ended", "the terminal was closed")
    assert run.wait() == 129
    assert run.errors == "moodring: the terminal was closed\n"


def _pipe_to(folder: Path) -> tuple[Path, int]:
    path = folder / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    return path, reader


def _is_blocked(run: Fork) -> bool:
    return "pipe_w" in Path(f"/proc/{run.pid}/wchan").read_text()


def test_a_reader_that_goes_away_ends_a_stream_in_order(
    forks: Origin, song: Path, endpoint: str, tmp_path: Path
) -> None:
    path, reader = _pipe_to(tmp_path)
    run = forks.start("stream", song, "--publish", endpoint, "--json", output=str(path))
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        assert select.select([reader], [], [], DEADLINE)[0]
        assert b'"sequence": 0' in os.read(reader, 4096)
        os.close(reader)
        status, _, _ = _last_status(subscriber, run)
    assert (status.state, status.reason) == ("ended", "standard output: Broken pipe")
    assert run.wait() == 0
    assert run.errors == ""


def test_a_full_disk_below_its_output_fails_a_stream(forks: Origin, song: Path, endpoint: str) -> None:
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        run = forks.start("stream", song, "--publish", endpoint, "--json", output="/dev/full")
        while not subscriber.statuses:
            subscriber.receive()
        status, _, _ = _last_status(subscriber, run)
    assert (status.state, status.reason) == ("failed", "standard output: No space left on device")
    assert run.wait() == 1
    assert run.errors == "moodring: No space left on device\n"


def _full_pipe(folder: Path) -> tuple[Path, int]:
    """Give a pipe into which no line of JSON fits any more."""
    path, reader = _pipe_to(folder)
    size = fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    writer = os.open(path, os.O_WRONLY)
    os.write(writer, bytes(size - 100))
    os.close(writer)
    return path, reader


def test_output_that_nobody_reads_holds_no_end_up(forks: Origin, song: Path, endpoint: str, tmp_path: Path) -> None:
    path, reader = _full_pipe(tmp_path)
    run = forks.start("stream", song, "--publish", endpoint, "--json", output=str(path))
    with Subscriber(endpoint, timeout=DEADLINE) as subscriber:
        _heard(subscriber, 2)
        wait_until(lambda: _is_blocked(run), "a write that waits")
        run.send(signal.SIGTERM)
        status, _, _ = _last_status(subscriber, run)
        assert (status.state, status.reason) == ("ended", "terminated")
    assert run.wait() == 143
    assert run.errors == "moodring: terminated\n"
    os.close(reader)


def test_nor_that_of_watch(forks: Origin, endpoint: str, tmp_path: Path) -> None:
    path, reader = _full_pipe(tmp_path)
    with Publisher(endpoint) as publisher:
        publisher.publish(
            Estimate("a", 0, 1.0, 0.5, 0.25, -0.5, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m")
        )
        run = forks.start("watch", endpoint, "--json", output=str(path))
        wait_until(lambda: _is_blocked(run), "a write that waits")
        begin = time.monotonic()
        run.send(signal.SIGTERM)
        assert run.wait() == 143
        print(f"watch ended after {time.monotonic() - begin:.2f} s")
        assert time.monotonic() - begin < LONGEST * LOADED
    assert run.errors == "moodring: terminated\n"
    os.close(reader)


def test_a_second_ctrl_c_is_the_last(forks: Origin, song: Path, endpoint: str, tmp_path: Path) -> None:
    path, reader = _full_pipe(tmp_path)
    run = forks.start("stream", song, "--fast", "--publish", endpoint, "--json", output=str(path))
    wait_until(lambda: _is_blocked(run), "a pipe that is full")
    run.send(signal.SIGINT)
    begin = time.monotonic()
    run.send(signal.SIGINT)
    assert run.wait() == 130
    assert run.errors == "moodring: interrupted\n"
    assert time.monotonic() - begin < LONGEST * LOADED
    os.close(reader)


@pytest.mark.parametrize(("number", "exit_status"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 129)])
def test_a_signal_ends_watch(forks: Origin, endpoint: str, number: int, exit_status: int) -> None:
    with Publisher(endpoint) as publisher:
        terminal = _Terminal()
        run = forks.start("watch", endpoint, output=terminal.name)
        wait_until(lambda: b"W A I T I N G" in terminal.shown, "the live view")
        publisher.set_status("room", "running")
        wait_until(lambda: b"room" in terminal.shown, "the stream in the live view")
        begin = time.monotonic()
        run.send(number)
        assert run.wait() == exit_status
        print(f"watch ended after {time.monotonic() - begin:.2f} s")
        assert time.monotonic() - begin < LONGEST * LOADED
    wait_until(lambda: b"\x1b[?25h" in terminal.shown, "the cursor")
    assert run.errors == ("" if not exit_status else "moodring: the terminal was closed\n")
    terminal.close()


def test_watch_notices_that_its_reader_has_gone_also_when_it_has_nothing_to_print(
    forks: Origin, endpoint: str, tmp_path: Path
) -> None:
    path, reader = _pipe_to(tmp_path)
    run = forks.start("watch", endpoint, "--json", output=str(path))
    wait_until(lambda: _caught(run) & 1 << (signal.SIGHUP - 1), "its start")
    os.close(reader)
    assert run.wait() == 0
    assert run.errors == ""


def test_nohup_is_respected(forks: Origin, song: Path, endpoint: str) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as nohup does it
    try:
        run = subprocess.Popen(
            [sys.executable, "-m", "streamer.start", "watch", endpoint, "--json"], stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_until(lambda: _caught(run) & 1 << (signal.SIGTERM - 1), "its answer to SIGTERM")
    run.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(0.5)
    run.terminate()
    _, errors = run.communicate(timeout=DEADLINE)
    assert errors == ""


def _caught(run: Fork | subprocess.Popen[str]) -> int:
    """Give the signals that a process handles, as a bit mask."""
    status = Path(f"/proc/{run.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("SigCgt:")]
    return int(line.split()[1], 16)


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.7])
def test_a_signal_while_it_starts_is_one_line(song: Path, endpoint: str, delay: float, number: int, word: str) -> None:
    # with torch it starts long enough for the last delay
    arguments = ["moodring", "stream", str(song), "--quiet", "--publish", endpoint, "--runtime", "torch"]
    # before that line there is only Python's own start, which has an answer of its own to Ctrl-C
    program = f"import sys; sys.argv = {arguments}; from streamer.start import main; print(flush=True); main()"
    run = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "\n"
    time.sleep(delay)  # the moment is what is tried: modules are being imported
    run.send_signal(number)
    _, errors = run.communicate(timeout=DEADLINE)
    died_of_it = number == signal.SIGTERM and run.returncode == -number  # not heard of yet, and nothing to be closed
    assert errors == ("" if died_of_it else f"moodring: {word}\n")
    assert died_of_it or run.returncode == 128 + number


def test_a_ctrl_c_while_the_messages_of_libraries_are_being_hidden_is_told() -> None:
    program = """
import os, sys
replace = os.dup2
def interrupted(old, new):
    replace(old, new)
    os.dup2 = replace
    raise KeyboardInterrupt
from streamer.cli import main
os.dup2, sys.argv = interrupted, ["moodring", "--version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "moodring: interrupted\n")


def test_a_signal_that_a_library_takes_for_a_failed_import_is_told(song: Path, endpoint: str) -> None:
    program = f"""
import importlib.abc, signal, sys
class Library(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime.capi":
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt as error:
                raise ImportError("initialization failed") from error
sys.meta_path.insert(0, Library())
from streamer.cli import main
sys.argv = ["moodring", "stream", {str(song)!r}, "--quiet", "--publish", {endpoint!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "moodring: terminated\n")


@pytest.mark.parametrize("limit", [100_000, None])
def test_the_demo_piece_is_saved_whole_or_not_at_all(
    forks: Origin, endpoint: str, tmp_path: Path, limit: int | None
) -> None:
    saved = tmp_path / "demo.flac"
    run = forks.start("demo", "--fast", "--quiet", "--publish", endpoint, "--save", saved, largest_file=limit)
    assert run.wait() == (0 if limit is None else 1)
    assert os.listdir(tmp_path) == ([] if limit else ["demo.flac"])
    assert run.errors.startswith(f'moodring: cannot write "{saved}"' if limit else "")
