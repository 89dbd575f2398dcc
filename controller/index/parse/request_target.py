"""The path in what a probe calls its path.

Kubelets let anything stand there: an absolute path with a query, a whole URL, a bare word. What of it is the path
follows the rules for the target of an HTTP request, as Rust's `http` crate has them, because upstream reads it so.
"""

from __future__ import annotations

import re

from controller.index.parse.invalid import Invalid

_MAX_BYTES = 65_534
# Everything up to the query, then the query. What follows a `#` is not looked at.
_PATH = re.compile(r"([!\"$-;=@-_a-~]*)(?:\?[!$-;=?-~]*)?(?:#.*)?", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z0-9+\-.]*://")
_MAX_SCHEME = 64
_NAME = r"!$&'()*+,\-.0-9;=A-Z_a-z~"
_AUTHORITY = re.compile(
    rf"(?:[{_NAME}:%@]*@(?!$))?"  # a user, and something after it
    rf"(?:[{_NAME}:]*\[[{_NAME}:%]*\])?"  # an IPv6 address
    rf"[{_NAME}]*(?::[{_NAME}]*)?"  # a name and a port
)


def parse_request_path(target: str) -> str:
    """Read the path of a request target; a target that only names a host has an empty one."""
    if not target or len(target.encode()) > _MAX_BYTES:
        raise Invalid("a request target has 1 to 65534 bytes")
    if target == "*":
        return target
    if target.startswith("/"):
        return _parse_path(target)
    scheme = _SCHEME.match(target)
    if scheme is None:
        if _authority_end(target) != len(target):
            raise Invalid(f"{target!r} is not a request target")
        return ""
    if len(scheme[0]) - len("://") > _MAX_SCHEME and scheme[0].lower() not in ("http://", "https://"):
        raise Invalid(f"{target!r} has a long scheme")
    rest = target[scheme.end() :]
    end = _authority_end(rest)
    if end == 0:
        raise Invalid(f"{target!r} has no host")
    return _parse_path(rest[end:]) or "/"


def _parse_path(text: str) -> str:
    match = _PATH.fullmatch(text)
    if match is None:
        raise Invalid(f"{text!r} is not a path")
    return match[1]


def _authority_end(text: str) -> int:
    """Where the host and port at the beginning of a text end."""
    end = min(at for at in (text.find("/"), text.find("?"), text.find("#"), len(text)) if at >= 0)
    if not _AUTHORITY.fullmatch(text[:end]):
        raise Invalid(f"{text[:end]!r} is not a host")
    return end
