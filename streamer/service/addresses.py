"""Hosts and ports in a configuration, and whether they may be used without encryption."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from streamer.endpoints import format_address, is_loopback
from streamer.service.tables import Table, show_value, text

LOCAL_ADDRESS = "an address and a port such as 127.0.0.1:5600, [::1]:5600 or localhost:5600"
"""What is valid where something listens."""


@dataclass(frozen=True)
class Address:
    """A host and a TCP port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        return is_loopback(f"tcp://{self}")

    def __str__(self) -> str:
        return format_address((self.host, self.port))


def target(value: Any) -> Address:
    """Accept a host and a port to connect to."""
    return _parse(value, lowest_port=1)


def local_address(value: Any) -> Address:
    """Accept an address and a port to listen at; port 0 is one that is free."""
    address = _parse(value, lowest_port=0)
    if address.host != "localhost" and not _is_ip_address(address.host):
        raise ValueError("it is no address of this machine")
    return address


def _parse(value: Any, lowest_port: int) -> Address:
    host, colon, port = text(value).rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and lowest_port <= int(port) <= 65535):
        raise ValueError("there is no port in it")
    if not host or any(character.isspace() or character in "/@" for character in host) or (":" in host) != bracketed:
        raise ValueError
    return Address(host.strip("[]") if bracketed else host, int(port))


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def guard(table: Table, key: str, address: Address, leave: bool) -> None:
    """Complain if an address to listen at is open to others without leave, or claimed by another key.

    Parameters
    ----------
    table : Table
        Where it is.
    key : str
        Its name.
    address : Address
        Its value.
    leave : bool
        Whether it has TLS, or is allowed to have none.
    """
    refuse_open(table, key, address, leave)
    if address.port:
        table.claim(key, f"tcp://{address}")


def refuse_open(table: Table, key: str, address: Address, leave: bool) -> None:
    """Complain if an address is not this machine's own without leave; see `guard`."""
    if not (leave or address.is_loopback):
        table.complain(
            key,
            f"= {show_value(str(address))} is not on this machine, and nothing there is encrypted or authenticated; "
            "give an address on 127.0.0.1, or insecure = true beside it, or, for TLS, certificate, private_key and "
            "allowed_certificates",
        )
