"""Which parents and backends a route names, in the words of its status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.index.status.values import Backend, BackendKind, Parent, ParentKind, ParentVerdict, Route, Verdict
from controller.k8s.gateway import BackendRef, GrpcBackendRef, HttpBackendRef, ParentRef, RouteParentStatus
from controller.k8s.meta import ObjectKey
from controller.k8s.policy import Condition
from controller.k8s.references import POLICY_GROUP, group_key

_PARENT_KINDS = {
    ("policy.linkerd.io", "server"): ParentKind.SERVER,
    ("core", "service"): ParentKind.SERVICE,
    ("policy.linkerd.io", "egressnetwork"): ParentKind.EGRESS_NETWORK,
}
_BACKEND_KINDS = {
    ("core", "service"): BackendKind.SERVICE,
    (POLICY_GROUP, "egressnetwork"): BackendKind.EGRESS_NETWORK,
}
MAX_PORT = 0xFFFF


def parents_of(route: Route) -> tuple[Parent, ...]:
    """The parents that we know how to judge, in spec order."""
    parents = (_parent(ref, route.metadata.namespace) for ref in route.spec.parent_refs or ())
    return tuple(parent for parent in parents if parent is not None)


def _parent(ref: ParentRef, namespace: str) -> Parent | None:
    kind = _PARENT_KINDS.get((group_key(ref.group), (ref.kind or "").lower()))
    if kind is None or (ref.port is not None and not 0 <= ref.port <= MAX_PORT):
        return None
    port = None if kind is ParentKind.SERVER else ref.port
    return Parent(kind, ObjectKey(ref.namespace or namespace, ref.name), port)


def backends_of(route: Route) -> tuple[Backend, ...]:
    """The backends of all rules, in spec order."""
    return tuple(_backend(ref, route.metadata.namespace) for ref in _backend_refs(route))


def _backend_refs(route: Route) -> Iterator[HttpBackendRef | GrpcBackendRef | BackendRef]:
    for rule in route.spec.rules or ():
        yield from rule.backend_refs or ()


def _backend(ref: HttpBackendRef | GrpcBackendRef | BackendRef, namespace: str) -> Backend:
    kind = (ref.kind or "Service").lower()
    known = _BACKEND_KINDS.get((group_key(ref.group), kind), BackendKind.UNKNOWN)
    return Backend(known, ObjectKey(ref.namespace or namespace, ref.name))


def shown_parents(entries: Iterable[RouteParentStatus]) -> tuple[object, ...]:
    """Our entries in a stored status, as far as they are ones that we could have written; anything else as it is.

    An entry that was written in another form (a group in capitals, a Server with a port, a section) equals
    nothing that we want, and so is written anew.
    """
    return tuple(_shown(entry) for entry in entries)


def _shown(entry: RouteParentStatus) -> object:
    ref = entry.parent_ref
    known = _PARENT_KINDS.get((ref.group or "", (ref.kind or "").lower()))
    if known is None or ref.kind != known.value or ref.namespace is None or ref.section_name is not None:
        return entry
    conditions = tuple(verdict_of(condition) for condition in entry.conditions)
    if any(condition is None for condition in conditions):
        return entry
    shown = tuple(condition for condition in conditions if condition is not None)
    return ParentVerdict(Parent(known, ObjectKey(ref.namespace, ref.name), ref.port), shown)


def verdict_of(condition: Condition) -> Verdict | None:
    """A stored condition without its time, or `None` for one that we never write."""
    if condition.status not in ("True", "False"):
        return None
    return Verdict(condition.type, condition.status == "True", condition.reason, condition.message)
