from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.subscriber import Subscriber
from tests.conftest import Outcome
from tests.streamer.keyring import PATIENCE, Keyring, wait_for

MOODRING = [sys.executable, "-m", "streamer.cli"]


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Give a function that runs the command line in a process, which does not outlive the test."""
    processes = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [*MOODRING, *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_demo_and_watch_with_keys_that_keygen_made(
    start: Callable[..., subprocess.Popen[str]], moodring: Callable[..., Outcome], tmp_path: Path
) -> None:
    for name in ("stage", "lights", "stranger"):
        assert moodring("keygen", name, "-o", tmp_path).status == 0
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    allowed.chmod(0o755)
    (allowed / "lights.key").write_bytes((tmp_path / "lights.key").read_bytes())
    endpoint = f"ipc://{tmp_path}/stage.sock"
    demo = start(
        "demo",
        "--json",
        "--publish",
        endpoint,
        "--server-key",
        tmp_path / "stage.key_secret",
        "--allow-clients",
        allowed,
    )
    server_key = ("--server-public-key", tmp_path / "stage.key")
    lights = start("watch", endpoint, "--json", "--key", tmp_path / "lights.key_secret", *server_key)
    stranger = start("watch", endpoint, "--json", "--key", tmp_path / "stranger.key_secret", *server_key)
    nobody = start("watch", endpoint, "--json")
    assert lights.stdout is not None
    heard = [json.loads(lights.stdout.readline()) for _ in range(6)]
    for process in (lights, stranger, nobody):
        process.send_signal(signal.SIGINT)
    assert [process.communicate(timeout=PATIENCE)[0] for process in (stranger, nobody)] == ["", ""]
    demo.send_signal(signal.SIGINT)
    published, complaints = demo.communicate(timeout=PATIENCE)
    estimates = [json.loads(line) for line in published.splitlines()]
    assert [one for one in heard if "valence" in one] == [
        one for one in estimates if one["sequence"] in {each["sequence"] for each in heard if "valence" in each}
    ]
    key = re.search('"(.{40})"', (tmp_path / "stranger.key").read_text().partition("public-key")[2])
    assert key is not None
    assert f"it has the public key {key[1]}, which is not in" in complaints


def test_watch_says_why_nothing_comes(
    start: Callable[..., subprocess.Popen[str]], ring: Keyring, tmp_path: Path
) -> None:
    from streamer.publisher import Publisher

    with Publisher(f"ipc://{tmp_path}/stage.sock", keys=ring.server()) as publisher:
        watch = start("watch", publisher.endpoint, "--json")
        assert watch.stderr is not None
        # which of the two depends on whether the connection is ended before it was read why
        told = watch.stderr.readline()
        assert "it asks for keys (--key and --server-public-key)" in told or "does it ask for keys (--key" in told


def test_a_subscriber_says_what_is_wrong_and_recovers(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamer.publisher import Publisher

    monkeypatch.setattr("streamer.publisher.HANDSHAKE_TIMEOUT", 0.5)

    def troubled(subscriber: Subscriber, words: str) -> bool:
        subscriber.latest()
        return words in subscriber.trouble

    keys = ring.client("lights")
    publisher = Publisher("tcp://127.0.0.1:*", keys=ring.server())
    endpoint = publisher.endpoint
    with Subscriber(endpoint) as plain, Subscriber(endpoint, keys=keys) as keyed:
        wait_for(lambda: troubled(plain, "keys (--key"))
        wait_for(lambda: troubled(keyed, "lets nobody in with this key"))
        publisher.close()
        with Publisher(endpoint) as publisher:
            publisher.set_status("a", "running")
            plain.receive(PATIENCE)
            assert plain.trouble == ""
            wait_for(lambda: troubled(keyed, "has no keys"))
        ring.allow("lights")
        with Publisher(endpoint, keys=ring.server()) as publisher:
            publisher.set_status("a", "running")
            keyed.receive(PATIENCE)
            assert keyed.trouble == ""


def test_keygen_writes_a_pair_and_says_where(moodring: Callable[..., Outcome], tmp_path: Path) -> None:
    made = moodring("keygen", "lights", "-o", tmp_path)
    assert made.status == 0
    assert made.errors == ""
    public, secret = (line.split("   ")[0] for line in made.output.splitlines())
    assert (public, secret) == (f"{tmp_path}/lights.key", f"{tmp_path}/lights.key_secret")
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(secret).st_mode) == 0o600
    before = Path(secret).read_bytes()
    again = moodring("keygen", "lights", "-o", tmp_path)
    assert again.status == 1
    assert again.errors == f'moodring: "{secret}" exists already; choose another name, or remove it first\n'
    assert Path(secret).read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="files have no owners here")
@pytest.mark.parametrize(
    "arguments",
    [("demo", "--allow-clients", "allowed", "--server-key"), ("watch", "--server-public-key", "x", "--key")],
)
def test_a_secret_that_others_can_read_ends_a_command(
    moodring: Callable[..., Outcome], ring: Keyring, arguments: tuple[str, ...]
) -> None:
    ring.secret("stage").chmod(0o644)
    refused = moodring(*arguments, ring.secret("stage"))
    assert refused.status == 1
    assert refused.output == ""
    assert re.fullmatch(r'moodring: others can read .*stage\.key_secret": run chmod 600 on it.*\n', refused.errors)


def test_options_that_belong_together(moodring: Callable[..., Outcome], ring: Keyring) -> None:
    for arguments, status, complaint in [
        (("demo", "--allow-clients", ring.allowed), 2, "--allow-clients needs --server-key"),
        (("demo", "--server-key", ring.secret("stage")), 1, "not who may subscribe"),
        (("watch", "--key", ring.secret("stage")), 2, "--key and --server-public-key go together"),
        (("watch", "--server-public-key", ring.public("stage")), 2, "--key and --server-public-key go together"),
    ]:
        refused = moodring(*arguments)
        assert refused.status == status
        assert refused.output == ""
        assert complaint in refused.errors


@pytest.mark.parametrize("command", ["keygen", "listen", "watch"])
def test_help_shows_how(moodring: Callable[..., Outcome], command: str) -> None:
    shown = moodring(command, "--help").output
    assert re.search(r"Examples:(.*\n)+ +moodring (listen|watch) .*--(server-)?key \S+\.key_secret", shown)
