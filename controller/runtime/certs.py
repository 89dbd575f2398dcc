"""The server's certificate: read from two files, checked, and read again when they change.

A new pair is used by the next connection. One that is unreadable, half written or does not match is not used: the last
good one stays, and the files are tried again when they change again.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import ssl
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

from controller.runtime.log import get_logger

_log = get_logger(__name__)

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)
# The first form that occurs counts, as upstream has it; SEC1, which openssl writes, is an addition of ours.
_KEY_FORMS = (b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY")

# What tells one version of a file from another, with links resolved: a Secret's volume swaps a link.
_Stamp: TypeAlias = tuple[tuple[int, ...] | None, ...]


class CertificateError(Exception):
    """The files do not hold a key and a certificate that can be used together."""


@attrs.frozen(eq=False)
class Pair:
    """A key and its certificates, in use."""

    context: ssl.SSLContext
    not_after: dt.datetime


@attrs.frozen
class CertificateFiles:
    """Where the pair lies: PEM files; of the certificates the server's own comes first."""

    key: Path
    certs: Path

    def load(self) -> Pair:
        """Read and check both. Raises `CertificateError` that names the file and what is wrong with it."""
        key = _choose_key(_read(self.key, "private key"), self.key)
        chain = [block for name, block in _blocks(_read(self.certs, "certificates")) if name == b"CERTIFICATE"]
        if not chain:
            raise CertificateError(f"reading the server's certificates: {self.certs} holds none")
        not_after = self._check(key, chain[0])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            with _as_file(b"\n".join([key, *chain])) as path:
                context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise CertificateError(f"using the certificates of {self.certs}: {error.reason or error}") from error
        return Pair(context, not_after)

    def stamp(self) -> _Stamp:
        return tuple(_stamp(path) for path in (self.key, self.certs))

    def _check(self, key: bytes, leaf: bytes) -> dt.datetime:
        """Return until when the certificate is good, if it is one and the key is its own."""
        # Slow to import, and this runs in a thread.
        from cryptography import x509  # noqa: PLC0415
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # The library's own words may quote what it read.
            raise CertificateError(f"reading the server's private key: {self.key} cannot be decoded") from None
        try:
            certificate = x509.load_pem_x509_certificate(leaf)
        except ValueError as error:
            raise CertificateError(f"reading the server's certificates: {self.certs}: {error}") from error
        if private.public_key() != certificate.public_key():
            raise CertificateError(f"the private key of {self.key} is not that of the certificate in {self.certs}")
        return certificate.not_valid_after_utc


@attrs.define(eq=False)
class Certificates:
    """The pair in use. Its files are looked at for each connection, and read only if they have changed."""

    _files: CertificateFiles
    _pair: Pair
    _stamp: _Stamp
    _on_reload: Callable[[bool], None]
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @classmethod
    async def load(cls, files: CertificateFiles, *, on_reload: Callable[[bool], None] = lambda _: None) -> Certificates:
        """Load the first pair; without one there is no server. `on_reload` hears whether each later one was good."""
        stamp = files.stamp()  # before reading: what changes meanwhile is read again
        return cls(files, await trio.to_thread.run_sync(files.load), stamp, on_reload)

    @property
    def not_after(self) -> dt.datetime:
        """When the certificate in use expires."""
        return self._pair.not_after

    async def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        async with self._lock:
            stamp = self._files.stamp()
            if stamp != self._stamp:
                await self._reload(stamp)
            return self._pair.context

    async def _reload(self, stamp: _Stamp) -> None:
        try:
            pair = await trio.to_thread.run_sync(self._files.load)
        except CertificateError as error:
            _log.warning("new certificate not used", reason=error, still_valid_until=self._pair.not_after)
            self._on_reload(False)  # whether it was good
        else:
            _log.info("certificate reloaded", valid_until=pair.not_after)
            self._pair = pair
            self._on_reload(True)
        self._stamp = stamp


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"reading the server's {what}: {path}: {error.strerror}") from error


def _blocks(pem: bytes) -> list[tuple[bytes, bytes]]:
    return [(match[1], match[0]) for match in _BLOCK.finditer(pem)]


def _choose_key(pem: bytes, path: Path) -> bytes:
    blocks = _blocks(pem)
    for form in _KEY_FORMS:
        keys = [block for name, block in blocks if name == form]
        if len(keys) > 1:
            raise CertificateError(f"reading the server's private key: {path} holds {len(keys)} of them")
        if keys:
            return keys[0]
    hint = ", only an encrypted one" if any(name == b"ENCRYPTED PRIVATE KEY" for name, _ in blocks) else ""
    raise CertificateError(f"reading the server's private key: {path} holds none{hint}")


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@contextmanager
def _as_file(content: bytes) -> Generator[str]:
    """Lend a file with this content to OpenSSL, which reads nothing else.

    The key must not touch a disk, and in a container there may be none to write to; so it is a file in memory where
    the system has those.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("server-certificate", os.MFD_CLOEXEC), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
