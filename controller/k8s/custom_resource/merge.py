"""Several versions of a kind in one CRD."""

from __future__ import annotations

from collections.abc import Sequence

from controller.k8s.custom_resource.names import version_priority
from controller.k8s.custom_resource.node import JsonObject, SchemaError


def merge_crds(crds: Sequence[JsonObject], *, stored: str) -> JsonObject:
    """Put CRDs of one version each together. The stored version comes first, the others by their priority.

    Names, labels and annotations are those of the stored version. Objects are not converted between versions but
    relabelled: what the schema of the version asked for does not know is left out.
    """
    versions = [_only_version(crd) for crd in crds]
    names = [str(version["name"]) for version in versions]
    if stored not in names:
        raise SchemaError(f"merging CRDs: no version {stored} to store among {names}")
    base = crds[names.index(stored)]
    for crd in crds:
        _check_alike(base, crd)
    ordered = sorted(
        versions, key=lambda version: (version["name"] == stored, version_priority(str(version["name"]))), reverse=True
    )
    return {
        **base,
        "spec": {
            **_spec(base),
            "versions": [{**version, "storage": version["name"] == stored} for version in ordered],
        },
    }


def _only_version(crd: JsonObject) -> JsonObject:
    versions = _spec(crd).get("versions")
    if not isinstance(versions, list) or len(versions) != 1 or not isinstance(versions[0], dict):
        count = len(versions) if isinstance(versions, list) else 0
        raise SchemaError(f"merging CRDs: one has {count} versions, not one")
    return versions[0]


def _check_alike(one: JsonObject, other: JsonObject) -> None:
    for what, path in (("group", ("group",)), ("kind", ("names", "kind")), ("scope", ("scope",))):
        values = [_at(crd, path) for crd in (one, other)]
        if values[0] != values[1]:
            raise SchemaError(f"merging CRDs: {what} is {values[0]} here and {values[1]} there")


def _at(crd: JsonObject, path: Sequence[str]) -> object:
    node: object = _spec(crd)
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    return node


def _spec(crd: JsonObject) -> JsonObject:
    spec = crd.get("spec")
    return spec if isinstance(spec, dict) else {}
