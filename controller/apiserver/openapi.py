"""OpenAPI documents: enough for `kubectl apply`, `explain` and server-side apply to know the kinds.

Version 3 has a document for each group version, with the schemas of its kinds and, of its paths, the operations in
which clients look for supported parameters. Version 2 is one document with the definitions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from controller.apiserver.builtin import recorded
from controller.apiserver.catalog import Catalog
from controller.apiserver.discovery import VERSION
from controller.apiserver.kinds import Kind
from controller.apiserver.openapi_proto import ANSWERED_TYPE, MEDIA_TYPE, encode_document
from controller.apiserver.requests import Request, Response, respond
from controller.apiserver.schema.node import PREFIX
from controller.apiserver.shapes import is_list, is_object
from controller.apiserver.status import Object

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_BODIES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def answer(catalog: Catalog, request: Request) -> Response | None:
    """An OpenAPI document; None if the path is none."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["openapi", "v2"]:
            document = _document_v2(catalog)
            if MEDIA_TYPE in request.headers.get("accept", ""):
                return Response(200, encode_document(document), media_type=ANSWERED_TYPE)
            return respond(document)
        case ["openapi", "v3"]:
            return respond({"paths": {path: {"serverRelativeURL": _url(catalog, path)} for path in _paths(catalog)}})
        case ["openapi", "v3", "api", version] if version == "v1":
            return respond(_document(catalog, "", version))
        case ["openapi", "v3", "apis", group, version] if version in catalog.groups().get(group, ()):
            return respond(_document(catalog, group, version))
        case _:
            return None


def _paths(catalog: Catalog) -> Iterator[str]:
    for group, versions in catalog.groups().items():
        for version in versions:
            yield f"apis/{group}/{version}" if group else f"api/{version}"


def _url(catalog: Catalog, path: str) -> str:
    """Clients keep a document for as long as the hash in its address stays the same."""
    group, version = path.rpartition("/")[0].partition("/")[2], path.rpartition("/")[2]
    kinds = [(kind.plural, kind.versions[version].schema.raw) for kind in catalog.served(group, version)]
    digest = hashlib.sha256(msgspec.json.encode(kinds)).hexdigest()[:32].upper()
    return f"/openapi/v3/{path}?hash={digest}"


def _info() -> Object:
    return {"title": "Kubernetes", "version": VERSION["gitVersion"]}


def _document(catalog: Catalog, group: str, version: str) -> Object:
    schemas: dict[str, Object] = {}
    paths: dict[str, Object] = {}
    for kind in catalog.served(group, version):
        name = schema_name(kind, version)
        if kind.custom:
            schemas[name] = custom_schema(kind, version)
            _add_reachable({"$ref": PREFIX + _META}, schemas)
        else:
            _add_reachable({"$ref": PREFIX + name}, schemas)
        paths |= _operations(kind, version, name)
    return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def schema_name(kind: Kind, version: str) -> str:
    if kind.custom:
        return ".".join([*reversed(kind.group.split(".")), version, kind.kind])
    return recorded.type_of(kind.group, version, kind.kind)


def custom_schema(kind: Kind, version: str) -> Object:
    """The schema of a custom resource as clients expect it, with its metadata and its kind."""
    raw = kind.versions[version].schema.raw
    properties = {
        **raw.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": PREFIX + _META}]},
    }
    identity = {"group": kind.group, "version": version, "kind": kind.kind}
    return {"type": "object", **raw, "properties": properties, "x-kubernetes-group-version-kind": [identity]}


def _add_reachable(schema: Any, found: dict[str, Object]) -> None:
    if is_object(schema):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            name = reference.removeprefix(PREFIX)
            if name not in found:
                found[name] = recorded.types()[name]
                _add_reachable(found[name], found)
        for value in schema.values():
            _add_reachable(value, found)
    elif is_list(schema):
        for value in schema:
            _add_reachable(value, found)


def _operations(kind: Kind, version: str, name: str) -> dict[str, Object]:
    base = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
    if kind.namespaced:
        base += "/namespaces/{namespace}"
    reference = {"$ref": PREFIX + name}
    identity = {"group": kind.group, "version": version, "kind": kind.kind}
    created = {"content": {"application/json": {"schema": reference}}, "description": "OK"}
    parameters = [
        {"name": field, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for field in ("dryRun", "fieldManager", "fieldValidation")
    ]

    def operation(action: str, bodies: tuple[str, ...] = ("application/json",)) -> Object:
        return {
            "operationId": f"{action}{kind.group.replace('.', '').title()}{version.title()}{kind.kind}",
            "parameters": parameters,
            "requestBody": {"content": {body: {"schema": reference} for body in bodies}},
            "responses": {"200": created},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": identity,
        }

    found = {f"{base}/{kind.plural}": {"post": operation("post")}}
    if not kind.behaviour.create_only:
        read: Object = {**operation("get"), "parameters": []}
        read.pop("requestBody")
        found[f"{base}/{kind.plural}/{{name}}"] = {
            "get": read,
            "put": operation("put"),
            "patch": operation("patch", _BODIES[:3] if kind.custom else _BODIES),
        }
    return found


def _document_v2(catalog: Catalog) -> Object:
    """All definitions in one, with references spelled as version 2 spells them."""
    schemas: dict[str, Object] = {}
    paths: dict[str, Object] = {}
    for group, versions in catalog.groups().items():
        for version in versions:
            document = _document(catalog, group, version)
            schemas |= document["components"]["schemas"]
            paths |= document["paths"]
    encoded = msgspec.json.encode(schemas).replace(PREFIX.encode(), b"#/definitions/")
    definitions: dict[str, Any] = {name: _to_v2(schema) for name, schema in msgspec.json.decode(encoded).items()}
    found = {path: {verb: _operation_v2(inner) for verb, inner in verbs.items()} for path, verbs in paths.items()}
    return {"swagger": "2.0", "info": _info(), "paths": found, "definitions": definitions}


def _to_v2(schema: Any) -> Any:
    """Version 2 knows neither alternatives nor references with company."""
    if is_list(schema):
        return [_to_v2(item) for item in schema]
    if not is_object(schema):
        return schema
    inner = schema.get("allOf")
    if is_list(inner) and len(inner) == 1 and "$ref" in inner[0]:
        return {"$ref": inner[0]["$ref"]}
    if "oneOf" in schema or "anyOf" in schema:
        schema = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "not", "allOf")}
        schema.setdefault("type", "string") if "properties" not in schema else None
    return {key: _to_v2(value) for key, value in schema.items()}


def _operation_v2(operation: Object) -> Object:
    parameters = [
        {"name": entry["name"], "in": "query", "type": "string", "uniqueItems": True}
        for entry in operation.get("parameters", ())
    ]
    content = operation.get("requestBody", {}).get("content", {})
    return {
        "operationId": operation["operationId"],
        "consumes": list(content) or ["*/*"],
        "produces": ["application/json"],
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": operation["x-kubernetes-action"],
        "x-kubernetes-group-version-kind": operation["x-kubernetes-group-version-kind"],
    }
