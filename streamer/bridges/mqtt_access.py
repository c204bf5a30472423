"""How the MQTT bridge proves who it is and whom it speaks to: passwords and TLS. Needs only the standard library.

Source: MQTT 3.1.1, section 5.4 (security); RFC 8446 (TLS 1.3); Python's ``ssl``.
"""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

from model.errors import MoodringError
from streamer.key_files import KeyFileError, read_text, refuse_shared
from streamer.tls import MAXIMUM_CERTIFICATES

PASSWORD_VARIABLE = "MOODRING_MQTT_PASSWORD"


def read_password(path: Path | None) -> str | None:
    """Read the password for a broker; it is never taken from the command line, which every user of a machine can see.

    Parameters
    ----------
    path : Path or None
        A file whose first line it is, which only its owner can read; None for the environment variable.

    Returns
    -------
    str or None
        None if there is no file, and nothing in the variable.

    Raises
    ------
    MoodringError
        If the file cannot be read, is empty, or can be read by others (where files have owners).
    """
    if path is None:
        return os.environ.get(PASSWORD_VARIABLE) or None
    try:
        text, mode = read_text(path, "password")
    except KeyFileError as error:
        raise MoodringError(f"--password-file: {error}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MoodringError(f'--password-file: others can read or change "{path}": run chmod 600 on it')
    password, _, _ = text.partition("\n")
    if not password.strip():
        raise MoodringError(f'--password-file: there is no password in the first line of "{path}"')
    return password.removesuffix("\r")


def tls_context(
    authorities: Path | None, certificate: Path | None = None, private_key: Path | None = None
) -> ssl.SSLContext:
    """Prepare TLS 1.2 or later: the broker has to prove that it is the host that was named.

    Parameters
    ----------
    authorities : Path or None
        Certificates in PEM, of the broker or of who has signed its own: nobody else is spoken to. None for the
        authorities that the system knows.
    certificate : Path or None
        The bridge's own in PEM, for a broker that asks.
    private_key : Path or None
        The key that belongs to it; None if it is in the same file.

    Returns
    -------
    ssl.SSLContext

    Raises
    ------
    MoodringError
        If one of the files cannot be used.
    """
    context = ssl.create_default_context(cafile=None if authorities is None else _authorities(authorities))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a broker's own certificate is enough
    if certificate is None:
        if private_key is not None:
            raise MoodringError("--tls-key is the key of a certificate; give --tls-cert, too")
        return context
    place = "--tls-cert" if private_key is None else "--tls-key"
    key = private_key or certificate
    try:
        read_text(certificate, "certificate", MAXIMUM_CERTIFICATES)
        text, mode = read_text(key, "private key", MAXIMUM_CERTIFICATES)
        refuse_shared(key, mode, "private")
        if "ENCRYPTED" in text:
            raise MoodringError(f'"{key}" is encrypted, and there is nobody to ask for its password')
        context.load_cert_chain(certificate, private_key, password="")
    except (OSError, ValueError) as error:
        reason = "they do not belong together" if "MISMATCH" in str(error) else "it is damaged, or no such file"
        raise MoodringError(
            f'{place} "{key}" is not valid ({reason}); give PEM files of a certificate and of its private key'
        ) from error
    except MoodringError as error:
        raise MoodringError(f"{place}: {error}") from error
    return context


def _authorities(path: Path) -> str:
    try:
        text, _ = read_text(path, "file of certificates", MAXIMUM_CERTIFICATES)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="".join(c for c in text if c.isascii()))
    except KeyFileError as error:
        raise MoodringError(f"--tls-ca: {error}") from error
    except (ssl.SSLError, ValueError) as error:
        raise MoodringError(f'--tls-ca "{path}" is not valid; give a PEM file of certificates') from error
    return str(path)
