"""What PROTOCOL.md says is what is sent."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from streamer.messages import Estimate, Mood, Status, decode
from streamer.publisher import Publisher
from tests.conftest import REPOSITORY
from tests.streamer.keyring import Keyring

DOCUMENT = (REPOSITORY / "streamer" / "PROTOCOL.md").read_text()


def _samples() -> list[Estimate | Status]:
    samples = re.findall(r"^    ((?:emotion|status)/\w+/)\n((?:    .*\n)+)", DOCUMENT, re.MULTILINE)
    return [decode([topic.encode(), body.encode()]) for topic, body in samples]


def test_the_messages_in_the_document_are_messages() -> None:
    samples = _samples()
    assert [type(sample) for sample in samples] == [Estimate, Estimate, Status]


@pytest.mark.parametrize("kind", [Estimate, Status])
def test_every_field_is_in_the_document(kind: type[Estimate] | type[Status]) -> None:
    for field in fields(kind):
        assert f"`{field.name}`" in DOCUMENT


@pytest.mark.parametrize("with_keys", [False, True])
def test_the_python_subscriber_in_the_document_works(with_keys: bool, tmp_path: Path) -> None:
    program, keys = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    if with_keys:
        program = program.replace("socket = zmq.Context().socket(zmq.SUB)\n", keys)
    ring = Keyring(tmp_path)
    ring.allow("lights")
    with Publisher("tcp://127.0.0.1:*", keys=ring.server() if with_keys else None) as publisher:
        publisher.publish(
            Estimate("a", 0, 1.0, 0.5, 0.25, -0.5, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m")
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program.replace("tcp://127.0.0.1:5588", publisher.endpoint)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "a 0.5 0.25 -0.5\n"
        process.terminate()
        process.communicate(timeout=10)
