"""TLS contexts for the API server, made anew when the files behind them change."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs

from controller.runtime.credentials import ClientCertificate
from controller.runtime.endpoint import BadConfiguration, Pem, TlsSettings
from controller.runtime.log import get_logger

_log = get_logger(__name__)

REREAD_SECONDS = 60.0


@attrs.frozen
class _Material:
    """Everything that a context is made of."""

    authorities: bytes | None
    certificate: bytes | None
    key: bytes | None = attrs.field(repr=False)


@attrs.define(eq=False)
class TlsContexts:
    """The context to connect with now. Files are read again each minute; a bad one leaves the last good context."""

    _settings: TlsSettings
    _now: Callable[[], float]
    _material: _Material | None = attrs.field(default=None, init=False, repr=False)
    _context: ssl.SSLContext | None = attrs.field(default=None, init=False)
    _read_at: float = attrs.field(default=0.0, init=False)
    _from_plugin: ClientCertificate | None = attrs.field(default=None, init=False, repr=False)

    def current(self, from_plugin: ClientCertificate | None = None) -> ssl.SSLContext:
        """Return the context; the same object for as long as nothing has changed."""
        now = self._now()
        fresh = now - self._read_at < REREAD_SECONDS and from_plugin is self._from_plugin
        if self._context is not None and fresh:
            return self._context
        self._read_at, self._from_plugin = now, from_plugin
        try:
            return self._renew(from_plugin)
        except (OSError, ValueError, ssl.SSLError, BadConfiguration) as error:
            if self._context is None:
                raise BadConfiguration(f"preparing TLS: {error}") from error
            _log.warning("certificates cannot be read; keeping the last ones", error=str(error))
            return self._context

    def _renew(self, from_plugin: ClientCertificate | None) -> ssl.SSLContext:
        material = self._read(from_plugin)
        if self._context is None or material != self._material:
            self._context = self._make(material)
            self._material = material
        return self._context

    def _read(self, from_plugin: ClientCertificate | None) -> _Material:
        settings = self._settings
        authorities = _read(settings.authorities)
        if from_plugin is not None:
            return _Material(authorities, from_plugin.certificate, from_plugin.key)
        return _Material(authorities, _read(settings.certificate), _read(settings.key))

    def _make(self, material: _Material) -> ssl.SSLContext:
        if self._settings.insecure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif material.authorities is None:
            context = ssl.create_default_context()
        else:
            context = ssl.create_default_context(cadata=material.authorities.decode("ascii", "replace"))
        # Python 3.13 turned this on; it refuses authorities that Kubernetes distributions really use.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if material.certificate is not None and material.key is not None:
            _load_chain(context, material.certificate, material.key)
        return context


def _read(pem: Pem | None) -> bytes | None:
    return None if pem is None else pem.read()


def _load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give the context a certificate. OpenSSL's interface takes files only, so for a moment there is one."""

    def refuse_password() -> str:
        raise BadConfiguration("the client key is encrypted; give it without a passphrase")

    with tempfile.TemporaryDirectory(prefix="trellis-") as folder:
        path = Path(folder) / "chain.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate.rstrip() + b"\n" + key)
        context.load_cert_chain(path, password=refuse_password)
