"""Protobuf messages as plain data, in the form in which the recorded answers are kept."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

ROUTE_LISTS = {"routes", "http_routes"}
Stamp = Callable[[str], "str | None"]  # "group/Kind/namespace/name" → creationTimestamp


def to_plain(message: Message) -> Any:
    """Dicts, lists, text and numbers; a scalar outside a oneof vanishes when it holds its default."""
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Duration":
            return _duration(message.seconds, message.nanos)
        case "io.linkerd.proxy.net.IPAddress":
            return _address(message)
        case _:
            return dict(_fields(message))


def _fields(message: Message) -> Iterator[tuple[str, Any]]:
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            if field.message_type and field.message_type.GetOptions().map_entry:
                if value:
                    yield field.name, dict(value)
            elif value:
                yield field.name, [_item(field, item) for item in value]
        elif field.has_presence:
            if message.HasField(field.name):
                yield field.name, _item(field, value)
        elif value:
            yield field.name, _item(field, value)


def _item(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type:
        return to_plain(value)
    if field.enum_type:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return round(value, 7) if field.type == FieldDescriptor.TYPE_FLOAT else value


def _duration(seconds: int, nanos: int) -> str:
    total = seconds * 1_000_000_000 + nanos
    text = f"{abs(total) // 1_000_000_000}.{abs(total) % 1_000_000_000:09}".rstrip("0").rstrip(".")
    return f"{'-' if total < 0 else ''}{text}s"


def _address(message: Any) -> Any:
    match message.WhichOneof("ip"):
        case "ipv4":
            return str(ipaddress.IPv4Address(message.ipv4))
        case "ipv6":
            return str(ipaddress.IPv6Address(message.ipv6.first << 64 | message.ipv6.last))
        case _:
            return {}


def normal(answer: Any, stamp: Stamp, field: str = "") -> Any:
    """The same answer with everything sorted whose order does not count."""
    if isinstance(answer, dict):
        return {name: normal(item, stamp, name) for name, item in answer.items()}
    if not isinstance(answer, list):
        return answer
    items = [normal(item, stamp) for item in answer]
    if field == "authorizations":
        return sorted(items, key=_text)
    return list(_ties_sorted(items, stamp)) if field in ROUTE_LISTS else items


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _ties_sorted(routes: list[Any], stamp: Stamp) -> Iterator[Any]:
    """Routes equal in creationTimestamp and name come in no particular order upstream."""
    run: list[Any] = []
    last: object = None
    for route in routes:
        resource = route.get("metadata", {}).get("resource")
        tie: object = object()
        if resource and "namespace" in resource:
            reference = f"{resource['group']}/{resource['kind']}/{resource['namespace']}/{resource['name']}"
            tie = (resource["name"], stamp(reference))
        if tie != last:
            yield from sorted(run, key=_text)
            run = []
        run.append(route)
        last = tie
    yield from sorted(run, key=_text)
