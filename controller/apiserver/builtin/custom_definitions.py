"""Definitions of custom resources: their defaults, and what makes one unusable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import paula  # pyright: ignore[reportMissingTypeStubs]  # it ships none

from controller.apiserver import causes, names
from controller.apiserver.jsonpath import parse_path
from controller.apiserver.kinds import dig
from controller.apiserver.schema.node import MISSING, Node
from controller.apiserver.schema.rules import compile_rule
from controller.apiserver.schema.validation import validate
from controller.apiserver.shapes import is_list, is_object, list_at, object_at
from controller.apiserver.status import Cause, Object

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")


def definition_defaults(definition: Object) -> None:
    spec = definition.setdefault("spec", {})
    names_ = spec.setdefault("names", {})
    if kind := names_.get("kind"):
        names_.setdefault("singular", kind.lower())
        names_.setdefault("listKind", f"{kind}List")
    if not object_at(spec, "conversion").get("strategy"):
        spec["conversion"] = {"strategy": "None"}
    for version in list_at(spec, "versions"):
        schema = dig(version, "schema", "openAPIV3Schema")
        if schema is not MISSING:
            _schema_defaults(schema)


def _schema_defaults(schema: Any) -> None:
    """Empty lists and nulls in a schema say nothing."""
    if is_object(schema):
        for name in [name for name, value in schema.items() if value is None and name not in ("default", "example")]:
            del schema[name]
        for name, value in schema.items():
            if name not in ("default", "example", "enum"):
                _schema_defaults(value)
    elif is_list(schema):
        for value in schema:
            _schema_defaults(value)


def definition_status(definition: Object) -> Object:
    storage = [version["name"] for version in list_at(definition["spec"], "versions") if version.get("storage")]
    return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": storage}


def validate_definition(definition: Object, old: Object | None) -> Sequence[Cause]:
    return list(_check_definition(definition, old))


def _check_definition(definition: Object, old: Object | None) -> Iterator[Cause]:
    spec = definition["spec"]
    yield from _check_names(definition)
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield causes.not_supported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced"))
    yield from _check_versions(list_at(spec, "versions"))
    if old is not None:
        for field in ("group", "scope"):
            if spec.get(field) != old["spec"].get(field):
                yield causes.immutable(f"spec.{field}", spec.get(field))
        plural = object_at(spec, "names").get("plural")
        if plural != dig(old, "spec", "names", "plural"):
            yield causes.immutable("spec.names.plural", plural)


def _check_names(definition: Object) -> Iterator[Cause]:
    spec, name = definition["spec"], definition["metadata"].get("name", "")
    given, group = object_at(spec, "names"), spec.get("group", "")
    if name != f"{given.get('plural', '')}.{group}":
        yield causes.invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if not group:
        yield causes.required("spec.group")
    elif group.count(".") == 0:
        yield causes.invalid_value("spec.group", group, "should be a domain with at least one dot")
    for field in ("plural", "singular", "kind", "listKind"):
        if not given.get(field):
            yield causes.required(f"spec.names.{field}")
        else:
            for text in names.label_1035(given[field].lower()):
                yield causes.invalid_value(f"spec.names.{field}", given[field], text)


def _check_versions(versions: list[Any]) -> Iterator[Cause]:
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield causes.invalid_value("spec.versions", versions, "must have exactly one version marked as storage version")
    for index, version in enumerate(versions):
        where = f"spec.versions[{index}]"
        for text in names.label_1035(version.get("name", "")):
            yield causes.invalid_value(f"{where}.name", version.get("name", ""), text)
        yield from _check_columns(version, where)
        schema = dig(version, "schema", "openAPIV3Schema")
        if schema is MISSING:
            yield causes.required(f"{where}.schema.openAPIV3Schema", "schemas are required")
        else:
            yield from _check_schema(schema, f"{where}.schema.openAPIV3Schema", root=True)


def _check_columns(version: Object, field: str) -> Iterator[Cause]:
    for index, column in enumerate(list_at(version, "additionalPrinterColumns")):
        where = f"{field}.additionalPrinterColumns[{index}]"
        for name in ("name", "type", "jsonPath"):
            if not column.get(name):
                yield causes.required(f"{where}.{name}")
        if (path := column.get("jsonPath")) and not _is_path(path):
            yield causes.invalid_value(f"{where}.jsonPath", path, "must be a simple json path starting with .")
        if column.get("type") and column["type"] not in _COLUMN_TYPES:
            text = f"must be one of {','.join(_COLUMN_TYPES)}"
            yield causes.invalid_value(f"{where}.type", column["type"], text)


def _is_path(text: str) -> bool:
    if not text.startswith("."):
        return False
    try:
        parse_path(text)
    except ValueError:
        return False
    return True


def _check_schema(schema: Object, field: str, *, root: bool = False) -> Iterator[Cause]:
    """A schema must be structural: typed at every place, with rules that compile."""
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if not schema.get("type") and not free:
        yield causes.required(
            f"{field}.type",
            "must not be empty at the root" if root else "must not be empty for specified object fields",
        )
    elif root and schema.get("type") != "object":
        yield causes.invalid_value(f"{field}.type", schema.get("type"), "must be object at the root")
    if schema.get("type", "object") not in _TYPES:
        yield causes.not_supported(f"{field}.type", schema["type"], _TYPES)
    if schema.get("type") == "array" and "items" not in schema:
        yield causes.required(f"{field}.items", "must be specified")
    if (pattern := schema.get("pattern")) and not _compiles(pattern):
        yield causes.invalid_value(f"{field}.pattern", pattern, "must be a valid regular expression, but isn't")
    if "default" in schema:
        for cause in validate(schema["default"], Node(schema, {})):
            inner = "" if cause.field in ("", "<nil>") else f".{cause.field}"
            yield cause._replace(field=f"{field}.default{inner}")
    if schema.get("properties") and schema.get("additionalProperties"):
        text = "additionalProperties and properties are mutual exclusive"
        yield causes.forbidden_field(f"{field}.additionalProperties", text)
    yield from _check_rules(schema, field)
    for name, inner in object_at(schema, "properties").items():
        if not (root and name in ("apiVersion", "kind", "metadata")):
            yield from _check_schema(inner, f"{field}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if is_object(child := schema.get(word)):
            yield from _check_schema(child, f"{field}.{word}")


def _check_rules(schema: Object, field: str) -> Iterator[Cause]:
    for index, rule in enumerate(list_at(schema, "x-kubernetes-validations")):
        where = f"{field}.x-kubernetes-validations[{index}].rule"
        if not rule.get("rule", "").strip():
            yield causes.required(where)
            continue
        try:
            compile_rule(rule.get("rule", ""))
        except ValueError as error:
            first = str(error).splitlines()[0]
            yield causes.invalid_value(where, rule, f"compilation failed: {first}")


def _compiles(pattern: str) -> bool:
    try:
        paula.Regex(pattern)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    except ValueError:
        return False
    return True
