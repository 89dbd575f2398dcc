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
    read_head,
    reading,
    shape,
)
from controller.apiserver.effects import Steps
from controller.apiserver.kinds import Endpoint
from controller.apiserver.managed import tracking
from controller.apiserver.options import WriteOptions
from controller.apiserver.patching.merge import json_patch, merge_patch
from controller.apiserver.patching.strategic import strategic_merge
from controller.apiserver.requests import Place, Request, parse_json
from controller.apiserver.schema.typed import Mismatch
from controller.apiserver.shapes import is_object, list_at
from controller.apiserver.status import (
    Object,
    Refused,
    bad_request,
    conflict,
    internal,
    invalid,
    not_found,
    unsupported_media_type,
)
from controller.apiserver.store import object_key
from controller.apiserver.writes import Writer, Written, check_name, place_object, telling, undeterminable
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
        body = parse_json(request.body)
    except msgspec.DecodeError as error:
        text = "unexpected end of JSON input" if "truncated" in str(error) else str(error)
        raise bad_request(f"error decoding patch: {text}") from None

    def produce(old: Object) -> Decoded:
        found = _patched(old, body, given, endpoint)
        if given == STRATEGIC_PATCH:  # it is of structures, which have no kind
            found |= {
                name: text for name, text in _identity(endpoint).items() if isinstance(found.get(name), str | None)
            }
        return _read_patched(found, endpoint, place, options.field_validation)

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


def _identity(endpoint: Endpoint) -> dict[str, str]:
    return {"kind": endpoint.kind.kind, "apiVersion": endpoint.api_version}


def _read_patched(found: Any, endpoint: Endpoint, place: Place, policy: str) -> Decoded:
    """What a patch has made of an object, if that is still this object."""
    if not is_object(found):
        raise Refused(422, "Invalid", "the server rejected our request due to an error in our request", details={})
    shown = msgspec.json.encode(found).decode()
    identity = {name: found.get(name) for name in _identity(endpoint)}
    try:
        _check_head(found, endpoint, place, shown)
        shaped = shape(found, endpoint, policy)
    except (Undecodable, Mismatch) as error:
        why = error.detail if isinstance(error, Undecodable) else error.message
        raise invalid("", "", "", [causes.invalid_value("patch", shown, why)]) from None
    shaped = attrs.evolve(shaped, warnings=tuple(sorted(shaped.warnings)))
    with telling(shaped):
        place_object(shaped.value, endpoint, place)
        check_name(shaped.value, place)
        wrong = [
            causes.invalid_value(name, given, f"must be {_identity(endpoint)[name]}")
            for name, given in identity.items()
            if endpoint.kind.custom and given != _identity(endpoint)[name]
        ]
        if wrong:
            group = str(identity["apiVersion"]).rpartition("/")[0]
            raise invalid(group, str(identity["kind"]), place.name, wrong)
    return shaped


def _check_head(found: Object, endpoint: Endpoint, place: Place, shown: str) -> None:
    """A patched object may not lose its version; one of a built-in kind may lose its kind, but not change it."""
    read_head(found)
    if endpoint.kind.custom:
        if not found.get("kind"):
            raise Undecodable(f"Object 'Kind' is missing in '{shown}'")
        if not found.get("apiVersion"):
            raise internal("Object 'apiVersion' is missing in 'object has no apiVersion field'")
        return
    if not found.get("apiVersion"):
        refused = undeterminable(place.name)
        refused.warnings = tuple(f'unknown field "{name}"' for name in sorted(found) if name != "kind")
        raise refused
    wanted = _identity(endpoint)
    given = {name: found.get(name) or text for name, text in wanted.items()}
    if given != wanted:
        raise Undecodable(f'no kind "{given["kind"]}" is registered for version "{given["apiVersion"]}"')


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
        applied["metadata"]["name"] = place.name
        merged = tracking.apply(applied, old, endpoint, options, writer.environment, subresource=place.subresource)
        merged["metadata"]["resourceVersion"] = wanted or old["metadata"]["resourceVersion"]
        owners = merged["metadata"].pop("managedFields", None)
        with reading(endpoint):
            shaped = shape(merged, endpoint, "Ignore").value
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
    check_name(decoded.value, place)
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
    tracking.check_typed(value, endpoint)
    meta: Object = value.get("metadata") or {}
    value["metadata"] = meta
    if meta.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    if meta.get("name", place.name) != place.name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({place.name})")
    if kind.namespaced and meta.get("namespace", place.namespace) != place.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
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
