"""One version of a custom resource, and its CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from controller.k8s.custom_resource import names
from controller.k8s.custom_resource.node import Json, JsonObject, SchemaError
from controller.k8s.custom_resource.structural import check_structural

ColumnType = Literal["string", "integer", "number", "boolean", "date"]
_SELECTABLE = ("string", "integer", "boolean")
_MOST_SELECTABLE_FIELDS = 8


@attrs.frozen
class Column:
    """What `kubectl get` shows. `priority` above 0 shows it with `-o wide` only."""

    name: str
    json_path: str
    type: ColumnType = attrs.field(default="string", kw_only=True)
    format: str | None = attrs.field(default=None, kw_only=True)
    description: str | None = attrs.field(default=None, kw_only=True)
    priority: int = attrs.field(default=0, kw_only=True)

    def crd(self) -> JsonObject:
        said: JsonObject = {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority or None,
            "jsonPath": self.json_path,
        }
        return {key: value for key, value in said.items() if value is not None}


AGE = Column("Age", ".metadata.creationTimestamp", type="date")


@attrs.frozen(kw_only=True)
class Scale:
    """Where the numbers are that `kubectl scale` and autoscalers work with."""

    spec: str
    status: str
    selector: str | None = None

    def crd(self) -> JsonObject:
        crd: JsonObject = {"specReplicasPath": self.spec, "statusReplicasPath": self.status}
        return crd | ({"labelSelectorPath": self.selector} if self.selector else {})


@attrs.frozen(kw_only=True)
class Definition:
    """What a CRD says about one version, but for the schema. Names are checked when it is made."""

    group: str
    version: str
    kind: str
    singular: str
    plural: str
    list_kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()
    scale: Scale | None = None
    preserve_unknown: bool = False  # keep fields that the schema does not name, wherever they are
    has_status: bool = False  # a subresource that is written apart from the rest
    served: bool = True
    deprecated: str | bool = False  # a text is the warning that users get
    labels: Mapping[str, str] = attrs.field(factory=dict[str, str])
    annotations: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def __attrs_post_init__(self) -> None:
        names.check_group(self.group)
        names.check_version(self.version)
        names.check_kind(self.kind)
        names.check_kind(self.list_kind)
        names.check_label("singular", self.singular)
        names.check_label("plural", self.plural)
        for name in self.short_names:
            names.check_label("short name", name)
        for name in self.categories:
            names.check_label("category", name)

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{self.group}"

    def crd(self, schema: JsonObject) -> JsonObject:
        """The CRD whose only version this is, or `SchemaError`."""
        check_structural(schema)
        self._check_paths(schema)
        metadata: JsonObject = {"name": self.crd_name}
        if self.annotations:
            metadata["annotations"] = {**self.annotations}
        if self.labels:
            metadata["labels"] = {**self.labels}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {
                "group": self.group,
                "scope": "Namespaced" if self.namespaced else "Cluster",
                "names": self._names(),
                "versions": [self._version(schema)],
            },
        }

    def _names(self) -> JsonObject:
        said: JsonObject = {
            "kind": self.kind,
            "listKind": self.list_kind,
            "plural": self.plural,
            "singular": self.singular,
        }
        if self.short_names:
            said["shortNames"] = [*self.short_names]
        if self.categories:
            said["categories"] = [*self.categories]
        return said

    def _version(self, schema: JsonObject) -> JsonObject:
        said: JsonObject = {"name": self.version, "served": self.served, "storage": True}
        if self.deprecated:
            said["deprecated"] = True
        if isinstance(self.deprecated, str):
            said["deprecationWarning"] = self.deprecated
        if self.columns:
            said["additionalPrinterColumns"] = [column.crd() for column in self.columns]
        if self.selectable:
            said["selectableFields"] = [{"jsonPath": path} for path in self.selectable]
        subresources: JsonObject = {"status": {}} if self.has_status else {}
        if self.scale:
            subresources["scale"] = self.scale.crd()
        if subresources:
            said["subresources"] = subresources
        said["schema"] = {"openAPIV3Schema": schema}
        return said

    def _check_paths(self, schema: JsonObject) -> None:
        for column in self.columns:
            _begins("column", column.json_path, ".")
        if len(self.selectable) > _MOST_SELECTABLE_FIELDS:
            raise SchemaError(f"{len(self.selectable)} selectable fields: at most {_MOST_SELECTABLE_FIELDS}")
        for path in self.selectable:
            field = _field_at(path, schema)
            if field is None or field.get("type") not in _SELECTABLE:
                raise SchemaError(f"selectable field {path}: not a string, integer or boolean")
        if self.scale:
            if not self.has_status:
                raise SchemaError("scale needs a status subresource")
            _begins("scale", self.scale.spec, ".spec.")
            _begins("scale", self.scale.status, ".status.")
            if self.scale.selector and not self.scale.selector.startswith(".spec."):
                _begins("scale", self.scale.selector, ".status.")


def _begins(what: str, path: str, start: str) -> None:
    if not path.startswith(start):
        raise SchemaError(f"{what} path {path!r} does not begin with {start!r}")


def _field_at(path: str, schema: JsonObject) -> JsonObject | None:
    node: Json = schema
    for step in path.removeprefix(".").split("."):
        properties = node.get("properties") if isinstance(node, dict) else None
        node = properties.get(step) if isinstance(properties, dict) else None
    return node if isinstance(node, dict) else None
