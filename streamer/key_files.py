"""Key files: made, written and read in the certificate format of pyzmq (`zmq.auth`) and czmq.

``NAME.key`` holds a public key, ``NAME.key_secret`` a public key and the secret one that belongs to it. Keys are of
CURVE, ZeroMQ's encryption and authentication, and written in Z85. Needs only pyzmq and the standard library.

Source: RFC 26 (CurveZMQ), https://rfc.zeromq.org/spec/26/, and RFC 32 (Z85), https://rfc.zeromq.org/spec/32/.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

from model.errors import MoodringError

PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"
MAXIMUM_FILE_SIZE = 65536
"""Bytes; a certificate has some 400, and whatever is larger is another kind of file and not worth reading."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_LINE = re.compile(r"""^[ \t]*(public|secret)-key[ \t]*=[ \t]*["']?([^\s"']*)["']?[ \t]*\r?$""", re.MULTILINE)
_KEY_LENGTH = 40
_PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o644

_PUBLIC_FILE = """\
#   CURVE public key "{name}", made by moodring keygen. It may be given to anybody, by a way that nobody can alter.

metadata
    name = "{name}"
curve
    public-key = "{public}"
"""
_SECRET_FILE = """\
#   CURVE secret key "{name}", made by moodring keygen. Give it to nobody, and let nobody else read this file.

metadata
    name = "{name}"
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""


class KeyFileError(MoodringError):
    """A key file is missing, of the wrong kind, in the way of a new one, or can be read by others."""


class KeyPair(NamedTuple):
    """A public and a secret key, each of 40 characters in Z85."""

    public: bytes
    secret: bytes


def read_secret_key(path: Path) -> KeyPair:
    """Read a secret key and the public key that belongs to it.

    Parameters
    ----------
    path : Path
        A ``.key_secret`` file.

    Returns
    -------
    KeyPair

    Raises
    ------
    KeyFileError
        If it cannot be read, is not a secret key, or can be read by others than its owner (where files have owners).
    """
    text, mode = read_text(path, "key")
    keys = _keys_in(path, text)
    if "secret" not in keys:
        raise KeyFileError(f'"{path}" holds a public key only; give the secret one, NAME{SECRET_SUFFIX}')
    refuse_shared(path, mode, "secret")
    pair = KeyPair(keys["public"], keys["secret"])
    if zmq.curve_public(pair.secret) != pair.public:
        raise KeyFileError(f'the two keys in "{path}" do not belong together; make new ones with moodring keygen')
    return pair


def read_public_key(path: Path) -> bytes:
    """Read a public key.

    Parameters
    ----------
    path : Path
        A ``.key`` file.

    Returns
    -------
    bytes
        40 characters in Z85.

    Raises
    ------
    KeyFileError
        If it cannot be read, or is not a public key alone: a secret key has no business with those who check it.
    """
    text, _ = read_text(path, "key")
    keys = _keys_in(path, text)
    if "secret" in keys:
        raise KeyFileError(
            f'"{path}" holds a secret key, which belongs to its owner only; give the public one, NAME{PUBLIC_SUFFIX}'
        )
    return keys["public"]


def list_public_keys(folder: Path) -> list[Path]:
    """List the files in a folder that should hold public keys.

    Parameters
    ----------
    folder : Path
        Those who own the keys in it are trusted, so only those who are trusted may change it.

    Returns
    -------
    list of Path
        The ``*.key`` files, sorted by name; others are none of its business.

    Raises
    ------
    KeyFileError
        If it is not a folder, cannot be read, or can be changed by everybody (where files have owners).
    """
    try:
        if os.name == "posix" and os.stat(folder).st_mode & stat.S_IWOTH:
            raise KeyFileError(f'everybody can put keys into the folder "{folder}": run chmod o-w on it')
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(PUBLIC_SUFFIX))
    except (OSError, ValueError) as error:
        raise KeyFileError(f'cannot read the folder of public keys "{folder}": {_reason(error)}') from error
    return [folder / name for name in names]


