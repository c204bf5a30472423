"""Reads tables of a TOML file key by key, and collects everything that is wrong with them, one line each."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_D = TypeVar("_D")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)
_LONGEST_SHOWN = 60
"""Characters of a value that a message shows; what is in a file may be of any length."""


@dataclass
class Findings:
    """What the tables of a file come to.

    Attributes
    ----------
    file : str
        What messages call the file.
    problems : list of str
        What is wrong, one line each.
    claims : dict of str to str
        What only one table can have, and where it is claimed.
    """

    file: str
    problems: list[str] = field(default_factory=list)
    claims: dict[str, str] = field(default_factory=dict)


class Table:
    """A table of the file, or all of it.

    Parameters
    ----------
    findings : Findings
        Where problems are added.
    content : mapping
        As ``tomllib`` has it.
    keys : tuple of str
        Where the table is in the file; empty for the file itself.
    """

    def __init__(self, findings: Findings, content: Mapping[str, Any], keys: tuple[str, ...] = ()) -> None:
        self._findings = findings
        self._content = content
        self._keys = keys
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def take(self, key: str, accept: Callable[[Any], _T], valid: str, default: _D) -> _T | _D:
        """Read a key.

        Parameters
        ----------
        key : str
            Its name.
        accept : callable
            Turns the value into what is wanted; raises `ValueError` for one that is not valid. What the error says is
            added to the message.
        valid : str
            What would be valid, for the message.
        default : object
            Where there is no such key, and where its value is not valid.

        Returns
        -------
        object
        """
        self._known.append(key)
        if key not in self._content:
            return default
        value = self._content[key]
        try:
            return accept(value)
        except ValueError as error:
            reason = f" ({error})" if str(error) else ""
            self.complain(key, f"= {show_value(value)} is not valid{reason}; give {valid}")
            return default

    def require(self, key: str, valid: str) -> None:
        """Complain if there is no such key.

        Parameters
        ----------
        key : str
            Its name.
        valid : str
            What would be valid.
        """
        if key not in self._content:
            self.complain(key, f"is missing; give {valid}")

    def table(self, key: str) -> Table:
        """Read a key whose value is a table.

        Parameters
        ----------
        key : str
            Its name.

        Returns
        -------
        Table
            An empty one if there is none.
        """
        self._known.append(key)
        content = self._content.get(key, {})
        if not isinstance(content, Mapping):
            self.complain(key, f"= {show_value(content)} is not valid; give a table: [{self._path(key)}]")
            content = {}
        return Table(self._findings, content, (*self._keys, key))

    def tables(self, key: str, valid: str) -> dict[str, Table]:
        """Read a key whose value is a table of at least one table, of any name.

        Parameters
        ----------
        key : str
            Its name.
        valid : str
            What would be valid.

        Returns
        -------
        dict of str to Table
        """
        inner = self.table(key)
        if not self._content.get(key, {}):
            self.complain(key, f"is missing; give {valid}")
        tables = {name: inner.table(name) for name in inner._content}
        return {name: table for name, table in tables.items() if isinstance(inner._content[name], Mapping)}

    def claim(self, key: str, what: str) -> None:
        """Complain if another key of the file has claimed the same.

        Parameters
        ----------
        key : str
            Its name.
        what : str
            What only one can have.
        """
        first = self._findings.claims.setdefault(what, self._path(key))
        if first != self._path(key):
            self.complain(key, f"= {show_value(self._content.get(key, what))} is taken by {first}; give each its own")

    def place(self) -> str:
        """Say where the table is, for messages."""
        return f"{self._findings.file}: {self._path('')}"

    def finish(self, kind: str) -> None:
        """Complain about the keys that nobody has taken.

        Parameters
        ----------
        kind : str
            What the table describes.
        """
        for key in self._content:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                suggestion = f'did you mean "{near[0]}"? ' if near else ""
                self.complain(key, f"is not a key of {kind}; {suggestion}known are {', '.join(self._known)}")

    def complain(self, key: str, text: str) -> None:
        """Add a problem.

        Parameters
        ----------
        key : str
            The key that it is about; empty for the table itself.
        text : str
            What is wrong, and what would be valid.
        """
        self._findings.problems.append(f"{self._findings.file}: {self._path(key)} {text}")

    def _path(self, key: str) -> str:
        return ".".join(part if _BARE_KEY.fullmatch(part) else show_value(part) for part in (*self._keys, key) if part)


def show_value(value: object) -> str:
    """Write a value of a TOML file for a message: in one line, and not all of it where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def text(value: Any) -> str:
    """Accept a string that is not empty and holds no control characters."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError
    return value


def boolean(value: Any) -> bool:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def whole_number(low: int, high: int) -> Callable[[Any], int]:
    """Accept whole numbers in a range, both ends included."""

    def accept(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return accept


def path_below(folder: Path) -> Callable[[Any], Path]:
    """Accept paths; what is relative is relative to a folder."""
    return lambda value: folder / text(value)


def seconds(value: Any) -> float:
    """Accept finite numbers from 0 upwards."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError from error


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Accept some strings; for others, the nearest is suggested."""

    def accept(value: Any) -> str:
        if value in allowed:
            return str(value)
        near = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
        raise ValueError(f'did you mean "{near[0]}"?' if near else "")

    return accept
