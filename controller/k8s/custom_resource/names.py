"""What a kind may be called, and how it is called where nobody says."""

from __future__ import annotations

import re

from controller.k8s.custom_resource.node import SchemaError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_VERSION = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")


def plural_of(singular: str) -> str:
    """`policy` → `policies`, `mesh` → `meshes`, `server` → `servers`."""
    if re.search(r"(s|x|z|ch|sh)$", singular):
        return f"{singular}es"
    if re.search(r"[^aeiou]y$", singular):
        return f"{singular[:-1]}ies"
    return f"{singular}s"


def check_group(group: str) -> None:
    if "." not in group:
        raise SchemaError(f"group {group!r} has no dot")
    if len(group) > 253 or not all(_LABEL.fullmatch(label) for label in group.split(".")):
        raise SchemaError(f"group {group!r} is not a DNS subdomain")


def check_version(version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise SchemaError(f"version {version!r} is not like v1, v1beta2 or v2alpha1")


def check_kind(kind: str) -> None:
    if not _KIND.fullmatch(kind):
        raise SchemaError(f"kind {kind!r} is not in CamelCase")


def check_label(what: str, name: str) -> None:
    if not _LABEL.fullmatch(name):
        raise SchemaError(f"{what} {name!r} is not a DNS label")


_STAGES = {None: 2, "beta": 1, "alpha": 0}


def version_priority(version: str) -> tuple[int, int, int]:
    """Greater for versions that Kubernetes prefers: v10, v2, v1, v11beta2, v10beta3, v3alpha1."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise SchemaError(f"version {version!r} is not like v1, v1beta2 or v2alpha1")
    return _STAGES[match[2]], int(match[1]), int(match[3] or 0)
