"""Who we are, as the API server is told with every request."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import attrs
import trio

from controller.runtime.errors import Unauthenticated
from controller.runtime.log import get_logger

_log = get_logger(__name__)

REREAD_SECONDS = 60.0


@attrs.frozen
class ClientCertificate:
    """A certificate and its key, in PEM, that a plugin has given us."""

    certificate: bytes
    key: bytes = attrs.field(repr=False)


class Credentials(Protocol):
    """Where the Authorization header comes from. Raises `KubernetesError`."""

    async def authorization(self) -> str | None:
        """Return the header's value as it is now."""
        ...

    async def refresh(self) -> None:
        """Forget what the server has just refused."""
        ...

    def certificate(self) -> ClientCertificate | None:
        """Return the certificate to show, where one came along with the rest."""
        ...


@attrs.frozen
class Anonymous:
    """Nobody, or somebody whom a client certificate names."""

    async def authorization(self) -> str | None:
        return None

    async def refresh(self) -> None:
        return None

    def certificate(self) -> ClientCertificate | None:
        return None


@attrs.frozen
class Fixed:
    """Always the same header."""

    _header: str = attrs.field(repr=False)

    @classmethod
    def token(cls, token: str) -> Fixed:
        return cls(f"Bearer {token.strip()}")

    @classmethod
    def basic(cls, username: str, password: str) -> Fixed:
        return cls("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())

    async def authorization(self) -> str | None:
        return self._header

    async def refresh(self) -> None:
        return None

    def certificate(self) -> ClientCertificate | None:
        return None


@attrs.define(eq=False)
class TokenFile:
    """A token that somebody else writes anew before it expires.

    The file is read again when what we have is a minute old, and at once after the server has refused it. If it cannot
    be read then, the last good token stays in use.
    """

    _path: Path
    _now: Callable[[], float] = trio.current_time
    _header: str | None = attrs.field(default=None, init=False, repr=False)
    _read_at: float = attrs.field(default=0.0, init=False)

    async def authorization(self) -> str | None:
        if self._header is None or self._now() - self._read_at >= REREAD_SECONDS:
            await self._read()
        return self._header

    async def refresh(self) -> None:
        await self._read()

    def certificate(self) -> ClientCertificate | None:
        return None

    async def _read(self) -> None:
        self._read_at = self._now()
        try:
            self._header = f"Bearer {_token_in(await trio.Path(self._path).read_text())}"
        except (OSError, ValueError) as error:
            if self._header is None:
                raise Unauthenticated(f"reading the token in {self._path}: {error}") from error
            _log.warning("the token cannot be read; keeping the last one", path=str(self._path), error=str(error))


def _token_in(text: str) -> str:
    token = text.strip()
    if not token:
        raise ValueError("it is empty")
    return token
