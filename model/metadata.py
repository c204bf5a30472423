"""The metadata that every file of a model carries, and the one line that says why a file is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.errors import CheckpointError, shown
from model.regular_file import FileError

VERSION = 1
METADATA_KEY = "moodring"
MAXIMUM_BYTES = 1 << 26
"""A larger file is refused before it is read; the bundled checkpoints are forty times smaller."""
MAXIMUM_HEADER_BYTES = 1 << 20
"""A longer header is refused before it is parsed; those of the bundled checkpoints are eighty times shorter."""

_LONGEST_REASON = 200


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one line why a file cannot be read.

    Raises
    ------
    CheckpointError
        For what reading it raises.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f'no checkpoint file "{path}"') from error
    except OSError as error:
        raise CheckpointError(f'cannot read checkpoint "{path}": {error.strerror or error}') from error
    except FileError as error:
        raise CheckpointError(f'checkpoint "{path}" {error}; train or copy it again') from error


@contextmanager
def fitting_together(path: Path) -> Iterator[None]:
    """Say in one line why a file's parts do not fit together.

    Raises
    ------
    CheckpointError
        For what building them raises.
    """
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f'checkpoint "{path}" does not fit together: {error} is missing') from error
    except (ArithmeticError, AttributeError, CheckpointError, RuntimeError, TypeError, ValueError) as error:
        reason = shown(" ".join(str(error).split()), _LONGEST_REASON)
        raise CheckpointError(f'checkpoint "{path}" does not fit together: {reason}') from error


def parse_metadata(path: Path, properties: Mapping[str, str], kind: str) -> dict[str, Any]:
    """Read the JSON object among a file's properties.

    Parameters
    ----------
    path : Path
        Of the file, for messages.
    properties : mapping of str to str
        Of the file.
    kind : str
        What the file is otherwise, with its article.

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If there is none, or of another version.
    """
    text = properties.get(METADATA_KEY)
    try:
        metadata = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise CheckpointError(f'"{path}" is {kind} file, but not a moodring checkpoint')
    if metadata.get("version") != VERSION or isinstance(metadata["version"], bool):
        raise CheckpointError(
            f'checkpoint "{path}" has version {shown(metadata.get("version"))}; this moodring reads version '
            f"{VERSION}: train it again, or install the moodring that made it"
        )
    return metadata


def replace_file(path: Path, content: bytes) -> None:
    """Write a model's file; an existing one is replaced in one step or not at all.

    Raises
    ------
    CheckpointError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f'cannot write checkpoint "{path}": {error.strerror}') from error
