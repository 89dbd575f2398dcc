"""A custom resource that has some of everything that a definition can say."""

from __future__ import annotations

from typing import Any

Json = Any

_SPEC: Json = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 10},
        "ratio": {"type": "number", "exclusiveMinimum": True, "minimum": 0},
        "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
        "code": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4},
        "when": {"type": "string", "format": "date-time"},
        "port": {"x-kubernetes-int-or-string": True},
        "note": {"type": "string", "nullable": True},
        "parts": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "default": 1}},
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "either": {
            "type": "object",
            "properties": {"one": {"type": "string"}, "other": {"type": "string"}},
            "oneOf": [{"required": ["one"]}, {"required": ["other"]}],
        },
        "name": {
            "type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "name is immutable"}],
        },
    },
    "x-kubernetes-validations": [
        {"rule": "self.size != 7", "message": "size must not be seven"},
        {
            "rule": "!has(self.parts) || self.parts.all(p, p.weight <= self.size)",
            "messageExpression": "self.size > 5 ? 'a part is too heavy' : 'too heavy for a small one'",
            "reason": "FieldValueForbidden",
            "fieldPath": ".parts",
        },
    ],
}
_STATUS: Json = {
    "type": "object",
    "properties": {"phase": {"type": "string"}, "observed": {"type": "integer"}},
}

WIDGETS: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.GROUP"},
    "spec": {
        "group": "GROUP",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "First", "type": "string", "jsonPath": ".spec.parts[0].name", "priority": 1},
                    {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {"spec": _SPEC, "status": _STATUS},
                    }
                },
            },
            {
                "name": "v1alpha1",
                "served": True,
                "storage": False,
                "deprecated": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
            },
        ],
    },
}


def widget(name: str, group: str, *, version: str = "v1", metadata: Json | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": f"{group}/{version}",
        "kind": "Widget",
        "metadata": {"name": name, **(metadata or {})},
        "spec": spec,
    }
