"""The keys of a table of the configuration that turn TLS on."""

from __future__ import annotations

from pathlib import Path

from streamer.service.tables import Table, path_below
from streamer.tls import TLSFiles

_VALID = {
    "certificate": "the path of this end's certificate",
    "private_key": "the path of the certificate's private key",
    "allowed_certificates": "the path of a file of the certificates of those at the other end, or of who signs theirs",
}


def tls_files(table: Table, folder: Path) -> TLSFiles | None:
    """Read the keys: all of them, or none.

    Parameters
    ----------
    table : Table
        Where they are.
    folder : Path
        What relative paths are relative to.

    Returns
    -------
    TLSFiles or None
        None without TLS.
    """
    paths = {key: table.take(key, path_below(folder), f"{valid}, in PEM", None) for key, valid in _VALID.items()}
    if not any(key in table for key in _VALID):
        return None
    for key, valid in _VALID.items():
        table.require(key, f"{valid}, in PEM: TLS needs all of {', '.join(_VALID)}")
    certificate, private_key, allowed = paths.values()
    if certificate is None or private_key is None or allowed is None:
        return None
    return TLSFiles(certificate, private_key, allowed, table.place())
