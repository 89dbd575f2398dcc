"""The field tables of the built-in kinds, recorded from a real API server's OpenAPI documents."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from controller.apiserver.schema.node import PREFIX, Node
from controller.apiserver.status import Object


@functools.cache
def types() -> dict[str, Object]:
    """Every recorded type by its full name."""
    found: dict[str, Object] = msgspec.json.decode(Path(__file__).with_name("schemas.json").read_bytes())
    return found


@functools.cache
def _by_kind() -> dict[tuple[str, str, str], str]:
    return {
        (entry["group"], entry["version"], entry["kind"]): name
        for name, raw in types().items()
        for entry in raw.get("x-kubernetes-group-version-kind", ())
    }


@functools.cache
def type_of(group: str, version: str, kind: str) -> str:
    """The full name of a kind's type."""
    return _by_kind()[group, version, kind]


@functools.cache
def schema_of(name: str) -> Node:
    return Node({"$ref": PREFIX + name}, types())


def object_meta() -> Node:
    return schema_of("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
