"""DELETE requests: at once, when the finalizers allow it, or when somebody has stopped."""

from __future__ import annotations

import copy
import datetime as dt

import attrs

from controller.apiserver import admission, metadata
from controller.apiserver.definitions import DEFINITIONS
from controller.apiserver.delete_options import DeleteOptions
from controller.apiserver.effects import Steps
from controller.apiserver.kinds import Endpoint
from controller.apiserver.listing import ListOptions, parse_filter, parse_options, read_page
from controller.apiserver.options import WriteOptions
from controller.apiserver.requests import Place, Request
from controller.apiserver.shapes import list_at
from controller.apiserver.status import (
    GroupResource,
    Object,
    conflict,
    forbidden,
    not_found,
    success,
)
from controller.apiserver.store import Revision, object_key
from controller.apiserver.writes import NAMESPACES, Writer

_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_PROTECTED = frozenset({"default", "kube-system", "kube-public"})


def delete(writer: Writer, request: Request, endpoint: Endpoint, place: Place) -> Steps[tuple[Object, bool]]:
    """The object as it is on its way out, or the news that it is gone (True)."""
    options = DeleteOptions.parse(request)
    kind = endpoint.kind
    if kind.resource == NAMESPACES and place.name in _PROTECTED:
        raise forbidden(NAMESPACES, place.name, "this namespace may not be deleted")
    stored = writer.store.get(kind.resource, object_key(place.namespace if kind.namespaced else "", place.name))
    if stored is None:
        raise not_found(kind.resource, place.name)
    return (yield from delete_object(writer, endpoint, place, stored, options))


def delete_object(
    writer: Writer, endpoint: Endpoint, place: Place, stored: Revision, options: DeleteOptions
) -> Steps[tuple[Object, bool]]:
    kind = endpoint.kind
    value = writer.read(stored, endpoint)
    meta = value["metadata"]
    _check(options, value, endpoint)
    write = WriteOptions(kind="DeleteOptions", dry_run=options.dry_run)
    attributes = admission.Attributes(
        operation="DELETE",
        endpoint=endpoint,
        place=attrs.evolve(place, name=meta["name"], namespace=meta.get("namespace", "")),
        dry_run=options.dry_run,
        uid=writer.environment.new_uid(),
        options=write.to_object("DeleteOptions"),
    )
    yield from admission.validate(writer.store, attributes, None, value)
    if writer.store.get(kind.resource, stored.key) is not stored:
        raise conflict(kind.resource, meta["name"])
    if kind.resource == DEFINITIONS:
        return _retire(writer, endpoint, value, stored, options), False
    finalizers = _finalizers(meta, options)
    grace = _grace(endpoint, value, options)
    waits = bool(finalizers) or bool(grace) or _has_content(endpoint, value)
    if not waits:
        return _remove(writer, endpoint, value, stored, options), True
    if meta.get("deletionTimestamp") and finalizers == list_at(meta, "finalizers"):
        before = meta.get("deletionGracePeriodSeconds") or 0
        if grace is None or grace >= before:
            return value, False
    old = copy.deepcopy(value)
    _mark(writer, endpoint, value, finalizers, grace)
    if value != old and not options.dry_run:
        meta["resourceVersion"] = str(writer.put(value, endpoint).revision)
    return value, False


def _retire(writer: Writer, endpoint: Endpoint, value: Object, stored: Revision, options: DeleteOptions) -> Object:
    """Delete a definition, after the objects that it defines."""
    meta = value["metadata"]
    meta["deletionTimestamp"] = metadata.timestamp(writer.environment.now())
    meta["finalizers"] = [_CLEANUP]
    if not options.dry_run:
        meta["resourceVersion"] = str(writer.store.put(endpoint.kind.resource, value, stored.origin).revision)
        writer.remove(endpoint.kind, stored.key)
    return value


def _check(options: DeleteOptions, value: Object, endpoint: Endpoint) -> None:
    meta, kind = value["metadata"], endpoint.kind
    record = GroupResource(kind.group, kind.kind)
    if options.uid and options.uid != meta["uid"]:
        text = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(record, meta["name"], text)
    if options.revision and options.revision != meta["resourceVersion"]:
        text = (
            f"the ResourceVersion in the precondition ({options.revision}) does not match the ResourceVersion in "
            f"record ({meta['resourceVersion']}). The object might have been modified"
        )
        raise conflict(record, meta["name"], text)


def _finalizers(meta: Object, options: DeleteOptions) -> list[str]:
    """The finalizers after the propagation policy has added or taken its own."""
    found = [entry for entry in list_at(meta, "finalizers") if entry not in ("orphan", "foregroundDeletion")]
    kept = [entry for entry in list_at(meta, "finalizers") if entry not in found]
    match options.policy:
        case "Orphan":
            return [*found, "orphan"]
        case "Foreground":
            return [*found, "foregroundDeletion"]
        case "Background":
            return found
        case _:
            return [*found, *kept]


def _grace(endpoint: Endpoint, value: Object, options: DeleteOptions) -> int | None:
    own = endpoint.kind.behaviour.grace_period(value)
    if own is None:
        return None
    if options.grace is None:
        return own
    return min(options.grace, own) if own == 0 else options.grace


def _has_content(endpoint: Endpoint, value: Object) -> bool:
    """Whether something must be cleared away first: a namespace's content is, by whoever finalizes it."""
    return endpoint.kind.resource == NAMESPACES and bool(list_at(value, "spec", "finalizers"))


def _mark(writer: Writer, endpoint: Endpoint, value: Object, finalizers: list[str], grace: int | None) -> None:
    meta, kind = value["metadata"], endpoint.kind
    now = writer.environment.now()
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    first = "deletionTimestamp" not in meta
    if first or grace is not None:
        meta["deletionTimestamp"] = metadata.timestamp(now + dt.timedelta(seconds=grace or 0))
    if kind.resource == NAMESPACES:
        value.setdefault("status", {})["phase"] = "Terminating"
        return
    meta["deletionGracePeriodSeconds"] = grace or 0
    if first and "generation" in meta:
        meta["generation"] += 1


def _remove(writer: Writer, endpoint: Endpoint, value: Object, stored: Revision, options: DeleteOptions) -> Object:
    kind, meta = endpoint.kind, value["metadata"]
    if not options.dry_run:
        meta["resourceVersion"] = str(writer.remove(kind, stored.key))
    if not kind.behaviour.returns_deleted:
        return success(kind.resource, meta["name"], meta["uid"])
    if kind.behaviour.grace_period(value) is not None:
        meta["deletionTimestamp"] = metadata.timestamp(writer.environment.now())
        meta["deletionGracePeriodSeconds"] = 0
        if "generation" in meta and stored.to_object()["metadata"].get("deletionTimestamp") is None:
            meta["generation"] += 1
    return value


def delete_collection(
    writer: Writer, request: Request, endpoint: Endpoint, place: Place
) -> Steps[tuple[list[Revision], ListOptions, Object]]:
    """Delete what a list with the same parameters would show; what it showed."""
    options = DeleteOptions.parse(request)
    listed = parse_options(request, watching=False)
    wanted = parse_filter(request, endpoint, place.namespace)
    page = read_page(writer.store, endpoint, listed, wanted)
    for stored in page.objects:
        current = writer.store.get(endpoint.kind.resource, stored.key)
        if current is not None:
            yield from delete_object(writer, endpoint, place, current, options)
    return page.objects, listed, page.metadata
