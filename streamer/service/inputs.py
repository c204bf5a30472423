"""What a stream of the service may hear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamer.pcm import FORMATS, PCMFormat
from streamer.service.addresses import LOCAL_ADDRESS, Address, guard, local_address, refuse_open, target
from streamer.service.tables import Table, boolean, one_of, path_below, text, whole_number
from streamer.service.tls_keys import tls_files
from streamer.source import HIGHEST_SAMPLE_RATE, LOWEST_SAMPLE_RATE, MOST_CHANNELS
from streamer.tls import TLSFiles


@dataclass(frozen=True)
class MicrophoneInput:
    """An input device, by name or a part of it; the system's default if None."""

    device: str | None

    def __str__(self) -> str:
        return "the default input device" if self.device is None else f'input device "{self.device}"'


@dataclass(frozen=True)
class FileInput:
    """An audio file; `loop`: from the beginning again and again, rather than once."""

    path: Path
    loop: bool

    def __str__(self) -> str:
        return f'file "{self.path}"{", in a loop" if self.loop else ", once"}'


@dataclass(frozen=True)
class FifoInput:
    """Raw PCM from a named pipe."""

    path: Path
    pcm: PCMFormat

    def __str__(self) -> str:
        return f'named pipe "{self.path}" ({_describe(self.pcm)})'


@dataclass(frozen=True)
class StdinInput:
    """Raw PCM on standard input."""

    pcm: PCMFormat

    def __str__(self) -> str:
        return f"standard input ({_describe(self.pcm)})"


@dataclass(frozen=True)
class TcpInput:
    """Raw PCM over TCP: from who connects to `address` (`listens`), or from what is there; with TLS, or without."""

    address: Address
    listens: bool
    pcm: PCMFormat
    tls: TLSFiles | None = None

    def __str__(self) -> str:
        protocol = "tcp" if self.tls is None else "tls"
        return f"{'port' if self.listens else 'connection to'} {protocol}://{self.address} ({_describe(self.pcm)})"


Input = MicrophoneInput | FileInput | FifoInput | StdinInput | TcpInput


def _microphone(table: Table, folder: Path) -> Input:
    return MicrophoneInput(
        table.take("device", text, "a device's name, or a part of it that no other has (moodring devices)", None)
    )


def _file(table: Table, folder: Path) -> Input | None:
    path = _required_path(table, "the path of an audio file", folder)
    loop = table.take("loop", boolean, "true or false", True)
    return None if path is None else FileInput(path, loop)


def _fifo(table: Table, folder: Path) -> Input | None:
    path = _required_path(table, "the path of a named pipe (mkfifo)", folder)
    pcm = _pcm(table)
    if path is None:
        return None
    table.claim("path", f'named pipe "{path}"')
    return FifoInput(path, pcm)


def _stdin(table: Table, folder: Path) -> Input:
    table.claim("type", "standard input")
    return StdinInput(_pcm(table))


def _tcp(table: Table, folder: Path) -> Input | None:
    listen = table.take("listen", local_address, LOCAL_ADDRESS, None)
    connect = table.take("connect", target, "a host and a port such as 192.168.1.20:5600", None)
    insecure = table.take("insecure", boolean, "true or false", False)
    tls = tls_files(table, folder)
    pcm = _pcm(table)
    if "listen" in table and "connect" in table:
        table.complain("connect", "is given, and listen as well; give one of them")
    elif "connect" not in table:
        table.require("listen", f"{LOCAL_ADDRESS}, or connect = a host and a port")
    if listen is not None:
        guard(table, "listen", listen, insecure or tls is not None)
        return TcpInput(listen, True, pcm, tls)
    if connect is not None:
        refuse_open(table, "connect", connect, insecure or tls is not None)
        return TcpInput(connect, False, pcm, tls)
    return None


def _pcm(table: Table) -> PCMFormat:
    return PCMFormat(
        table.take(
            "sample_rate",
            whole_number(LOWEST_SAMPLE_RATE, HIGHEST_SAMPLE_RATE),
            f"samples per second, a whole number from {LOWEST_SAMPLE_RATE} to {HIGHEST_SAMPLE_RATE}",
            PCMFormat.sample_rate,
        ),
        table.take(
            "channels", whole_number(1, MOST_CHANNELS), f"a whole number from 1 to {MOST_CHANNELS}", PCMFormat.channels
        ),
        table.take("format", one_of(*FORMATS), f"one of {', '.join(FORMATS)}", PCMFormat.sample_format),
    )


def _required_path(table: Table, valid: str, folder: Path) -> Path | None:
    table.require("path", valid)
    return table.take("path", path_below(folder), valid, None)


def _describe(pcm: PCMFormat) -> str:
    return f"{pcm.sample_format}, {pcm.sample_rate} Hz, {pcm.channels} channel(s)"


KINDS: dict[str, Callable[[Table, Path], Input | None]] = {
    "microphone": _microphone,
    "file": _file,
    "fifo": _fifo,
    "stdin": _stdin,
    "tcp": _tcp,
}
"""By the name of a stream's type: what reads its keys. It takes the stream's table and the configuration's folder, and
returns None where what is in the table is of no use."""
