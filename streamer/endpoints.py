"""ZeroMQ endpoints: which are well-formed, which stay on this machine, and what an error about one means."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import stat

import zmq

from model.errors import MoodringError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\[\]:/\s]+):(?P<port>\d{1,5}|\*)")


class EndpointError(MoodringError):
    """An endpoint is malformed, taken, or open to others without leave."""


def validate_endpoint(endpoint: str) -> None:
    """Refuse what is not an endpoint.

    Parameters
    ----------
    endpoint : str
        ``tcp://HOST:PORT`` or ``ipc://PATH``.

    Raises
    ------
    EndpointError
        If it is neither.
    """
    match = _TCP.fullmatch(endpoint)
    is_tcp = match is not None and (match["port"] == "*" or 0 <= int(match["port"]) <= 65535)
    is_ipc = endpoint.startswith("ipc://") and len(endpoint) > len("ipc://")
    if not (is_tcp or is_ipc):
        raise EndpointError(f'"{endpoint}" is not an endpoint; write tcp://HOST:PORT, such as tcp://127.0.0.1:5588')


def is_loopback(endpoint: str) -> bool:
    """Tell whether only programs on this machine can reach a well-formed endpoint.

    Parameters
    ----------
    endpoint : str
        As `validate_endpoint` accepts.

    Returns
    -------
    bool
        True for ``ipc``, ``localhost``, the interface ``lo`` and loopback addresses.
    """
    match = _TCP.fullmatch(endpoint)
    if match is None:
        return True
    host = match["host"].strip("[]")
    if host in ("localhost", "lo"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def format_address(address: tuple[str, int]) -> str:
    """Write a host and a port as one.

    Parameters
    ----------
    address : tuple of str and int
        As sockets have it.

    Returns
    -------
    str
        ``HOST:PORT``; an IPv6 address in brackets.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_taken_path(endpoint: str) -> None:
    """Refuse an ``ipc`` endpoint whose path is not free: libzmq would remove whatever is there without a word.

    Parameters
    ----------
    endpoint : str
        As `validate_endpoint` accepts; others than ``ipc`` pass.

    Raises
    ------
    EndpointError
        If something other than a socket is there, or a socket at which a program listens.
    """
    path = endpoint.removeprefix("ipc://")
    if path in (endpoint, "*") or path.startswith("@"):
        return  # not ipc, a path that libzmq chooses, or none in the file system
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return  # free, or binding will say what is wrong
    if not stat.S_ISSOCK(mode):
        raise EndpointError(f"cannot use endpoint {endpoint}: there is something else at that path; choose another")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return  # left behind by a program that has ended
        except OSError:
            pass  # somebody listens, but has no time, or not for us
    raise EndpointError(explain_zmq_error(endpoint, zmq.ZMQError(errno.EADDRINUSE)))


def explain_zmq_error(endpoint: str, error: zmq.ZMQError) -> str:
    """Say in one line what a failed bind or connect means.

    Parameters
    ----------
    endpoint : str
        The endpoint.
    error : zmq.ZMQError
        What libzmq raised.

    Returns
    -------
    str
    """
    if error.errno == errno.EADDRINUSE:
        return f"endpoint {endpoint} is already in use, perhaps by another moodring; choose another"
    if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL):
        return f"endpoint {endpoint} names no address of this machine"
    if error.errno == errno.EINVAL:
        return f'"{endpoint}" is not an endpoint; write tcp://HOST:PORT, such as tcp://127.0.0.1:5588'
    return f"cannot use endpoint {endpoint}: {error.strerror or error}"
