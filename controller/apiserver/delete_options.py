"""The parameters of a deletion, in its body or else in its query."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import yaml

from controller.apiserver import causes
from controller.apiserver.decoding import media_type
from controller.apiserver.requests import JSON, YAML, Request, parse_json
from controller.apiserver.schema.node import PREFIX, Node
from controller.apiserver.schema.typed import Mismatch, compile_reader
from controller.apiserver.shapes import is_object, list_at, object_at
from controller.apiserver.status import Cause, Object, bad_request, invalid, unsupported_media_type
from controller.apiserver.yaml_text import load_yaml

_POLICIES = ("Foreground", "Background", "Orphan", "nil")
_TEXT = {"type": "string"}
_TYPES: dict[str, Object] = {
    "v1.DeleteOptions": {
        "type": "object",
        "properties": {
            "kind": _TEXT,
            "apiVersion": _TEXT,
            "gracePeriodSeconds": {"type": "integer", "format": "int64"},
            "preconditions": {"$ref": f"{PREFIX}v1.Preconditions"},
            "orphanDependents": {"type": "boolean"},
            "propagationPolicy": _TEXT,
            "dryRun": {"type": "array", "items": _TEXT},
        },
    },
    "v1.Preconditions": {"type": "object", "properties": {"uid": _TEXT, "resourceVersion": _TEXT}},
}
_READER = compile_reader(Node({"$ref": f"{PREFIX}v1.DeleteOptions"}, _TYPES), {})


@attrs.frozen(kw_only=True)
class DeleteOptions:
    """How to delete."""

    uid: str = ""
    revision: str = ""
    grace: int | None = None
    policy: str = ""
    dry_run: bool = False

    @classmethod
    def parse(cls, request: Request) -> DeleteOptions:
        given = _read(request) if request.body else _from_query(request)
        policy, dry_run = given.get("propagationPolicy", ""), list_at(given, "dryRun")
        found: list[Cause] = []
        if policy and policy not in _POLICIES[:3]:
            found.append(causes.not_supported("propagationPolicy", policy, _POLICIES))
        if policy and "orphanDependents" in given:
            text = "orphanDependents and deletionPropagation cannot be both set"
            found.append(causes.invalid_value("propagationPolicy", policy, text))
        if dry_run not in ([], ["All"]):
            found.append(causes.not_supported("dryRun", dry_run, ("All",)))
        if found:
            raise invalid("meta.k8s.io", "DeleteOptions", "", found)
        if "orphanDependents" in given:
            policy = "Orphan" if given["orphanDependents"] else "Background"
        preconditions = object_at(given, "preconditions")
        return cls(
            uid=preconditions.get("uid", ""),
            revision=preconditions.get("resourceVersion", ""),
            grace=given.get("gracePeriodSeconds"),
            policy=policy,
            dry_run=bool(dry_run),
        )


def _from_query(request: Request) -> Object:
    query = request.query
    found: Object = {name: query[name] for name in ("propagationPolicy",) if query.get(name)}
    if (grace := request.number("gracePeriodSeconds")) is not None:
        found["gracePeriodSeconds"] = grace
    if query.get("dryRun"):
        found["dryRun"] = [query["dryRun"]]
    if "orphanDependents" in query:
        found["orphanDependents"] = request.flag("orphanDependents")
    return found


def _read(request: Request) -> Object:
    given = media_type(request.headers.get("content-type", "")) or JSON
    value: Any
    try:
        if given == YAML:
            value = load_yaml(request.body)
        elif given == JSON:
            value = parse_json(request.body)
        else:
            raise unsupported_media_type((JSON, YAML, "application/vnd.kubernetes.protobuf"))
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        text = "unexpected end of JSON input" if "truncated" in str(error) else str(error)
        raise bad_request(f"couldn't get version/kind; json parse error: {text}") from None
    if not is_object(value):
        raise bad_request("couldn't get version/kind; json parse error: the body is not an object")
    try:
        found: Object = _READER.read(value, [])
    except Mismatch as mismatch:
        raise bad_request(mismatch.message) from None
    if found.get("kind", "DeleteOptions") != "DeleteOptions":
        version = found.get("apiVersion", "")
        raise bad_request(f'no kind "{found["kind"]}" is registered for version "{version}" among the options')
    return found
