"""Whether a schema is structural: what an API server demands of the schemas of custom resources."""

from __future__ import annotations

from collections.abc import Iterator

from controller.k8s.custom_resource.node import Json, JsonObject, SchemaError

_FORBIDDEN = (
    "$ref", "$schema", "$id", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties",
    "readOnly", "writeOnly", "xml", "additionalItems",
)  # fmt: skip
_ONLY_OUTSIDE_LOGIC = (
    "description", "type", "default", "additionalProperties", "nullable", "title", "example",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
)  # fmt: skip
_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_SCALARS = ("string", "integer", "number", "boolean")


def check_structural(schema: JsonObject, path: str = "") -> None:
    """Raise one `SchemaError` that names every place where the schema is not structural."""
    if problems := list(_problems(schema, path)):
        raise SchemaError("; ".join(f"{place}: {problem}" for place, problem in problems))


def _problems(node: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    yield from _untyped(node, path)
    yield from ((path, f"{keyword} is forbidden") for keyword in _FORBIDDEN if keyword in node)
    if node.get("uniqueItems"):
        yield path, "uniqueItems is forbidden; a set is x-kubernetes-list-type: set"
    if "properties" in node and "additionalProperties" in node:
        yield path, "properties and additionalProperties exclude each other"
    if node.get("additionalProperties") is False:
        yield path, "additionalProperties: false is forbidden; unknown fields are pruned"
    if node.get("x-kubernetes-list-type") == "map":
        yield from _bad_map_keys(node, path)
    yield from _logic(node, node, path)
    if node.get("x-kubernetes-list-type") in ("set", "atomic") and _has_transition_rule(node.get("items")):
        yield f"{path}[]", "oldSelf has no meaning for the items of a set or an atomic list"
    for name, child in _children(node):
        yield from _problems(child, path + name)
    if path.endswith(".metadata") and path.count(".") == 1:
        yield from _bad_metadata(node, path)


def _untyped(node: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    kind = node.get("type")
    free = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
    if kind is None and not free:
        yield path, "has no type"
    elif kind is not None and kind not in _TYPES:
        yield path, f"has the unknown type {kind}"
    elif kind is not None and node.get("x-kubernetes-int-or-string"):
        yield path, "an int-or-string has no type"
    if kind == "array" and "items" not in node:
        yield path, "an array needs items"


def _children(node: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name, child in properties.items():
            if isinstance(child, dict):
                yield f".{name}", child
    for keyword, name in (("items", "[]"), ("additionalProperties", "{}")):
        child = node.get(keyword)
        if isinstance(child, dict):
            yield name, child


def _bad_map_keys(node: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    items, keys = node.get("items"), node.get("x-kubernetes-list-map-keys")
    if not isinstance(keys, list) or not keys:
        yield path, "a list of type map needs x-kubernetes-list-map-keys"
        return
    items = items if isinstance(items, dict) else {}
    properties, required = items.get("properties"), items.get("required")
    for key in keys:
        field = properties.get(str(key)) if isinstance(properties, dict) else None
        if not isinstance(field, dict) or field.get("type") not in _SCALARS:
            yield path, f"the map key {key} is not a scalar field"
        elif "default" not in field and (not isinstance(required, list) or key not in required):
            yield path, f"the map key {key} is neither required nor has it a default"


def _logic(node: JsonObject, outside: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the branches of the node, whose fields must all be specified `outside` of logic."""
    for keyword in ("anyOf", "oneOf", "allOf", "not"):
        branches = node.get(keyword, [])
        for index, branch in enumerate(branches if isinstance(branches, list) else [branches]):
            if isinstance(branch, dict) and not _is_int_or_string(node, keyword, branch):
                yield from _logic_branch(branch, outside, f"{path}({keyword} {index})")


def _is_int_or_string(node: JsonObject, keyword: str, branch: JsonObject) -> bool:
    """The one case in which a type may stand inside logic."""
    int_or_string = bool(node.get("x-kubernetes-int-or-string"))
    return int_or_string and keyword == "anyOf" and branch in ({"type": "integer"}, {"type": "string"})


def _logic_branch(branch: JsonObject, outside: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    yield from ((path, f"{keyword} is forbidden inside logic") for keyword in _ONLY_OUTSIDE_LOGIC if keyword in branch)
    yield from _logic(branch, outside, path)
    known = dict(_children(outside))
    for name, child in _children(branch):
        if name not in known:
            yield path + name, "is not specified outside of logic"
        else:
            yield from _logic_branch(child, known[name], path + name)


def _bad_metadata(node: JsonObject, path: str) -> Iterator[tuple[str, str]]:
    """Of `metadata` a schema may restrict only the names."""
    for name, _ in _children(node):
        if name not in (".name", ".generateName"):
            yield path + name, "only name and generateName can be restricted"


def _has_transition_rule(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    rules = value.get("x-kubernetes-validations", [])
    assert isinstance(rules, list)
    if any(isinstance(rule, dict) and "oldSelf" in str(rule.get("rule")) for rule in rules):
        return True
    return any(_has_transition_rule(child) for _, child in _children(value))
