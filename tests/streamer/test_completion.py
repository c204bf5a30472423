"""Shell completion: the protocol of the installed command, and the shells themselves where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from scripts.benchmarks.sound_server import SoundServer
from streamer.cli import _COMMANDS
from streamer.publisher import Publisher

SCRIPTS = Path(sysconfig.get_path("scripts"))
ENVIRONMENT = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}

pytestmark = pytest.mark.skipif(not (SCRIPTS / "moodring").exists(), reason="the command is not installed")


def completed(*words: str, environment: dict[str, str] = ENVIRONMENT) -> list[str]:
    """Complete the last word as bash asks for it."""
    asked = {"COMP_WORDS": "\n".join(("moodring", *words)), "COMP_CWORD": str(len(words))}
    ended = subprocess.run(
        ["moodring"],
        env={**environment, **asked, "_MOODRING_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    return [line.partition(",")[2] if line.startswith("plain,") else line for line in ended.stdout.splitlines() if line]


def test_subcommands_are_completed_without_loading_one() -> None:
    assert completed("") == list(_COMMANDS)
    assert completed("de") == ["demo", "devices"]
    code = """
import sys
from streamer.cli import main
try:
    main()
finally:
    print(*(name for name in sys.modules if name.startswith(("streamer.commands", "training", "numpy", "zmq"))))
"""
    asked = {"COMP_WORDS": "moodring ", "COMP_CWORD": "1", "_MOODRING_COMPLETE": "bash_complete"}
    program = ["-c", f"import sys; sys.argv = ['moodring']\n{code}"]
    ended = subprocess.run(
        [sys.executable, *program], env={**ENVIRONMENT, **asked}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == ""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        completed("")
        took.append(time.perf_counter() - began)
    assert min(took) < 0.3


def test_options_choices_files_and_subcommands_of_subcommands_are_completed() -> None:
    assert {"--device", "--publish", "--record"} <= set(completed("listen", "--"))
    assert completed("listen", "--runtime", "") == ["onnx", "torch"]
    assert completed("stream", "") == ["file,"]
    assert completed("bridge", "") == ["artnet", "lsl", "midi", "mqtt", "osc", "sacn", "websocket"]
    assert completed("bridge", "sacn", "--pri") == ["--priority"]
    assert completed("no-such-command", "--") == completed("--")


def test_endpoints_and_the_streams_that_are_published_there_are_completed() -> None:
    assert completed("watch", "") == completed("bridge", "osc", "tcp") == ["tcp://127.0.0.1:5588"]
    with Publisher("tcp://127.0.0.1:*") as publisher:
        for stream in ("stage.left", "stage.right", "bar"):
            publisher.set_status(stream, "running")
        assert completed("watch", publisher.endpoint, "--stream", "") == ["bar", "stage.left", "stage.right"]
        assert completed("bridge", "osc", publisher.endpoint, "--stream", "st") == ["stage.left", "stage.right"]
    assert completed("watch", "tcp://127.0.0.1:9", "--stream", "") == []
    assert completed("watch", "tcp://nonsense", "--stream", "") == []


def test_devices_are_completed_and_written_so_that_the_shell_takes_them_as_one_word(sound_card: SoundServer) -> None:
    with (sound_card.home / ".asoundrc").open("a") as configuration:
        configuration.write('pcm."USB (x)" { type pulse\n device stage }\n')
    environment = {**sound_card.environment, "PATH": ENVIRONMENT["PATH"]}
    assert {"stage", "desk"} <= set(completed("listen", "--device", "", environment=environment))
    script = """
eval "$(_MOODRING_COMPLETE=bash_source moodring)"
COMP_WORDS=(moodring listen --device us) COMP_CWORD=3
_moodring_completion moodring
printf '%s\\n' "${COMPREPLY[@]}"
"""
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "USB\\ \\(x\\)\n"
    if shutil.which("fish"):
        script = '_MOODRING_COMPLETE=fish_source moodring | source; complete -C "moodring doctor --device US"'
        ended = subprocess.run(["fish", "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert ended.stdout == "USB (x)\n"


def test_no_sound_system_completes_nothing_and_says_nothing() -> None:
    assert completed("listen", "--device", "", environment={**ENVIRONMENT, "PULSE_SERVER": "unix:/nonexistent"}) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script_that_it_understands(shell: str) -> None:
    script = subprocess.run(
        ["moodring"],
        env={**ENVIRONMENT, "_MOODRING_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "_moodring_completion" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=script, text=True, check=True)
