"""The form of mesh identities as MeshTLSAuthentications list them: a SPIFFE ID, or DNS-like.

The index takes any text for an identity, which may then belong to nobody. So only admission looks at the form.
"""

from __future__ import annotations

import re

from controller.index.parse.invalid import Invalid

_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_LIKE = re.compile(rf"(?:\*|{_LABEL})(?:\.{_LABEL})*")
_SPIFFE = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")


def check_identity(text: str) -> None:
    """Raise `Invalid` that says what is wrong with an identity."""
    if text.startswith(_SPIFFE):
        _check_spiffe(text, text.removeprefix(_SPIFFE))
    elif not _DNS_LIKE.fullmatch(text):
        raise Invalid(
            f"{text!r} is not an identity: neither a SPIFFE ID (spiffe://trust.domain/path) nor '*', 'name.domain' or "
            "'*.domain' in lower case"
        )


def _check_spiffe(text: str, rest: str) -> None:
    domain, slash, path = rest.partition("/")
    if not domain:
        raise Invalid(f"{text!r} has no trust domain")
    if not _TRUST_DOMAIN.fullmatch(domain):
        raise Invalid(f"the trust domain of {text!r} may only have a-z, 0-9, '.', '-' and '_'")
    if not slash:
        return
    if path.endswith("/") or not path:
        raise Invalid(f"{text!r} ends with a slash")
    for segment in path.split("/"):
        _check_segment(text, segment)


def _check_segment(text: str, segment: str) -> None:
    if not segment:
        raise Invalid(f"the path of {text!r} has an empty segment")
    if segment in (".", ".."):
        raise Invalid(f"the path of {text!r} has a segment {segment!r}")
    if not _SEGMENT.fullmatch(segment):
        raise Invalid(f"the path of {text!r} may only have letters, digits, '.', '-' and '_'")
