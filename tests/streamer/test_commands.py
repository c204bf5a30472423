from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from streamer.messages import Estimate, Status
from streamer.subscriber import Subscriber
from tests.conftest import REPOSITORY, Outcome

MOODRING = [sys.executable, "-m", "streamer.cli"]
ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture
def endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def test_a_file_in_real_time_reaches_another_process(song: Path, endpoint: str) -> None:
    publisher = subprocess.Popen(
        [*MOODRING, "stream", str(song), "--publish", endpoint, "--quiet"], stderr=subprocess.PIPE, text=True
    )
    arrived: list[tuple[float, Estimate]] = []
    with Subscriber(endpoint, timeout=30) as subscriber:
        for estimate in subscriber:
            arrived.append((time.time(), estimate))
            if len(arrived) == 26:
                break
        assert subscriber.statuses["song"].state == "running"
        publisher.send_signal(signal.SIGINT)
        while subscriber.statuses["song"].state != "ended":
            subscriber.receive()
        assert subscriber.statuses["song"].reason == "stopped"
    assert publisher.wait(10) == 0
    assert publisher.stderr is not None
    assert publisher.stderr.read() == ""
    sequences = [estimate.sequence for _, estimate in arrived]
    assert sequences == list(range(sequences[0], sequences[0] + 26))
    delays = sorted(at - estimate.time for at, estimate in arrived)
    assert delays[0] > -0.01
    assert delays[len(delays) // 2] < 0.2
    assert len({estimate.valence for _, estimate in arrived}) > 20
    assert {estimate.state for _, estimate in arrived} == {"warming", "tracking"}


def test_watch_shows_what_stream_publishes(song: Path, endpoint: str) -> None:
    watcher = subprocess.Popen(
        [*MOODRING, "watch", endpoint, "--json", "--until-ended"], stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout is not None
    publisher = subprocess.Popen(
        [*MOODRING, "stream", str(song), "--publish", endpoint, "--json"], stdout=subprocess.PIPE, text=True
    )
    lines = [watcher.stdout.readline() for _ in range(4)]
    publisher.send_signal(signal.SIGTERM)
    output, _ = publisher.communicate(timeout=20)
    rest, _ = watcher.communicate(timeout=20)
    assert publisher.returncode == 0
    assert watcher.returncode == 0
    watched = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    printed = {item["sequence"]: item for item in map(json.loads, output.splitlines())}
    assert all(printed[item["sequence"]] == item for item in watched)


def test_a_reader_that_goes_away_ends_the_command_well(song: Path) -> None:
    command = " ".join([*MOODRING, "stream", str(song), "--fast", "--json", "--publish", f"'{ANY_PORT}'"])
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -3"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 3


def test_demo(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = moodring("demo", "--fast", "--publish", ANY_PORT, "--save", tmp_path / "demo.wav")
    assert outcome.status == 0, outcome.errors
    assert outcome.output.splitlines()[-1].startswith("└")
    assert outcome.output.count("valence −arousal") == 2
    assert (tmp_path / "demo.wav").stat().st_size > 10_000_000


def test_annotate_a_folder(moodring: Callable[..., Outcome], song: Path, tmp_path: Path) -> None:
    music = tmp_path / "music"
    (music / "deep").mkdir(parents=True)
    (music / "b.wav").write_bytes(song.read_bytes())
    (music / "deep" / "a.WAV").write_bytes(song.read_bytes())
    (music / "notes.txt").write_text("not audio")
    for ending in ("csv", "jsonl", "parquet"):
        outcome = moodring("annotate", music, "-o", tmp_path / f"out.{ending}")
        assert (outcome.status, outcome.output, outcome.errors) == (0, "", "")
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "file",
        "position",
        "valence",
        "arousal",
        "valence_std",
        "arousal_std",
        "state",
        "loudness",
    ]
    assert [row["file"] for row in rows] == [str(music / "b.wav")] * 120 + [str(music / "deep" / "a.WAV")] * 120
    assert [float(row["position"]) for row in rows[:120]] == [0.5 * (i + 1) for i in range(120)]
    json_rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    parquet_rows = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert json_rows == parquet_rows
    assert [row["valence"] for row in json_rows] == [float(row["valence"]) for row in rows]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["music", "out.csv", "out.jsonl", "out.parquet"]


def test_annotate_keeps_an_old_table_until_the_new_one_is_complete(
    moodring: Callable[..., Outcome], tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    output.write_text("old")
    outcome = moodring("annotate", tmp_path / "none.wav", "-o", output)
    assert outcome.status == 1
    assert output.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("no/such/folder/out.csv", "No such file or directory"),
        ("out.xlsx", "cannot tell the format"),
        ("out", "cannot tell the format"),
        ("folder.csv", "it is a folder"),
        ("/proc/out.csv", "cannot write"),
    ],
)
def test_outputs_that_cannot_be_written(
    moodring: Callable[..., Outcome], song: Path, tmp_path: Path, output: str, message: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    outcome = moodring("annotate", song, "-o", tmp_path / output)
    assert outcome.status == 1
    assert outcome.errors.count("\n") == 1
    assert outcome.errors.startswith("moodring: cannot")
    assert message in outcome.errors


def test_a_full_disk(moodring: Callable[..., Outcome], song: Path) -> None:
    program = f"{' '.join(MOODRING)} annotate {song} > /dev/full"
    ended = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert ended.returncode == 1
    assert ended.stderr == 'moodring: cannot write "-": No space left on device\n'


@pytest.mark.parametrize("arguments", [["--help"], ["stream", "SONG", "--fast", "--json", "--publish", ANY_PORT]])
def test_a_full_disk_below_standard_output(song: Path, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*MOODRING, *(str(song) if word == "SONG" else word for word in arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "moodring: No space left on device\n"


def test_watch_shows_the_cursor_again_when_terminated(endpoint: str) -> None:
    terminal, its_end = os.openpty()
    watcher = subprocess.Popen([*MOODRING, "watch", endpoint], stdin=its_end, stdout=its_end, stderr=subprocess.PIPE)
    os.close(its_end)
    shown = b""
    while b"W A I T I N G" not in shown:
        shown += os.read(terminal, 4096)
    watcher.terminate()
    shown = _read_to_the_end(terminal)
    assert watcher.wait(20) == 0
    assert b"\x1b[?25h" in shown


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "xterm", "FORCE_COLOR": "1"}])
def test_no_live_view_where_it_cannot_be_drawn(song: Path, environment: dict[str, str]) -> None:
    command = [*MOODRING, "stream", str(song), "--fast", "--publish", ANY_PORT]
    terminal, its_end = os.openpty() if environment["TERM"] == "dumb" else os.pipe()
    tracker = subprocess.Popen(command, stdout=its_end, env={**os.environ, **environment})
    os.close(its_end)
    shown = _read_to_the_end(terminal).decode()
    assert tracker.wait(20) == 0
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[0] == "song starting"
    assert any("  warming   valence " in line for line in lines)
    assert lines[-1] == "song ended: end of input"


def _read_to_the_end(descriptor: int) -> bytes:
    shown = b""
    try:
        while some := os.read(descriptor, 4096):
            shown += some
    except OSError:
        pass  # how a terminal ends
    os.close(descriptor)
    return shown


def test_annotate_names_what_cannot_be_opened_and_goes_on(
    moodring: Callable[..., Outcome], song: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").symlink_to("nowhere.wav")
    (tmp_path / "b.wav").symlink_to("b.wav")
    (tmp_path / "c.wav").symlink_to(song)
    too_long = tmp_path / f"{'n' * 300}.wav"
    outcome = moodring("annotate", too_long, tmp_path)
    assert outcome.status == 1
    assert {row["file"] for row in csv.DictReader(outcome.output.splitlines())} == {str(tmp_path / "c.wav")}
    assert outcome.errors.splitlines() == [
        f'moodring: cannot read "{too_long}": File name too long',
        f'moodring: there is no file "{tmp_path / "a.wav"}"',
        f'moodring: cannot read "{tmp_path / "b.wav"}": Too many levels of symbolic links',
    ]


def test_annotate_does_not_take_an_empty_name_for_this_folder(moodring: Callable[..., Outcome]) -> None:
    outcome = moodring("annotate", "")
    assert outcome.status == 1
    assert outcome.errors.startswith('moodring: "" is a folder, not an audio file\n')


def test_an_empty_folder(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = moodring("annotate", tmp_path)
    assert outcome.status == 1
    assert f'moodring: folder "{tmp_path}" holds no audio files' in outcome.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--publish", "tcp://nowhere"], '"tcp://nowhere" is not an endpoint'),
        (["--publish", "tcp://0.0.0.0:5588"], "is open to the network, unencrypted"),
        (["--lag", "0.7"], "a lag of 0.7 s is not possible"),
        (["--lag", "nan"], "a lag of nan s is not possible"),
        (["--lag", "inf"], "a lag of inf s is not possible"),
        (["--model", "none.safetensors"], 'no checkpoint file "none.safetensors"'),
    ],
)
def test_wrong_options_get_one_line(
    moodring: Callable[..., Outcome], song: Path, arguments: list[str], message: str
) -> None:
    outcome = moodring("stream", song, "--fast", "--quiet", *arguments)
    assert outcome.status == 1
    assert outcome.errors.count("\n") == 1
    assert outcome.errors.startswith("moodring: ")
    assert message in outcome.errors


@pytest.mark.parametrize(
    "arguments", [["stream"], ["stream", "x", "--stream", "a b"], ["fly"], ["stream", "x", "--lag", "-1"]]
)
def test_misuse_is_explained(moodring: Callable[..., Outcome], arguments: list[str]) -> None:
    outcome = moodring(*arguments)
    assert outcome.status == 2
    assert "Error: " in outcome.errors
    assert "Traceback" not in outcome.errors


def test_an_endpoint_in_use(moodring: Callable[..., Outcome], song: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        outcome = moodring("stream", song, "--publish", endpoint)
    assert outcome.status == 1
    assert outcome.errors == (
        f"moodring: endpoint {endpoint} is already in use, perhaps by another moodring; choose another\n"
    )


def test_every_command_has_help_with_an_example(moodring: Callable[..., Outcome]) -> None:
    for command in ("demo", "listen", "stream", "annotate", "watch", "devices"):
        outcome = moodring(command, "--help")
        assert outcome.status == 0
        assert f"moodring {command}" in outcome.output


def test_no_sound_device_and_unknown_names() -> None:
    environment = {**os.environ, "PULSE_SERVER": "unix:/nonexistent"}
    for arguments in (["listen"], ["devices"], ["listen", "--device", "x"]):
        ended = subprocess.run([*MOODRING, *arguments], capture_output=True, text=True, env=environment, check=False)
        if "PortAudio is not installed" not in ended.stderr:
            assert "there is no input device" in ended.stderr
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1


def test_statuses_tell_a_failure(tmp_path: Path, endpoint: str, song: Path) -> None:
    data = song.read_bytes()[: 44 + 44100 * 4 * 3 + 1]
    publisher = subprocess.Popen(
        [*MOODRING, "stream", "-", "--publish", endpoint, "--quiet", "--stream", "desk"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert publisher.stdin is not None
    statuses = []
    with Subscriber(endpoint, "desk", timeout=30) as subscriber:
        publisher.stdin.write(data[44:])
        publisher.stdin.close()
        while not subscriber.all_ended:
            message = subscriber.receive()
            if isinstance(message, Status):
                statuses.append(message)
    assert statuses[-1].state == "failed"
    assert statuses[-1].reason.startswith("standard input ended in the middle of a sample")
    assert publisher.wait(10) == 1


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", ">&- 2>&-"])
def test_closed_standard_streams(song: Path, closed: str) -> None:
    command = " ".join([*MOODRING, "stream", str(song), "--fast", "--json", "--publish", f"'{ANY_PORT}'", closed])
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY
    )
    assert ended.returncode == 0
    assert ended.stderr == ""


def test_a_terminal_that_only_knows_ascii(song: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = subprocess.run(
        [*MOODRING, "demo", "--fast", "--publish", ANY_PORT], capture_output=True, env=environment, check=False
    )
    assert ended.returncode == 0
    assert ended.stderr == b""
    assert b"?valence" in ended.stdout
