"""What every object's metadata goes through on a write, whatever its kind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import attrs

from controller.apiserver import causes, names
from controller.apiserver.kinds import Kind
from controller.apiserver.shapes import list_at, object_at
from controller.apiserver.status import Cause, Object

_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


@attrs.frozen
class Environment:
    """Clock and chance, handed in by whoever runs the server."""

    now: Callable[[], dt.datetime]
    new_uid: Callable[[], str]
    new_suffix: Callable[[], str]


def timestamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def prepare_create(value: Object, kind: Kind, environment: Environment) -> None:
    """Fill in what the server decides about a new object."""
    metadata = value["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"):
        metadata.pop(field, None)
    metadata["uid"] = environment.new_uid()
    metadata["creationTimestamp"] = timestamp(environment.now())
    if kind.behaviour.has_generation:
        metadata["generation"] = 1


def prepare_update(value: Object, old: Object) -> None:
    """Restore what an update cannot change."""
    metadata, before = value["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    for field in ("creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in before:
            metadata[field] = before[field]
        else:
            metadata.pop(field, None)
    if not metadata.get("uid"):
        metadata["uid"] = before["uid"]
    for field in ("generateName", "namespace"):
        if field in before and not metadata.get(field):
            metadata[field] = before[field]
    metadata["resourceVersion"] = before["resourceVersion"]


def check(value: Object, kind: Kind, field: str = "metadata") -> Iterator[Cause]:
    """What is wrong with the metadata of any object."""
    metadata = value["metadata"]
    rule = names.RULES[kind.behaviour.name_rule]
    generated, name = metadata.get("generateName", ""), metadata.get("name", "")
    if generated:
        for text in rule(generated.rstrip("-") if kind.behaviour.name_rule != "segment" else generated):
            yield causes.invalid_value(f"{field}.generateName", generated, text)
    if not name:
        yield causes.required(f"{field}.name", "name or generateName is required")
    else:
        for text in rule(name):
            yield causes.invalid_value(f"{field}.name", name, text)
    if kind.namespaced:
        if not metadata.get("namespace"):
            yield causes.required(f"{field}.namespace")
        else:
            for text in names.label(metadata["namespace"]):
                yield causes.invalid_value(f"{field}.namespace", metadata["namespace"], text)
    elif metadata.get("namespace"):
        yield causes.forbidden_field(f"{field}.namespace", "not allowed on this type")
    yield from names.check_labels(object_at(metadata, "labels"), f"{field}.labels")
    yield from names.check_annotations(object_at(metadata, "annotations"), f"{field}.annotations")
    yield from _check_owners(metadata, field)
    for index, finalizer in enumerate(list_at(metadata, "finalizers")):
        for text in names.qualified_name(finalizer):
            yield causes.invalid_value(f"{field}.finalizers[{index}]", finalizer, text)


def _check_owners(metadata: Object, field: str) -> Iterator[Cause]:
    controllers: list[str] = []
    for owner in list_at(metadata, "ownerReferences"):
        where = f"{field}.ownerReferences"
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                text = "version must not be empty" if part == "apiVersion" else "must not be empty"
                yield causes.invalid_value(f"{where}.{part}", "", text)
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind', '')}/{owner.get('name', '')}")
    if len(controllers) > 1:
        text = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}"
        )
        yield causes.invalid_value(f"{field}.ownerReferences", metadata["ownerReferences"], text)


def check_update(value: Object, old: Object, field: str = "metadata") -> Iterator[Cause]:
    """What an update may not do to metadata."""
    metadata, before = value["metadata"], old["metadata"]
    for part in ("name", "namespace", "uid", "creationTimestamp"):
        if metadata.get(part, "") != before.get(part, ""):
            yield causes.immutable(f"{field}.{part}", metadata.get(part, ""))
    if before.get("deletionTimestamp"):
        added = [entry for entry in list_at(metadata, "finalizers") if entry not in list_at(before, "finalizers")]
        if added:
            shown = ", ".join(f'"{entry}"' for entry in added)
            yield causes.forbidden_field(
                f"{field}.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{"
                + shown
                + "}",
            )


def finalizer_warnings(value: Object, old: Object | None) -> tuple[str, ...]:
    """A hint for each new finalizer that two controllers might both choose."""
    known = list_at(old, "metadata", "finalizers")
    return tuple(
        f"metadata.finalizers: {causes.quoted(entry)}: prefer a domain-qualified finalizer name to avoid accidental "
        "conflicts with other finalizer writers"
        for entry in list_at(value["metadata"], "finalizers")
        if "/" not in entry and entry not in known and entry not in _STANDARD_FINALIZERS
    )
