"""TOML that anybody may have written: Python's parser, and what it needs to be kept from."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    try:
        import tomli as tomllib
    except ImportError:
        tomllib = None

DEEPEST_KEY = 32
"""Parts of a key, joined by dots. The parser's time grows with the square of their number: a file of 64 KB could keep
it busy for half a minute."""
_DEEP_KEY = re.compile(
    rf"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST_KEY}}}""",
)


def has_parser() -> bool:
    """Whether TOML can be read: on Python 3.10, tomli may be missing."""
    return tomllib is not None


def parse_toml(content: bytes) -> dict[str, Any]:
    """Parse a file's content.

    Parameters
    ----------
    content : bytes
        UTF-8; its reader has bounded its length.

    Returns
    -------
    dict

    Raises
    ------
    UnicodeDecodeError
        If it is not UTF-8.
    ValueError
        If it is not TOML, or nested more deeply than any configuration is; the text says why.
    """
    text = content.decode()
    if _DEEP_KEY.search(text):
        raise ValueError(f"a key has more than {DEEPEST_KEY} parts")
    try:
        parsed: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return parsed
