"""From the bytes of a request to an object of the right kind, with what the client should be told about it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from typing import Any, cast

import attrs
import msgspec
import yaml

from controller.apiserver import wire
from controller.apiserver.builtin import recorded
from controller.apiserver.kinds import Endpoint, Kind
from controller.apiserver.requests import JSON, YAML, parse_json
from controller.apiserver.schema.defaulting import drop_nulls, fill_defaults
from controller.apiserver.schema.node import Node
from controller.apiserver.schema.typed import Mismatch, compile_reader
from controller.apiserver.schema.unknown import prune
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import (
    Cause,
    Object,
    Refused,
    bad_request,
    invalid,
    unsupported_media_type,
)
from controller.apiserver.yaml_text import load_yaml

OBJECT_TYPES = (JSON, YAML)
_TEXT = {"type": "string"}
_HEAD = compile_reader(Node({"type": "object", "properties": {"kind": _TEXT, "apiVersion": _TEXT}}), {})


class Undecodable(Exception):
    """An object cannot be read as its kind; what that means to the client depends on where it came from."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@attrs.frozen
class Decoded:
    """An object, and the warnings its fields gave rise to."""

    value: Object
    warnings: tuple[str, ...] = ()


def media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def parse_body(body: bytes, content_type: str, kind: Kind, version: str) -> tuple[Any, list[str]]:
    """The value of a body, and the fields that stand in it twice."""
    given = media_type(content_type) or JSON
    try:
        if given == JSON:
            value = parse_json(body)
            return value, duplicate_fields(body, value)
        if given == YAML:
            return load_yaml(body), []
        if given == wire.MEDIA_TYPE and not kind.custom:
            return wire.decode_object(body, kind.group, version, kind.kind), []
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError, wire.Malformed) as error:
        raise _unrecognized(body, kind.kind, _json_error(body, error)) from None
    raise unsupported_media_type((*OBJECT_TYPES, wire.MEDIA_TYPE))


def _json_error(body: bytes, error: Exception) -> str:
    if "truncated" in str(error) or not body:
        return "couldn't get version/kind; json parse error: unexpected end of JSON input"
    return f"couldn't get version/kind; json parse error: {error}"


def _unrecognized(body: bytes, kind: str, why: str) -> Refused:
    shown = body[:30].decode(errors="replace") if body[:1] == b"{" else body[:30].hex() or "<empty>"
    tail = " ..." if len(body) > 30 else ""
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({shown}{tail})")


def duplicate_fields(body: bytes, value: Any) -> list[str]:
    """Paths of the fields that a JSON text sets more than once."""
    # A text without repetitions is no longer than its decoded value encoded again; most texts end the search here.
    if len(msgspec.json.encode(value)) >= len(body):
        return []
    found: list[str] = []
    _find_duplicates(json.loads(body.decode(errors="replace"), object_pairs_hook=list), "", found)
    return found


def read_head(value: Any) -> None:
    """Refuse, as a Mismatch, what is no object with a kind and a version."""
    _HEAD.read(value, [])


def _find_duplicates(value: Any, path: str, found: list[str]) -> None:
    if not is_list(value):
        return
    seen: set[str] = set()
    for index, entry in enumerate(value):
        if isinstance(entry, tuple):
            name, inner = cast("tuple[str, Any]", entry)
            where = f"{path}.{name}" if path else name
            if name in seen:
                found.append(where)
            seen.add(name)
            _find_duplicates(inner, where, found)
        else:
            _find_duplicates(entry, f"{path}[{index}]", found)


def decode(body: bytes, content_type: str, endpoint: Endpoint, policy: str) -> Decoded:
    """The object in a request's body; `policy` is the request's fieldValidation."""
    kind = endpoint.kind
    value, repeated = parse_body(body, content_type, kind, endpoint.version.name)
    try:
        read_head(value)
    except Mismatch as mismatch:
        why = f"couldn't get version/kind; json parse error: {mismatch.message}"
        raise _unrecognized(body, kind.kind, why) from None
    for field in ("kind", "apiVersion"):
        if kind.custom and not value.get(field):
            title = "Kind" if field == "kind" else "apiVersion"
            shown = body.decode(errors="replace")
            raise _unrecognized(body, kind.kind, f"Object '{title}' is missing in '{shown}'")
    _check_type(value, endpoint)
    with reading(endpoint):
        return shape(value, endpoint, policy, repeated)


@contextlib.contextmanager
def reading(endpoint: Endpoint) -> Generator[None]:
    """Refuse a request whose body cannot be read as its kind."""
    kind, version = endpoint.kind, endpoint.version
    try:
        yield
    except Undecodable as error:
        text = f'{kind.kind} in version "{version.name}" cannot be handled as a {kind.kind}: {error.detail}'
        raise bad_request(text) from None


def _check_type(value: Object, endpoint: Endpoint) -> None:
    kind = endpoint.kind
    given, version = value.get("kind") or kind.kind, value.get("apiVersion") or endpoint.api_version
    if kind.custom:
        if version != endpoint.api_version:
            expected = endpoint.api_version
            raise bad_request(
                f"the API version in the data ({version}) does not match the expected API version ({expected})"
            )
        if given != kind.kind:
            name = value.get("metadata", {}).get("name", "") if is_object(value.get("metadata")) else ""
            cause = Cause("FieldValueInvalid", f'Invalid value: "{given}": must be {kind.kind}', "kind")
            raise invalid(kind.group, given, name, [cause])
    elif (given, version) != (kind.kind, endpoint.api_version):
        raise bad_request(
            f'{given} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.kind}: '
            f'no kind "{given}" is registered for version "{version}"'
        )
    value["kind"], value["apiVersion"] = kind.kind, endpoint.api_version


def shape(
    value: Object, endpoint: Endpoint, policy: str, repeated: Sequence[str] = (), *, keep_nulls: bool = False
) -> Decoded:
    """Bring a value into the form of its kind: typed, pruned and with defaults."""
    kind, version = endpoint.kind, endpoint.version
    unknown: list[str] = []
    try:
        if kind.custom:
            unknown = _shape_custom(value, endpoint, keep_nulls=keep_nulls)
        else:
            value = recorded.reader_of(version.schema.reference).read(value, unknown)
    except Mismatch as mismatch:
        raise Undecodable(mismatch.message) from None
    value["kind"], value["apiVersion"] = kind.kind, endpoint.api_version
    value.setdefault("metadata", {})
    texts = [f'duplicate field "{path}"' for path in repeated] + [f'unknown field "{path}"' for path in unknown]
    if texts and policy == "Strict":
        raise Undecodable(f"strict decoding error: {', '.join(texts)}")
    kind.behaviour.defaults(value)
    return Decoded(value, tuple(texts) if policy != "Ignore" else ())


def _shape_custom(value: Object, endpoint: Endpoint, *, keep_nulls: bool) -> list[str]:
    unknown = read_metadata(value)
    found: list[str] = []
    schema = endpoint.version.schema
    if not endpoint.kind.preserve_unknown:
        prune(value, schema, root=True, unknown=found)
    fill_defaults(value, schema)
    if not keep_nulls:
        drop_nulls(value, schema)
    return unknown + sorted(found)


def read_metadata(value: Object) -> list[str]:
    """Bring `metadata` into its typed form; returns the fields it does not have."""
    unknown: list[str] = []
    given = value.get("metadata")
    if given is not None and not is_object(given):
        raise Mismatch(given, "v1.ObjectMeta")
    value["metadata"] = recorded.reader_of(recorded.OBJECT_META).read(given or {}, unknown)
    return [f"metadata.{path}" for path in unknown]
