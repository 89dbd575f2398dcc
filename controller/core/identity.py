"""Which mesh clients: TLS identities, exact or by suffix."""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen
class IdentityExact:
    """One identity, as written."""

    name: str


@attrs.frozen
class IdentitySuffix:
    """Every identity that ends in these dot-separated parts; no parts means any identity."""

    parts: tuple[str, ...]


IdentityMatch: TypeAlias = IdentityExact | IdentitySuffix
