"""Certificates for tests, made with the openssl command as SERVICE.md says, and strangers who try to get in."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from streamer.tls import TLSFiles

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Desk:
    """A folder of certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def private_key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def make(self, name: str, host: str = "DNS:localhost,IP:127.0.0.1", signed_by: str | None = None) -> None:
        """Make a key and a certificate, signed by itself or by another."""
        files = ["-keyout", self.private_key(name), "-subj", f"/CN={name}"]
        if signed_by is None:
            names = ["-addext", f"subjectAltName={host}"]
            _openssl("req", "-x509", *_NEW_KEY, "-days", "9", *names, *files, "-out", self.certificate(name))
            return
        request = self.folder / f"{name}.csr"
        _openssl("req", *_NEW_KEY, *files, "-out", request)
        signer = ["-CA", self.certificate(signed_by), "-CAkey", self.private_key(signed_by), "-CAcreateserial"]
        _openssl("x509", "-req", "-in", request, *signer, "-days", "9", "-out", self.certificate(name))

    def allow(self, *names: str, file: str = "allowed") -> Path:
        """Write the file of those who are allowed."""
        path = self.certificate(file)
        text = "".join(f"# für {name}\n{self.certificate(name).read_text()}" for name in names)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        return path

    def files(self, name: str, allowed: str = "allowed") -> TLSFiles:
        return TLSFiles(self.certificate(name), self.private_key(name), self.certificate(allowed), "serve.toml: http")

    def client(self, name: str | None, server: str = "stage") -> ssl.SSLContext:
        """Give what a client uses that knows the server's certificate; None: it has none of its own."""
        context = ssl.create_default_context(cafile=str(self.certificate(server)))
        if name is not None:
            context.load_cert_chain(self.certificate(name), self.private_key(name))
        return context

    def connect(self, port: int, name: str | None, server: str = "stage") -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        return self.client(name, server).wrap_socket(raw, server_hostname="localhost")


def offer(desk: Desk, port: int, who: str, words: bytes) -> tuple[str, bytes]:
    """Try to get in as somebody who does not belong; gives one's own address, and what came in answer."""
    address, answer = "", b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        address = "{}:{}".format(*raw.getsockname())
        if who in ("plain", "garbage", "silent"):
            raw.settimeout(20 if who == "silent" else 2)
            raw.sendall({"plain": words, "garbage": bytes(range(256)) * 9, "silent": b""}[who])
            while data := raw.recv(65536):
                answer += data
            return address, answer
        context = desk.client(None if who in ("nobody", "old") else who)
        if who == "old":
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall(words)
            while data := connection.recv(65536):
                answer += data
    return address, answer


def _openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
