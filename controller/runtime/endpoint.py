"""Which API server, how its certificate is checked, and as whom we come: what a kubeconfig or a pod says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import attrs

from controller.runtime.credentials import Anonymous, Credentials


class BadConfiguration(Exception):
    """What we were told about the cluster makes no sense; the text says which part, and where it stands."""


@attrs.frozen
class Pem:
    """Certificates or a key: here, or in a file that is read whenever they are needed."""

    path: Path | None = None
    data: bytes | None = attrs.field(default=None, repr=False)

    def read(self) -> bytes:
        if self.data is not None:
            return self.data
        assert self.path is not None
        return self.path.read_bytes()


@attrs.frozen(kw_only=True)
class TlsSettings:
    """How the server is recognised, and the certificate that we show it."""

    authorities: Pem | None = None  # None: those that the operating system trusts
    certificate: Pem | None = None
    key: Pem | None = None
    server_name: str | None = None  # expected instead of the URL's host
    insecure: bool = False


@attrs.frozen(kw_only=True)
class Impersonation:
    """As whom to act, in the name of who we are."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str | None = None
    extra: tuple[tuple[str, str], ...] = ()

    def headers(self) -> Iterator[tuple[str, str]]:
        yield "Impersonate-User", self.user
        for group in self.groups:
            yield "Impersonate-Group", group
        if self.uid:
            yield "Impersonate-Uid", self.uid
        for key, value in self.extra:
            yield f"Impersonate-Extra-{quote(key.lower(), safe='')}", value


@attrs.frozen(kw_only=True)
class Endpoint:
    """An API server and everything that is needed to talk to it."""

    server: str  # a URL; a path in it comes before every request's path
    tls: TlsSettings = TlsSettings()
    proxy: str | None = None
    compression: bool = True
    credentials: Credentials = attrs.field(factory=Anonymous)
    impersonation: Impersonation | None = None
    namespace: str = "default"
