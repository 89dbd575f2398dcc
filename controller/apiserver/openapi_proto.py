"""The OpenAPI version 2 document in the protocol buffer form that kubectl asks for to validate lists.

The message types are gnostic's `openapi.v2`; only the fields that clients of Kubernetes look at are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from controller.apiserver.shapes import is_object
from controller.apiserver.status import Object

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
ANSWERED_TYPE = MEDIA_TYPE.replace("@", ".")  # an @ is allowed where a client asks, but not in an answer


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode()) if text else b""


def _named(field: int, name: str, value: bytes) -> bytes:
    """An entry of a map: its key and its value."""
    return _bytes(field, _text(1, name) + _bytes(2, value))


def _extensions(field: int, schema: Object) -> bytes:
    """Everything that begins with `x-`, as YAML, of which JSON is a part."""
    found = b""
    for name, value in schema.items():
        if name.startswith("x-"):
            found += _named(field, name, _text(2, msgspec.json.encode(value).decode()))
    return found


def _schema(schema: Any) -> bytes:
    found = _text(1, schema.get("$ref", "")) + _text(2, schema.get("format", ""))
    found += b"".join(_bytes(19, name.encode()) for name in schema.get("required", ()))
    additional = schema.get("additionalProperties")
    if is_object(additional):
        found += _bytes(21, _bytes(1, _schema(additional)))
    elif additional is True:
        found += _bytes(21, _varint(2 << 3) + b"\x01")
    if kind := schema.get("type"):
        found += _bytes(22, _text(1, kind))
    if is_object(items := schema.get("items")):
        found += _bytes(23, _bytes(1, _schema(items)))
    if properties := schema.get("properties"):
        found += _bytes(25, _schemas(properties.items()))
    return found + _extensions(31, schema)


def _schemas(entries: Iterable[tuple[str, Any]]) -> bytes:
    return b"".join(_named(1, name, _schema(schema)) for name, schema in entries)


def encode_document(document: Object) -> bytes:
    """A version 2 document as a `Document` message."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    return _text(1, document["swagger"]) + _bytes(2, info) + _bytes(9, _schemas(document["definitions"].items()))
