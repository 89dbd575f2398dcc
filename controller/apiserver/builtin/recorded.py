"""The field tables of the built-in kinds, recorded from a real API server's OpenAPI documents."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec

from controller.apiserver.schema.node import PREFIX, Node
from controller.apiserver.schema.typed import Reader, compile_reader
from controller.apiserver.status import Object

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


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


@functools.cache
def fields() -> dict[str, dict[str, Any]]:
    """Of every type its fields: their numbers on the wire, and how Go writes them.

    `p` is a pointer, written if it is set; `o` is left out when it is zero; `w` is always written. Under the empty name
    are the types that are embedded, by their numbers.
    """
    found: dict[str, dict[str, Any]] = msgspec.json.decode(Path(__file__).with_name("fields.json").read_bytes())
    return found


@functools.cache
def reader_of(name: str) -> Reader:
    """What reads values of a recorded type."""
    return compile_reader(schema_of(name), fields())


def object_meta() -> Node:
    return schema_of(OBJECT_META)
