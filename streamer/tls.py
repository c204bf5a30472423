"""Mutual TLS: both ends of a connection prove by certificates who they are. Needs only the standard library.

Source: RFC 8446 (TLS 1.3), RFC 5280 (certificates and who has signed whose), Python's ``ssl``.
"""

from __future__ import annotations

import re
import socket
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.errors import MoodringError
from streamer.key_files import KeyFileError, read_text, refuse_shared

MAXIMUM_CERTIFICATES = 1 << 22
"""Bytes of a file of certificates: some thousands of them, or all authorities of the world several times."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
_NOT_TLS = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}
_TOO_OLD = {"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE", "TLSV1_ALERT_PROTOCOL_VERSION"}
_VALID = {
    "certificate": "a PEM file with the certificate of this end, and after it those of the authorities between",
    "private_key": "the PEM file of the certificate's private key, unencrypted, which only its owner can read",
    "allowed_certificates": "a PEM file with the certificates of those at the other end, or of who has signed theirs",
}


class TLSError(MoodringError):
    """A file that TLS needs cannot be used, or the other end of a connection is not let in."""


@dataclass(frozen=True)
class TLSFiles:
    """Who one is, and who may be at the other end.

    Attributes
    ----------
    certificate : Path
        One's own, in PEM.
    private_key : Path
        The key that belongs to it, which nobody else can read.
    allowed_certificates : Path
        Certificates, in PEM: who has one of them, or one that is signed by one of them, is let in.
    place : str
        Where the three are named, for messages.
    """

    certificate: Path
    private_key: Path
    allowed_certificates: Path
    place: str = field(default="tls", compare=False)


class Contexts(NamedTuple):
    """What was read: for the end that is connected to, and for the one that connects."""

    listening: ssl.SSLContext
    connecting: ssl.SSLContext


class MutualTLS:
    """Wraps connections in TLS of version 1.2 or, where the other end can, 1.3; nobody is let in without a certificate.

    Parameters
    ----------
    files : TLSFiles
        Read now, and again by `load`.

    Raises
    ------
    TLSError
        If one of them cannot be used.
    """

    def __init__(self, files: TLSFiles) -> None:
        self._files = files
        self._contexts = self.load()

    def load(self) -> Contexts:
        """Read the files; nothing changes before `use`.

        Returns
        -------
        Contexts

        Raises
        ------
        TLSError
            If one of them cannot be used.
        """
        return Contexts(*(_context(self._files, kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)))

    def use(self, contexts: Contexts) -> None:
        """Let connections that begin from now on use what was read; from any thread.

        Parameters
        ----------
        contexts : Contexts
            From `load`.
        """
        self._contexts = contexts

    def accept(self, connection: socket.socket) -> ssl.SSLSocket:
        """Wrap a connection that came from outside; its handshake is still to be done.

        Parameters
        ----------
        connection : socket.socket
            Is of no use afterwards.

        Returns
        -------
        ssl.SSLSocket
        """
        return self._contexts.listening.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def connect(self, connection: socket.socket, host: str) -> ssl.SSLSocket:
        """Wrap a connection that was made to a host; its handshake is still to be done.

        Parameters
        ----------
        connection : socket.socket
            Is of no use afterwards.
        host : str
            Name or address, which the certificate at the other end must be for.

        Returns
        -------
        ssl.SSLSocket
        """
        return self._contexts.connecting.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)


def explain(error: OSError) -> str:
    """Say in a few words, to follow "refused ADDRESS: ", why there is no connection.

    Parameters
    ----------
    error : OSError
        What a handshake, or reading afterwards, raised.

    Returns
    -------
    str
        Nothing in it was chosen by the other end.
    """
    reason = (error.reason if isinstance(error, ssl.SSLError) else "") or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"it has a certificate that is not allowed ({error.verify_message})"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it has no certificate"
    if reason in _TOO_OLD:
        return "it speaks no TLS of version 1.2 or later"
    if reason in _NOT_TLS:
        return "it does not speak TLS"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "CA" in reason.split("_")):
        return f"it does not accept our certificate ({reason})"
    if isinstance(error, TimeoutError):
        return "it did not complete the TLS handshake in time"
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return "it left during the TLS handshake"
    return f"it speaks TLS badly ({reason or 'unknown reason'})"


def _context(files: TLSFiles, kind: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # a client's own certificate is enough, without that of who has signed it
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # a connection is a proof of who is there now; and what a writer never reads would end its connection with a reset
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    if kind == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0
    _load_own(context, files)
    _load_allowed(context, files)
    return context


def _load_own(context: ssl.SSLContext, files: TLSFiles) -> None:
    try:
        _check_certificates(read_text(files.certificate, "certificate", MAXIMUM_CERTIFICATES)[0])
    except (KeyFileError, ValueError) as error:
        raise _refusal(files, "certificate", str(error)) from error
    try:
        text, mode = read_text(files.private_key, "private key")
        refuse_shared(files.private_key, mode, "private")
        if "PRIVATE KEY-----" not in text:
            raise ValueError("there is no private key in it")
        if "ENCRYPTED" in text:
            raise ValueError("it is encrypted, and there is nobody to ask for the password")
        context.load_cert_chain(files.certificate, files.private_key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _refusal(files, "private_key", "it does not belong to the certificate") from error
        key = (
            "certificate" if error.reason and ("TOO_SMALL" in error.reason or "WEAK" in error.reason) else "private_key"
        )
        raise _refusal(files, key, error.reason or "it is damaged") from error
    except (KeyFileError, OSError, ValueError) as error:
        raise _refusal(files, "private_key", str(error)) from error


def _load_allowed(context: ssl.SSLContext, files: TLSFiles) -> None:
    try:
        text, mode = read_text(files.allowed_certificates, "file of certificates", MAXIMUM_CERTIFICATES)
        if mode & stat.S_IWOTH:
            raise ValueError("everybody can put certificates into it: run chmod o-w on it")
        context.load_verify_locations(cadata=_check_certificates(text))
    except (KeyFileError, ValueError, ssl.SSLError) as error:
        raise _refusal(files, "allowed_certificates", str(error)) from error


def _check_certificates(text: str) -> str:
    """Give the certificates in a file without what is written beside them, which may be in any language."""
    certificates = "\n".join(_CERTIFICATE.findall(text))
    if text.count("-----BEGIN CERTIFICATE-----") != certificates.count("-----BEGIN CERTIFICATE-----"):
        raise ValueError("a certificate in it is damaged")
    if not certificates:
        raise ValueError("there is no certificate in it")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("a certificate in it is damaged") from error
    return certificates


def _refusal(files: TLSFiles, key: str, reason: str) -> TLSError:
    return TLSError(f'{files.place}.{key} = "{getattr(files, key)}" is not valid ({reason}); give {_VALID[key]}')
