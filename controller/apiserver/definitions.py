"""CustomResourceDefinitions: what a stored definition makes the server serve."""

from __future__ import annotations

import copy
from typing import Any

import attrs

from controller.apiserver.catalog import Catalog
from controller.apiserver.jsonpath import custom_columns
from controller.apiserver.kinds import CUSTOM, Endpoint, Kind, Version, dig
from controller.apiserver.managed import tracking
from controller.apiserver.metadata import Environment, timestamp
from controller.apiserver.options import WriteOptions
from controller.apiserver.schema.node import ANYTHING, MISSING, Node
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import GroupResource, Object
from controller.apiserver.store import Revision, Store

_SELF = WriteOptions(kind="UpdateOptions", manager="kube-apiserver")
DEFINITIONS = GroupResource("apiextensions.k8s.io", "customresourcedefinitions")


@attrs.frozen
class Definitions:
    """Keeps the catalog true to the definitions in the store."""

    store: Store
    catalog: Catalog
    environment: Environment

    def on_write(self, kind: Kind, stored: Revision) -> None:
        """Serve what a definition that was just written describes, and say so in its status."""
        if kind.resource != DEFINITIONS:
            return
        value = stored.to_object()
        self.catalog.add(to_kind(value))
        accepted = accept(value, timestamp(self.environment.now()))
        if accepted is not None:
            endpoint = Endpoint(kind, kind.versions[kind.storage])
            tracking.on_update(accepted, value, endpoint, _SELF, self.environment, subresource="status")
            self.store.put(DEFINITIONS, accepted, stored.origin)

    def on_delete(self, kind: Kind, key: str) -> None:
        """Stop serving what a definition described, after its objects are gone."""
        if kind.resource != DEFINITIONS:
            return
        plural, _, group = key.partition(".")
        resource = GroupResource(group, plural)
        self.store.drop(resource)
        self.catalog.remove(resource)


def accept(definition: Object, now: str) -> Object | None:
    """The definition with the status that says it is served; None if it says so already."""
    status = object_at(definition, "status")
    spec = definition["spec"]
    accepted = {"acceptedNames": spec["names"], "storedVersions": _stored_versions(status, spec)}
    if all(status.get(name) == inner for name, inner in accepted.items()) and status.get("conditions"):
        return None
    found = copy.deepcopy(definition)
    conditions = status.get("conditions") or [
        _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
        _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
    ]
    found["status"] = {"conditions": conditions, **accepted}
    return found


def _stored_versions(status: Object, spec: Object) -> list[str]:
    found = list(list_at(status, "storedVersions"))
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return found if storage in found else [*found, storage]


def _condition(kind: str, reason: str, message: str, now: str) -> Object:
    return {"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}


def to_kind(definition: Object) -> Kind:
    """The kind that a definition describes."""
    spec = definition["spec"]
    names = spec["names"]
    versions = [version for version in spec["versions"] if version.get("served")]
    preferred = versions[0]["name"] if versions else ""
    served = {version["name"]: _to_version(version, spec, preferred) for version in versions}
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return Kind(
        group=spec["group"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec["scope"] == "Namespaced",
        versions=served,
        storage=storage,
        short_names=tuple(list_at(names, "shortNames")),
        categories=tuple(list_at(names, "categories")),
        behaviour=CUSTOM,
        custom=True,
        preserve_unknown=bool(spec.get("preserveUnknownFields")),
    )


def _to_version(version: Object, spec: Object, preferred: str) -> Version:
    raw = dig(version, "schema", "openAPIV3Schema")
    subresources = object_at(version, "subresources")
    kind, group = spec["names"]["kind"], spec["group"]
    return Version(
        name=version["name"],
        schema=ANYTHING if raw is MISSING else Node(_without_root_fields(raw)),
        columns=custom_columns(version.get("additionalPrinterColumns")),
        status="status" in subresources,
        scale=subresources.get("scale"),
        deprecation=_deprecation(version, group, kind, preferred),
        fields={
            entry["jsonPath"].removeprefix("."): entry["jsonPath"] for entry in list_at(version, "selectableFields")
        },
    )


def _without_root_fields(raw: Object) -> Object:
    """A schema without what every object has: those fields have a schema of their own."""
    properties: dict[str, Any] = {
        name: inner for name, inner in object_at(raw, "properties").items() if name not in ("apiVersion", "kind")
    }
    metadata = properties.pop("metadata", None)
    if metadata and (rules := {key: metadata[key] for key in ("properties",) if key in metadata}):
        properties["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, **rules}
    required = [name for name in list_at(raw, "required") if name not in ("apiVersion", "kind", "metadata")]
    found = {**raw, "properties": properties}
    found.pop("required", None)
    return {**found, "required": required} if required else found


def _deprecation(version: Object, group: str, kind: str, preferred: str) -> str:
    if not version.get("deprecated"):
        return ""
    if text := version.get("deprecationWarning"):
        return str(text)
    name = version["name"]
    text = f"{group}/{name} {kind} is deprecated"
    return f"{text}; use {group}/{preferred} {kind}" if preferred != name else text
