"""Keeping `managedFields` true: after an update, and for server-side apply.

An updater owns what it changed, and takes it from all others. An applier owns what its configuration names, may not
touch what others own without force, and what it named before and names no more is removed if nobody else owns it.
"""

from __future__ import annotations

import copy
from typing import Any

import attrs
import msgspec

from controller.apiserver.builtin import recorded
from controller.apiserver.kinds import Endpoint
from controller.apiserver.managed import fieldset, values
from controller.apiserver.managed.fieldset import FieldSet
from controller.apiserver.metadata import Environment, timestamp
from controller.apiserver.options import WriteOptions
from controller.apiserver.schema.node import Node
from controller.apiserver.shapes import is_object, object_at
from controller.apiserver.status import Object, Refused

_NEVER_OWNED = fieldset.from_json(
    {
        "f:apiVersion": {},
        "f:kind": {},
        "f:metadata": {
            ".": {},
            **{
                f"f:{name}": {}
                for name in [
                    "name",
                    "namespace",
                    "creationTimestamp",
                    "selfLink",
                    "uid",
                    "clusterName",
                    "generation",
                    "managedFields",
                    "resourceVersion",
                ]
            },
        },
    }
)
BEFORE_APPLY = "before-first-apply"
_MOST_UPDATERS = 10


@attrs.define
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: FieldSet

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two entries the same manager; an applier keeps its identity from version to version."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.name, self.operation, version, self.subresource)

    def to_object(self) -> Object:
        found: Object = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version}
        if self.time:
            found["time"] = self.time
        found |= {"fieldsType": "FieldsV1", "fieldsV1": self.fields.to_json()}
        if self.subresource:
            found["subresource"] = self.subresource
        return found


Managers = dict[tuple[str, ...], Manager]


def read_managers(entries: list[Object] | None) -> Managers:
    found: Managers = {}
    for entry in entries or ():
        manager = Manager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", "Update"),
            api_version=entry.get("apiVersion", ""),
            subresource=entry.get("subresource", ""),
            time=entry.get("time", ""),
            fields=fieldset.from_json(object_at(entry, "fieldsV1")),
        )
        found[manager.key] = manager
    return found


def _write_managers(value: Object, managers: Managers) -> None:
    entries = [
        attrs.evolve(manager, fields=owned)
        for manager in managers.values()
        if (owned := manager.fields.difference(_NEVER_OWNED))
    ]
    entries.sort(key=lambda entry: (entry.operation, entry.time, entry.name, entry.api_version, entry.subresource))
    if entries:
        value["metadata"]["managedFields"] = [entry.to_object() for entry in entries]
    else:
        value["metadata"].pop("managedFields", None)


def whole_schema(endpoint: Endpoint) -> Node:
    """A kind's schema with its metadata, which the schema of a custom resource leaves out."""
    if not endpoint.kind.custom:
        return endpoint.version.schema
    cached = _WHOLE.get(id(endpoint.version))
    if cached is None or cached[0] is not endpoint.version.schema:
        node = Node({**endpoint.version.schema.raw})
        node.properties = {
            **node.properties,
            "apiVersion": Node({"type": "string"}),
            "kind": Node({"type": "string"}),
            "metadata": recorded.object_meta(),
        }
        cached = _WHOLE[id(endpoint.version)] = (endpoint.version.schema, node)
    return cached[1]


_WHOLE: dict[int, tuple[Node, Node]] = {}


def _blank(endpoint: Endpoint) -> Object:
    """What an object is compared with when it is created."""
    if endpoint.kind.custom:
        return {"apiVersion": endpoint.api_version, "kind": endpoint.kind.kind}
    key = id(endpoint.version)
    if key not in _BLANKS:
        _BLANKS[key] = recorded.reader_of(endpoint.version.schema.reference).zero()
    return _BLANKS[key]


_BLANKS: dict[int, Object] = {}


def _untracked(value: Object) -> Object:
    meta = {name: inner for name, inner in value["metadata"].items() if name != "managedFields"}
    return {**value, "metadata": meta}


def on_update(
    value: Object,
    old: Object | None,
    endpoint: Endpoint,
    options: WriteOptions,
    environment: Environment,
    *,
    subresource: str = "",
) -> None:
    """Write into `value` who owns what after this update."""
    given: list[Any] | None = value["metadata"].get("managedFields")
    before = (old or {}).get("metadata", {}).get("managedFields")
    if old is not None and (given is None or subresource):
        given = before
    if given and any(not entry for entry in given):
        given = []  # a single empty entry asks to forget all owners
    if old is not None and not given:
        # Tracking starts when an object is created or first applied, never in between.
        value["metadata"].pop("managedFields", None)
        return
    managers = read_managers(given if old is not None else None)
    live = _blank(endpoint) if old is None else old
    found = values.compare(_untracked(live) if old else live, _untracked(value), whole_schema(endpoint))
    if found.none and given == before and old is not None:
        value["metadata"]["managedFields"] = copy.deepcopy(before)
        return
    mine = Manager(options.manager, "Update", endpoint.api_version, subresource, "", FieldSet())
    taken = found.changed.difference(_NEVER_OWNED)
    for manager in managers.values():
        manager.fields = manager.fields.difference(found.changed).difference(found.removed)
    if taken:
        mine = managers.setdefault(mine.key, mine)
        mine.fields = mine.fields.union(taken)
        mine.time = "" if subresource == "scale" else timestamp(environment.now())
    _write_managers(value, _capped(managers))


