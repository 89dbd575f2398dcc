"""Built-in objects in the protocol buffer form in which some clients send them.

A body begins with four magic bytes; then comes a `runtime.Unknown`, which names version and kind and holds the object.
How the fields of the kinds are numbered was recorded together with their schemas.
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from controller.apiserver.builtin import recorded
from controller.apiserver.schema.node import Node
from controller.apiserver.status import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"


class Malformed(Exception):
    """The bytes are no object."""


def _varint(data: bytes, place: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise Malformed("unexpected end of a number")
        byte = data[place]
        found |= (byte & 0x7F) << shift
        place += 1
        shift += 7
        if not byte & 0x80:
            return found, place


def _entries(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their numbers, and a number or the bytes of each."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        match key & 7:
            case 0:
                value, place = _varint(data, place)
                yield key >> 3, value
            case 1:
                yield key >> 3, data[place : place + 8]
                place += 8
            case 2:
                size, place = _varint(data, place)
                if place + size > len(data):
                    raise Malformed("unexpected end of a field")
                yield key >> 3, data[place : place + size]
                place += size
            case 5:
                yield key >> 3, data[place : place + 4]
                place += 4
            case kind:
                raise Malformed(f"unknown wire type {kind}")


def _fields(data: int | bytes) -> dict[int, int | bytes]:
    return dict(_entries(data)) if isinstance(data, bytes) else {}


def _text(value: int | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _signed(value: int | bytes | None) -> int:
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >> 63 else number


def decode_object(body: bytes, group: str, version: str, kind: str) -> Object:
    """The object in a body that is to hold one of this kind."""
    if body[:4] != _MAGIC:
        raise Malformed("the body is not in the encoding of Kubernetes")
    try:
        unknown = _fields(body[4:])
        meta = _fields(unknown.get(1, b""))
        found: Object = _message(_bytes(unknown.get(2)), recorded.schema_of(recorded.type_of(group, version, kind)))
    except (UnicodeDecodeError, msgspec.DecodeError, struct.error) as error:
        raise Malformed(str(error)) from None
    return {"apiVersion": _text(meta.get(1)), "kind": _text(meta.get(2)), **found}


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _message(data: bytes, node: Node) -> Object:
    found: Object = {}
    _read_into(found, data, node, node.reference)
    return found


def _read_into(found: Object, data: bytes, node: Node, type_name: str) -> None:
    declared = recorded.fields().get(type_name, {})
    by_number = {entry[0]: name for name, entry in declared.items() if name}
    embedded = declared.get("", {})
    for number, value in _entries(data):
        if str(number) in embedded:
            _read_into(found, _bytes(value), node, embedded[str(number)])
            continue
        name = by_number.get(number)
        schema = node.properties.get(name) if name else None
        if name is None or schema is None:
            continue
        if schema.type == "array" and schema.items is not None:
            found.setdefault(name, []).append(_value(value, schema.items))
        elif schema.type == "object" and schema.additional is not None:
            entry = _fields(value)
            found.setdefault(name, {})[_text(entry.get(1))] = _value(entry.get(2, b""), schema.additional)
        else:
            found[name] = _value(value, schema)


def _value(value: int | bytes, node: Node) -> Any:
    match node.reference.rpartition(".")[2]:
        case "Time" | "MicroTime":
            return _moment(_fields(value), fractions=node.reference.endswith("MicroTime"))
        case "Quantity":
            return _text(_fields(value).get(1))
        case "IntOrString":
            parts = _fields(value)
            return _text(parts.get(3)) if parts.get(1) == 1 else _signed(parts.get(2))
        case "FieldsV1" | "RawExtension" | "JSON":
            raw = _bytes(_fields(value).get(1))
            return msgspec.json.decode(raw) if raw else None
        case _:
            pass
    match node.type:
        case "string" if node.raw.get("format") == "byte":
            return base64.b64encode(_bytes(value)).decode()
        case "string":
            return _text(value)
        case "boolean":
            return bool(value)
        case "integer":
            return _signed(value)
        case "number":
            return struct.unpack("<d", _bytes(value))[0]
        case _:
            return _message(_bytes(value), node)


def _moment(parts: dict[int, int | bytes], *, fractions: bool) -> str | None:
    if not parts:
        return None
    moment = dt.datetime.fromtimestamp(_signed(parts.get(1)), dt.UTC)
    if fractions:
        moment += dt.timedelta(microseconds=_signed(parts.get(2)) // 1000)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
