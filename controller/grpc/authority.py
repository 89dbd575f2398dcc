"""Names that proxies ask about: `web.emojivoto.svc.cluster.local:8080`.

What is an authority follows the rules of Rust's `http` crate, by which proxies and upstream read them. They are laxer
than the RFC's: one pair of brackets may stand anywhere, and in front of an `@` nearly anything.
"""

from __future__ import annotations

import re

import attrs

DEFAULT_PORT = 80
MAX_PORT = 65_535

_CHARACTERS = re.compile(r"[A-Za-z0-9!$&'()*+,\-.;=_~:%@\[\]]+")
_PORT = re.compile(r"\+?0*([0-9]{1,5})")
_MAX_COLONS = 8


@attrs.frozen
class Authority:
    """`host` is empty where there is none; `port` is 80 where none could be read."""

    host: str
    port: int


@attrs.frozen
class ServiceName:
    namespace: str
    name: str


def parse_authority(text: str) -> Authority | None:
    """Read an authority; `None` for what is none."""
    if not _CHARACTERS.fullmatch(text) or not _is_well_formed(text):
        return None
    rest = text.rpartition("@")[2]
    host = rest[: rest.index("]") + 1] if rest.startswith("[") else rest.partition(":")[0]
    return Authority(host, _port(text))


def _is_well_formed(text: str) -> bool:
    """Whether brackets pair, one colon at most is left for the port, and no percent sign is left at all."""
    colons, opened, closed, percent = 0, False, False, False
    for character in text:
        match character:
            case ":":
                if colons == _MAX_COLONS:
                    return False
                colons += 1
            case "[":
                if opened or percent:
                    return False
                opened = True
            case "]":
                if closed or not opened:
                    return False
                closed, colons, percent = True, 0, False
            case "@":
                colons, percent = 0, False
            case "%":
                percent = True
            case _:
                pass
    return opened == closed and colons <= 1 and not percent and not text.endswith("@")


def _port(text: str) -> int:
    _, colon, port = text.rpartition(":")
    match = _PORT.fullmatch(port) if colon else None
    number = int(match[1]) if match else 0
    return number if 1 <= number <= MAX_PORT else DEFAULT_PORT


def parse_service_name(host: str, cluster_domain: str) -> ServiceName | None:
    """Read `NAME.NAMESPACE.svc`, with the cluster's domain behind it or any other; `None` for other hosts.

    Labels are taken as they are, empty ones too.
    """
    name = host.rstrip(".")
    while cluster_domain and name.endswith(cluster_domain):
        name = name[: -len(cluster_domain)]
    match name.split("."):
        case [service, namespace, "svc", *_]:
            return ServiceName(namespace, service)
        case _:
            return None
