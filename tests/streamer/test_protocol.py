"""What PROTOCOL.md says is what is sent."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from streamer.messages import Estimate, Mood, Status, decode
from streamer.publisher import Publisher
from tests.conftest import REPOSITORY

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


def test_the_python_subscriber_in_the_document_works() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    with Publisher("tcp://127.0.0.1:*") as publisher:
        publisher.publish(
            Estimate("a", 0, 1.0, 0.5, 0.25, -0.5, None, None, Mood(0.1, 0.2), "tracking", -20.0, 0.0, "m")
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program.replace("tcp://127.0.0.1:5588", publisher.endpoint)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "a 0.5 0.25 -0.5\n"
        process.terminate()
        process.communicate(timeout=10)
