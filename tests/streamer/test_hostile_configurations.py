"""Configuration files that nobody should trust: of the service, and of a training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import MoodringError
from scripts.benchmarks.fuzzing.target import check_message
from streamer.service.configuration import load_configuration
from tests.fuzzing import survives
from training.paper.configuration import read_toml
from training.tables import DataError

READERS: list[Callable[[Path], object]] = [load_configuration, read_toml]
HOSTILE = {
    "nested arrays": b"model = " + b"[" * 50_000,
    "closed arrays": b"model = " + b"[" * 3000 + b"]" * 3000,
    "nested tables": b"model = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
    "dotted keys": b".".join([b"a"] * 20_000) + b" = 1",
    "dotted tables": b"[" + b".".join([b"a"] * 20_000) + b"]",
    "digits": b"epochs = " + b"9" * 60_000,
    "hexadecimal digits": b"epochs = 0x" + b"f" * 60_000,
    "hexadecimal lag": b"lag = 0x" + b"f" * 60_000,
    "exponent": b"lag = 1e" + b"9" * 60_000,
    "bytes": bytes(range(256)) * 4,
    "UTF-16": "model = 1".encode("utf-16"),
    "surrogate": b'model = "\\ud800"',
    "escape": b'model = "\\u001b[2J\\u0007"',
    "escape in a key": b'"\\u001b[2J\\u0007\\u202e" = 1',
    "long key": b'"' + b"k" * 60_000 + b'" = 1',
    "long value": b'system = "' + b"v" * 60_000 + b'"',
    "date": b"epochs = 2026-99-99",
    "another date": b"epochs = 1979-05-27T07:32:00Z",
    "numbers that are none": b"learning_rate = nan\nl1 = inf\nlag = -inf",
    "too long": b"# " + b"x" * (3 << 20),
    "null": b"model = 1\x00",
    "no newline": b"\xef\xbb\xbfmodel",
}


@pytest.mark.parametrize("reader", READERS, ids=["service", "settings"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_short_lines(tmp_path: Path, kind: str, reader: Callable[[Path], object]) -> None:
    path = tmp_path / "hostile.toml"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(MoodringError) as refused:
        reader(path)
    problems = getattr(refused.value, "problems", None) or [str(refused.value)]
    for problem in problems:
        check_message(problem)
        assert str(path) in problem


@pytest.mark.parametrize("part", ["a", '"a b"', "'a'", "a "])
def test_keys_of_many_parts_do_not_take_the_square_of_their_time(tmp_path: Path, part: str) -> None:
    path = tmp_path / "deep.toml"
    for content in (
        ".".join([part] * 10_000) + " = 1",
        f"[{'.'.join([part] * 8000)}]\n" + "b.c = 1\n" * 1000,
        "model = {" + ".".join([part] * 10_000) + " = 1}",
    ):
        path.write_text(content)
        for reader in READERS:
            began = time.process_time()
            with pytest.raises(MoodringError, match="a key has more than 32 parts"):
                reader(path)
            assert time.process_time() - began < 2
    path.write_text("a" * 60_000)
    for reader in READERS:
        began = time.process_time()
        with pytest.raises(MoodringError):
            reader(path)
        assert time.process_time() - began < 2


def test_an_endless_file_is_not_read_to_its_end() -> None:
    for reader in READERS:
        with pytest.raises(MoodringError, match=r"larger than|has more than"):
            reader(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["settings", "service"])
def test_thousands_of_damaged_files(tmp_path: Path, name: str) -> None:
    survives(name, 3000, tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    for reader in READERS:
        try:
            reader(path)
        except MoodringError as error:
            for problem in getattr(error, "problems", None) or [str(error)]:
                check_message(problem)


def test_what_is_wrong_is_still_said(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("epochs = 'many'")
    with pytest.raises(DataError, match="epochs must be a whole number, not 'many'"):
        read_toml(path)
    path.write_text("epochs = 0x" + "f" * 5000)
    with pytest.raises(DataError, match="epochs must be from 1 to 100000, not a number of thousands of digits"):
        read_toml(path)
