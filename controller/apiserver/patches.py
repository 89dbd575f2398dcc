"""PATCH requests: which kind of patch, and what it makes of the stored object."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import yaml

from controller.apiserver import causes
from controller.apiserver.decoding import (
    Decoded,
    Undecodable,
    media_type,
    reading,
    shape,
)
from controller.apiserver.effects import Steps
from controller.apiserver.kinds import Endpoint
from controller.apiserver.managed import tracking
from controller.apiserver.options import WriteOptions
from controller.apiserver.patching.merge import json_patch, merge_patch
from controller.apiserver.patching.strategic import strategic_merge
from controller.apiserver.requests import Place, Request
from controller.apiserver.shapes import is_object, list_at
from controller.apiserver.status import Object, bad_request, conflict, invalid, not_found, unsupported_media_type
from controller.apiserver.store import object_key
from controller.apiserver.writes import Writer, Written
from controller.apiserver.yaml_text import load_yaml

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def patch(writer: Writer, request: Request, endpoint: Endpoint, place: Place) -> Steps[Written]:
    """Carry out a PATCH request."""
    given = media_type(request.headers.get("content-type", ""))
    accepted = [JSON_PATCH, MERGE_PATCH, *([] if endpoint.kind.custom else [STRATEGIC_PATCH]), APPLY_PATCH]
    if given not in accepted:
        raise unsupported_media_type(accepted)
    options = WriteOptions.parse(request, "PatchOptions")
    if given == APPLY_PATCH:
        return (yield from _apply(writer, request, endpoint, place, options))
    try:
        body = msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        text = "unexpected end of JSON input" if "truncated" in str(error) else str(error)
        raise bad_request(f"error decoding patch: {text}") from None

    def produce(old: Object) -> Decoded:
        found = _patched(old, body, given, endpoint)
        if not is_object(found):
            raise bad_request("the patched value is not an object")
        _check_identity(found, old, endpoint)
        shown = msgspec.json.encode(found).decode()
        try:
            shaped = shape(found, endpoint, options.field_validation)
            return attrs.evolve(shaped, warnings=tuple(sorted(shaped.warnings)))
        except Undecodable as error:
            raise invalid("", "", "", [causes.invalid_value("patch", shown, error.detail)]) from None

    return (yield from writer.change(produce, endpoint, place, options, retry=True))


def _patched(old: Object, body: Any, given: str, endpoint: Endpoint) -> Any:
    match given:
        case "application/json-patch+json":
            return json_patch(old, body)
        case "application/merge-patch+json":
            if not is_object(body):
                raise bad_request(
                    "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
                )
            return merge_patch(old, body)
        case _:
            if not is_object(body):
                raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
            return strategic_merge(old, body, endpoint.version.schema)


def _check_identity(value: Object, old: Object, endpoint: Endpoint) -> None:
    meta = value.get("metadata")
    if not is_object(meta):
        raise bad_request("the patched object has no metadata")
    name, before = meta.get("name"), old["metadata"]["name"]
    if name != before:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({before})")
    if meta.get("namespace") != old["metadata"].get("namespace"):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    kind = endpoint.kind
    wanted = {"kind": kind.kind, "apiVersion": endpoint.api_version}
    found = [
        causes.invalid_value(field, value.get(field), f"must be {expected}")
        for field, expected in wanted.items()
        if value.get(field) != expected
    ]
    if found:
        raise invalid(kind.group, str(value.get("kind")), before, found)


def _apply(writer: Writer, request: Request, endpoint: Endpoint, place: Place, options: WriteOptions) -> Steps[Written]:
    decoded = _read_configuration(request, endpoint, place)
    applied = decoded.value
    wanted = applied["metadata"].get("resourceVersion")
    kind = endpoint.kind
    stored = writer.store.get(kind.resource, object_key(place.namespace if kind.namespaced else "", place.name))
    if stored is None:
        if place.subresource:
            raise not_found(kind.resource, place.name)
        return (yield from _create(writer, decoded, endpoint, place, options))

    def produce(old: Object) -> Decoded:
        merged = tracking.apply(applied, old, endpoint, options, writer.environment, subresource=place.subresource)
        merged["metadata"]["resourceVersion"] = wanted or old["metadata"]["resourceVersion"]
        owners = merged["metadata"].pop("managedFields", None)
        with reading(endpoint):
            shaped = shape(merged, endpoint, "Ignore", keep_nulls=True).value
        if owners is not None:
            shaped["metadata"]["managedFields"] = owners
        return Decoded(shaped, decoded.warnings)

    written = yield from writer.change(produce, endpoint, place, options, retry=not wanted, track=_settled)
    return written


def _settled(value: Object, old: Object, *_: Any, **__: Any) -> None:
    """Server-side apply has its owners already; an apply that changes nothing keeps the times it had."""
    if _timeless(value) == _timeless(old):
        value["metadata"]["managedFields"] = old["metadata"].get("managedFields")
        if value["metadata"]["managedFields"] is None:
            del value["metadata"]["managedFields"]


def _timeless(value: Object) -> Object:
    owners = [
        {name: inner for name, inner in entry.items() if name != "time"}
        for entry in list_at(value["metadata"], "managedFields")
    ]
    return {**value, "metadata": {**value["metadata"], "managedFields": owners}}


def _create(
    writer: Writer, decoded: Decoded, endpoint: Endpoint, place: Place, options: WriteOptions
) -> Steps[Written]:
    if uid := decoded.value["metadata"].get("uid"):
        text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(endpoint.kind.resource, place.name, text)
    created = tracking.apply(decoded.value, None, endpoint, options, writer.environment)
    owners = created["metadata"].pop("managedFields", None)
    created["metadata"].pop("resourceVersion", None)
    with reading(endpoint):
        shaped = shape(created, endpoint, "Ignore").value
    if owners is not None:
        shaped["metadata"]["managedFields"] = owners
    prepared = Decoded(shaped, decoded.warnings)
    return (yield from writer.create_object(prepared, endpoint, place, options, track=_keep_owners))


def _keep_owners(*_: Any, **__: Any) -> None:
    return


def _read_configuration(request: Request, endpoint: Endpoint, place: Place) -> Decoded:
    """The applied configuration: checked against the kind, but with nothing filled in."""
    try:
        value = load_yaml(request.body)
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    if value is None:
        value = dict[str, Any]()
    if not is_object(value):
        raise bad_request("error decoding YAML: the body is not an object")
    kind = endpoint.kind
    version, given = str(value.get("apiVersion") or ""), str(value.get("kind") or "")
    if (version, given) != (endpoint.api_version, kind.kind):
        shown = version if "/" in version else f"/{version}"
        raise bad_request(f"invalid object type: {shown}, Kind={given}")
    meta = value.setdefault("metadata", {})
    if not is_object(meta):
        raise bad_request("metadata is not an object")
    tracking.check_typed(value, endpoint)
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if meta.get("name", place.name) != place.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({place.name})")
    if kind.namespaced and meta.get("namespace", place.namespace) != place.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    meta["name"] = place.name
    if kind.namespaced:
        meta["namespace"] = place.namespace
    return Decoded(_within(value, endpoint, place.subresource))


def _within(value: Object, endpoint: Endpoint, subresource: str) -> Object:
    """The part of a configuration that this endpoint writes."""
    if subresource == "status":
        return {name: value[name] for name in ("apiVersion", "kind", "metadata", "status") if name in value}
    if endpoint.version.status:
        value.pop("status", None)
    return value
