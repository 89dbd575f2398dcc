"""A kind of our own for tests of the runtime, and its objects as an API server would send them."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType


class WidgetSpec(msgspec.Struct, frozen=True, gc=False):
    size: int


class Widget(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    spec: WidgetSpec | None = None


WIDGETS = ResourceType(Widget, "example.com", "v1", "widgets", "Widget")
CLUSTER_WIDGETS = ResourceType(Widget, "example.com", "v1", "widgets", "Widget", namespaced=False)


def widget(
    name: str, *, namespace: str = "ns", version: str = "1", uid: str | None = None, size: Any = 1, **more: Any
) -> dict[str, Any]:
    """A Widget as JSON; a `size` that is no number makes one that cannot be read."""
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": version,
            "uid": uid or f"uid-{name}",
            **more,
        },
        "spec": {"size": size},
    }


def line(change: str, resource: Any) -> bytes:
    """One line of a watch, without its end."""
    return msgspec.json.encode({"type": change, "object": resource})


def bookmark(version: str, **annotations: str) -> bytes:
    metadata = {"resourceVersion": version, "annotations": annotations}
    return line("BOOKMARK", {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": metadata})


def status(code: int, reason: str = "", message: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message, **more}


def page(*items: dict[str, Any], version: str = "10", continue_: str = "", kind: str = "WidgetList") -> bytes:
    """One page of a list; like a server, without kind and version on its items."""
    bare = [{name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": version} | ({"continue": continue_} if continue_ else {})
    return msgspec.json.encode({"kind": kind, "apiVersion": "example.com/v1", "metadata": metadata, "items": bare})