def write_key_pair(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a key pair and write it, overwriting nothing.

    Parameters
    ----------
    name : str
        1 to 100 letters, digits, ``.``, ``_`` and ``-``, not beginning with ``.`` or ``-``.
    folder : Path
        An existing folder.

    Returns
    -------
    tuple of Path
        The public and the secret key's file; the secret one can only ever be read by its owner.

    Raises
    ------
    KeyFileError
        If the name is not one, a file is in the way, or the folder cannot be written to or keeps nothing private;
        nothing is left then.
    """
    if not _NAME.fullmatch(name):
        raise KeyFileError(
            f'"{name}" cannot name a key: use 1 to 100 letters, digits, ".", "_" and "-", the first not "." or "-"'
        )
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    public_path, secret_path = folder / f"{name}{PUBLIC_SUFFIX}", folder / f"{name}{SECRET_SUFFIX}"
    _write_new(secret_path, _SECRET_FILE.format(name=name, public=public, secret=secret), _PRIVATE_MODE)
    try:
        _write_new(public_path, _PUBLIC_FILE.format(name=name, public=public), _PUBLIC_MODE)
    except BaseException:
        secret_path.unlink()
        raise
    return public_path, secret_path


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        # "x": created by this very call, with the mode from the first byte on, and never through somebody's link
        with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            try:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o777 & ~mode:
                    raise KeyFileError(f'cannot keep "{path}" private: its file system has no owners; choose another')
                file.write(text)
                file.flush()
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise KeyFileError(f'"{path}" exists already; choose another name, or remove it first') from error
    except OSError as error:
        raise KeyFileError(f'cannot write "{path}": {_reason(error)}') from error


def read_text(path: Path, kind: str, maximum: int = MAXIMUM_FILE_SIZE) -> tuple[str, int]:
    """Read a key, or what else is in such a file.

    Parameters
    ----------
    path : Path
        A file; nothing else is waited for.
    kind : str
        What should be in it, for messages.
    maximum : int
        Bytes.

    Returns
    -------
    tuple of str and int
        Its text and mode, both of the same file even if another takes its place meanwhile.

    Raises
    ------
    KeyFileError
        If it cannot be read, is larger, or not text.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(f'"{path}" is not a file, and so not a {kind}')
            content = file.read(maximum + 1)
    except (OSError, ValueError) as error:
        raise KeyFileError(f'cannot read the {kind} "{path}": {_reason(error)}') from error
    if len(content) > maximum:
        raise KeyFileError(f'"{path}" is not a {kind}: it is larger than {maximum // 1024} KiB')
    try:
        return content.decode("utf-8-sig"), mode
    except UnicodeDecodeError as error:
        raise KeyFileError(f'"{path}" is not a {kind}: it is not text') from error


def refuse_shared(path: Path, mode: int, kind: str) -> None:
    """Refuse a key that others than its owner can read (where files have owners).

    Parameters
    ----------
    path : Path
        Its file.
    mode : int
        The file's.
    kind : str
        Which key, for the message.

    Raises
    ------
    KeyFileError
        If others can read or change it.
    """
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f'others can read or change the {kind} key "{path}": run chmod 600 on it, or make a new one')


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe would be waited on until somebody writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _keys_in(path: Path, text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for kind, key in _LINE.findall(text):
        if kind in keys or not _is_key(key):
            raise KeyFileError(f'"{path}" is not a key: its {kind} key is damaged; copy it again')
        keys[kind] = key.encode("ascii")
    if "public" not in keys:
        raise KeyFileError(f'"{path}" is not a key; moodring keygen makes one')
    return keys


def _is_key(text: str) -> bool:
    with suppress(KeyError, ValueError, struct.error):  # not a character of Z85, not ASCII, or more than 32 bits
        return len(text) == _KEY_LENGTH and len(z85.decode(text)) == 32
    return False


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