def _capped(managers: Managers) -> Managers:
    """Fold the oldest updaters into one when there are too many of them."""
    updaters = [manager for manager in managers.values() if manager.operation == "Update" and manager.fields]
    surplus = len(updaters) - _MOST_UPDATERS
    if surplus <= 0:
        return managers
    updaters.sort(key=lambda manager: manager.time)
    kept = dict(managers)
    for manager in updaters[: surplus + 1]:
        del kept[manager.key]
        ancient = Manager("ancient-changes", "Update", manager.api_version, manager.subresource, "", FieldSet())
        ancient = kept.setdefault(ancient.key, ancient)
        ancient.fields = ancient.fields.union(manager.fields)
        ancient.time = max(ancient.time, manager.time)
    return kept


def apply(
    applied: Object,
    old: Object | None,
    endpoint: Endpoint,
    options: WriteOptions,
    environment: Environment,
    *,
    subresource: str = "",
) -> Object:
    """The object that server-side apply makes of the live one, its managedFields included."""
    node = whole_schema(endpoint)
    live = _blank(endpoint) if old is None else _untracked(old)
    managers = read_managers((old or {}).get("metadata", {}).get("managedFields"))
    if old is not None and not managers:
        taken = values.compare(_blank(endpoint), live, node).changed.difference(_NEVER_OWNED)
        before = Manager(BEFORE_APPLY, "Update", endpoint.api_version, "", timestamp(environment.now()), taken)
        managers[before.key] = before
    mine = Manager(options.manager, "Apply", endpoint.api_version, subresource, "", FieldSet())
    last = managers.get(mine.key)
    named = values.field_set(_untracked(applied), node)
    mine = Manager(mine.name, "Apply", endpoint.api_version, subresource, last.time if last else "", named)
    managers[mine.key] = mine
    merged = values.merge(live, _untracked(applied), node)
    if last is not None and last.fields:
        merged = _without_abandoned(merged, managers, last.fields, node)
    found = values.compare(live, merged, node)
    _settle_conflicts(managers, mine, found, force=options.force)
    if not found.none:
        mine.time = timestamp(environment.now())
    result: Object = copy.deepcopy(merged)
    _write_managers(result, managers)
    return result


def check_typed(applied: Object, endpoint: Endpoint) -> None:
    """Refuse a configuration whose fields the schema does not have, or has with another type."""
    found = list(values.mistyped(applied, whole_schema(endpoint)))
    if found:
        given = applied.get("metadata")
        meta: Object = given if is_object(given) else {}
        group, _, version = endpoint.api_version.rpartition("/")
        name = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={endpoint.kind.kind}"
        text = found[0] if len(found) == 1 else "errors:" + "".join(f"\n  {entry}" for entry in found)
        raise Refused(500, "", f"failed to create typed patch object ({name}): {text}")


def _without_abandoned(merged: Any, managers: Managers, last: FieldSet, node: Node) -> Any:
    """Take away what this applier named before, names no more, and nobody else owns."""
    ensure = values.with_named_fields
    everything = ensure(values.field_set(merged, node), node)
    pruned = values.without(merged, node, ensure(last, node))
    owned = FieldSet()
    for manager in managers.values():
        owned = owned.union(manager.fields)
    kept = ensure(values.field_set(pruned, node) if pruned else FieldSet(), node).union(ensure(owned, node))
    pruned = values.without(merged, node, everything.difference(kept))
    left = ensure(values.field_set(pruned, node) if pruned else FieldSet(), node)
    return values.without(merged, node, everything.difference(left).intersection(ensure(last, node)))


def _settle_conflicts(managers: Managers, mine: Manager, found: values.Differences, *, force: bool) -> None:
    conflicts = [
        (manager, shared)
        for manager in managers.values()
        if manager is not mine and (shared := manager.fields.intersection(found.changed))
    ]
    if conflicts and not force:
        raise _conflict(conflicts)
    for manager, shared in conflicts:
        manager.fields = manager.fields.difference(shared)
    for manager in managers.values():
        if manager is not mine:
            manager.fields = manager.fields.difference(found.removed)


def _conflict(conflicts: list[tuple[Manager, FieldSet]]) -> Refused:
    causes = [(manager, fieldset.shown(path)) for manager, shared in conflicts for path in shared.paths()]
    causes.sort(key=lambda cause: (_described(cause[0]), cause[1]))
    by_manager: dict[str, list[str]] = {}
    for manager, path in causes:
        by_manager.setdefault(_described(manager), []).append(path)
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: conflict with {_described(causes[0][0])}: {causes[0][1]}"
    else:
        lines = "\n".join(
            f"conflicts with {who}:\n" + "\n".join(f"- {path}" for path in paths) for who, paths in by_manager.items()
        )
        text = f"Apply failed with {len(causes)} conflicts: {lines}"
    details = {
        "causes": [
            {"reason": "FieldManagerConflict", "message": f"conflict with {_described(manager)}", "field": path}
            for manager, path in causes
        ]
    }
    return Refused(409, "Conflict", text, details=details)


def _described(manager: Manager) -> str:
    text = msgspec.json.encode(manager.name).decode()
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    if manager.operation != "Apply":
        text += f" using {manager.api_version}"
    return text
