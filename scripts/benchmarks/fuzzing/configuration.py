"""Configuration files: settings of a training, and the configuration of the service."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from model.errors import MoodringError
from scripts.benchmarks.fuzzing.mutations import damage, strange_value
from scripts.benchmarks.fuzzing.target import Scratch, check_message
from streamer.service.configuration import load_configuration
from training.paper.configuration import Configuration, configure, read_toml

_SETTINGS = [([""], field.name, getattr(Configuration(), field.name)) for field in fields(Configuration)]
_SERVICE: list[tuple[list[str], str, Any]] = [
    ([""], "model", "default"),
    ([""], "lag", 2.5),
    (["publish"], "endpoint", "tcp://127.0.0.1:5588"),
    (["publish"], "insecure", False),
    (["publish"], "server_key", "a.key_secret"),
    (["publish"], "allow_clients", "clients"),
    (["http"], "enabled", True),
    (["http"], "listen", "127.0.0.1:5589"),
    (["http"], "insecure", False),
    (["streams", "a"], "type", "microphone"),
    (["streams", "a"], "device", "USB"),
    (["streams", "b"], "type", "file"),
    (["streams", "b"], "path", "b.flac"),
    (["streams", "b"], "loop", True),
    (["streams", "c"], "type", "fifo"),
    (["streams", "c"], "path", "c"),
    (["streams", "c"], "channels", 2),
    (["streams", "d"], "type", "tcp"),
    (["streams", "d"], "listen", "127.0.0.1:5600"),
    (["streams", "d"], "format", "s16le"),
    (["streams", "d"], "sample_rate", 44100),
    (["streams", "d"], "required", False),
    (["streams", "e"], "type", "stdin"),
]


class ConfigurationTarget:
    """One reader of TOML.

    Parameters
    ----------
    name : str
    entries : sequence of (table, key, value)
        What a valid file consists of.
    read : callable
        What reads a file.
    """

    def __init__(
        self, name: str, entries: Sequence[tuple[list[str], str, Any]], read: Callable[[Path], object]
    ) -> None:
        self.name = name
        self._entries = entries
        self._read = read
        self._scratch = Scratch("case.toml")
        self._valid = _written([(".".join(table), key, _toml(value)) for table, key, value in entries]).encode()

    def make(self, chance: random.Random) -> bytes:
        """Return a file with some entries that are strange, missing or there twice, or a damaged one, or nesting."""
        kind = chance.random()
        if kind < 0.25:
            return damage(chance, self._valid, [self._valid])
        if kind < 0.27:
            depth = chance.choice((10, 200, 1000, 5000, 20_000))
            name = chance.choice(self._entries)[1]
            opening, closing = chance.choice((("[", "]"), ("{a=", "}"), ("a.", ""), ("[[a]]\n[a.", "]")))
            return (f"{name} = " + opening * depth + "1" + closing * depth).encode()
        if kind < 0.29:
            digits = chance.choice(("9", "0x" + "f", "0b1", "1e", "1_0", "0o7"))
            return f"{chance.choice(self._entries)[1]} = {digits}{'7' * chance.choice((3, 400, 5000, 60_000))}".encode()
        entries = []
        for table, key, value in self._entries:
            if chance.random() < 0.5:
                continue
            changed = strange_value(chance) if chance.random() < 0.07 else value
            table = [*table, "x"] if chance.random() < 0.01 else table
            name = str(strange_value(chance)) if chance.random() < 0.01 else key
            entries.append((".".join(table), _key(name), _toml(changed)))
        if chance.random() < 0.05:
            chance.shuffle(entries)
        written = _written(entries).encode(errors="surrogatepass")
        return damage(chance, written) if chance.random() < 0.1 else written

    def check(self, content: bytes) -> bool:
        """Read it; an error is a line of bounded length that can be printed."""
        try:
            self._read(self._scratch.write(content))
        except MoodringError as error:
            for line in getattr(error, "problems", None) or [str(error)]:
                check_message(line)
            return False
        return True


def settings_target() -> ConfigurationTarget:
    """Return the target for ``moodring train --config``."""
    return ConfigurationTarget("settings", _SETTINGS, lambda path: configure(read_toml(path)))


def service_target() -> ConfigurationTarget:
    """Return the target for ``moodring serve``."""
    return ConfigurationTarget("service", _SERVICE, load_configuration)


def _written(entries: Sequence[tuple[str, str, str]]) -> str:
    lines = []
    current = ""
    for table, key, value in entries:
        if table != current:
            lines.append(f"[{table}]")
            current = table
        lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else json.dumps(name, ensure_ascii=False)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return _toml_list(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if value is None:
        return "nil"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _toml_list(value: list[Any]) -> str:
    # not by recursion: strange values are nested more deeply than Python calls
    depth = 0
    while len(value) == 1 and isinstance(value[0], list):
        value = value[0]
        depth += 1
    inner = "[" + ", ".join(_toml(one) for one in value) + "]"
    return "[" * depth + inner + "]" * depth
