"""A recorded world, served to the indexes as the watches of an API server would."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.kinds import PODS, WATCHED
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType

HERE = Path(__file__).parent
World = dict[str, Any]
Object = dict[str, Any]
STATUS_KINDS = {"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "HTTPLocalRateLimitPolicy", "EgressNetwork"}


def files(folder: str) -> list[Path]:
    return sorted((HERE / folder).glob("*.json.xz"))


def load(path: Path) -> World:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        world: World = json.load(file)
    assert world["format"] == 1
    return world


def reference(obj: Object) -> str:
    group, _, _ = obj["apiVersion"].rpartition("/")
    metadata = obj["metadata"]
    return f"{group or 'core'}/{obj['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def with_status(obj: Object, entry: dict[str, Any] | None) -> Object:
    """The object with the status that upstream had written to it by then."""
    if entry is None:
        return obj
    bare = {name: value for name, value in obj.items() if name != "status"}
    return bare if entry["status"] is None else {**bare, "status": entry["status"]}


@attrs.define(eq=False)
class Cluster:
    """The objects that exist, and what the indexes have been told of each kind."""

    absent: frozenset[str]
    objects: dict[str, Object] = attrs.field(factory=dict[str, Object], init=False)
    _told: dict[type[Resource], set[ObjectKey]] = attrs.field(factory=dict[type[Resource], set[ObjectKey]], init=False)
    _types: dict[tuple[str, str], ResourceType[Resource]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        served = [
            kind.resource for kind in WATCHED if f"{kind.resource.api_version}/{kind.resource.kind}" not in self.absent
        ]
        self._types = {(kind.api_version, kind.kind): kind for kind in served}

    def stamp(self, name: str) -> str | None:
        """When the object was created; `None` for one that does not exist."""
        return self.objects[name]["metadata"].get("creationTimestamp") if name in self.objects else None

    def put(self, obj: Object) -> None:
        """Create or replace silently; an existing status stays where the new object has none."""
        old = self.objects.get(reference(obj))
        if old is not None:
            obj = {**obj, "metadata": {"uid": old["metadata"].get("uid"), **obj["metadata"]}}
            if obj["kind"] in STATUS_KINDS and "status" in old and "status" not in obj:
                obj = {**obj, "status": old["status"]}
        self.objects[reference(obj)] = obj

    def listed(self, kinds: Sequence[ResourceType[Resource]] | None = None) -> list[Event]:
        """A completed list of each kind, or of every kind that is served."""
        return [self._list(kind) for kind in (self._types.values() if kinds is None else kinds)]

    def _list(self, kind: ResourceType[Resource]) -> Event:
        found = [self._decode(kind, obj) for obj in self.objects.values() if self.type_of(obj) is kind]
        resources = tuple(resource for resource in found if resource is not None)
        before, now = self._told.get(kind.model, set()), {resource.key for resource in resources}
        self._told[kind.model] = now
        return Reset(kind.model, resources, frozenset(before - now))

    def type_of(self, obj: Object) -> ResourceType[Resource] | None:
        return self._types.get((obj["apiVersion"], obj["kind"]))

    def type_named(self, name: str) -> ResourceType[Resource] | None:
        group, kind, _, _ = name.split("/")
        group = "" if group == "core" else group
        return next((t for t in self._types.values() if (t.group, t.kind) == (group, kind)), None)

    def _decode(self, kind: ResourceType[Resource], obj: Object) -> Resource | None:
        if kind is PODS and "linkerd.io/control-plane-ns" not in (obj["metadata"].get("labels") or {}):
            return None
        try:
            return kind.decode(json.dumps(obj).encode())
        except msgspec.DecodeError:
            return None

    def seen(self, name: str) -> Iterator[Event]:
        """What a watch says about the object as it is now."""
        kind = self.type_named(name)
        if kind is None:
            return
        _, _, namespace, item = name.split("/")
        key = ObjectKey(namespace, item)
        told = self._told.setdefault(kind.model, set())
        obj = self.objects.get(name)
        if obj is None or (kind is PODS and self._decode(kind, obj) is None):
            if key in told:
                told.discard(key)
                yield Deleted(kind.model, key)
        elif (resource := self._decode(kind, obj)) is not None:
            told.add(key)
            yield Applied(resource)


def opened(world: World, statuses: dict[str, Any]) -> Cluster:
    """The world's objects with upstream's statuses, before anything has been listed."""
    cluster = Cluster(frozenset(world.get("absent", ())))
    for obj in world["objects"]:
        cluster.objects[reference(obj)] = with_status(obj, statuses.get(reference(obj)))
    return cluster


def performed(cluster: Cluster, step: dict[str, Any]) -> Iterator[list[Event]]:
    """Carry out a step's changes; yields the batches that the watches would deliver."""
    names: list[str] = []
    burst: list[Event] = []
    for op in step["ops"]:
        if "delete" in op:
            names.append(op["delete"])
            cluster.objects.pop(op["delete"], None)
        else:
            names.append(reference(op["apply"]))
            cluster.put(op["apply"])
        if step["how"] == "single":
            yield list(cluster.seen(names[-1]))
        elif step["how"] == "burst":  # a watch tells of each change, also of an object deleted and made anew
            burst += cluster.seen(names[-1])
    if burst:
        yield burst
    if step["how"] == "relist":
        kinds = dict.fromkeys(kind for kind in map(cluster.type_named, names) if kind is not None)
        yield cluster.listed(list(kinds))
    for name, entry in step.get("statuses", {}).items():
        obj = cluster.objects.get(name)
        if obj is not None and obj.get("status") != entry["status"]:
            cluster.objects[name] = with_status(obj, entry)
            yield list(cluster.seen(name))
