"""The verdicts themselves: accepted or not, resolved or not, and why.

Reasons and messages are spelled exactly as Linkerd's own controller spells them: two leaders in succession, one of
each, must not rewrite each other's entries.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from controller.core.network import IPNet, NetworkMatch
from controller.index.status.values import Backend, BackendKind, Parent, ParentKind, Verdict
from controller.k8s.builtin import ServiceSpec
from controller.k8s.meta import ObjectKey

ACCEPTED = "Accepted"
RESOLVED_REFS = "ResolvedRefs"

NO_CLUSTER_IP = "parent service must have a ClusterIP"
EGRESS_NOT_ACCEPTED = "EgressNetwork parent has not been accepted"
EGRESS_BACKEND_NEEDS_PARENT = "EgressNetwork backend needs to be on a route that has an EgressNetwork parent"
OVERLAP = "networks overlap with clusterNetworks"

YES = Verdict(ACCEPTED, status=True, reason="Accepted")
CONFLICTED = Verdict(ACCEPTED, status=False, reason="RouteReasonConflicted")
RESOLVED = Verdict(RESOLVED_REFS, status=True, reason="ResolvedRefs")


def no_matching_parent(message: str = "") -> Verdict:
    return Verdict(ACCEPTED, status=False, reason="NoMatchingParent", message=message)


def has_cluster_ip(spec: ServiceSpec | None) -> bool:
    """Whether a Service can be a parent: it has an address of its own."""
    if spec is None or spec.type == "ExternalName":
        return False
    return spec.cluster_ip is not None and spec.cluster_ip.lower() != "none"


def accepted(kind: ParentKind, *, usable: bool | None, conflicted: bool) -> Verdict:
    """Whether a parent takes the route. `usable` is `None` where the parent does not exist."""
    if usable is None:
        return no_matching_parent()
    if not usable:
        return no_matching_parent(NO_CLUSTER_IP if kind is ParentKind.SERVICE else EGRESS_NOT_ACCEPTED)
    return CONFLICTED if conflicted else YES


def resolved_refs(parent: Parent, backends: Iterable[Backend], exists: Callable[[Backend], bool]) -> Verdict:
    """Whether every backend can be resolved from this parent; the first that cannot decides."""
    for backend in backends:
        if backend.kind is BackendKind.UNKNOWN:
            return _unresolved("InvalidKind")
        if not exists(backend):
            return _unresolved("BackendNotFound")
        own = parent.kind is ParentKind.EGRESS_NETWORK and parent.key == backend.key
        if backend.kind is BackendKind.EGRESS_NETWORK and not own:
            return _unresolved("InvalidKind", EGRESS_BACKEND_NEEDS_PARENT)
    return RESOLVED


def _unresolved(reason: str, message: str = "") -> Verdict:
    return Verdict(RESOLVED_REFS, status=False, reason=reason, message=message)


def rate_limit(*, server_exists: bool, first: bool) -> Verdict:
    """Whether a rate limit is in force: one for each Server, the oldest."""
    if not server_exists:
        return Verdict(ACCEPTED, status=False, reason="NoMatchingTarget")
    return YES if first else Verdict(ACCEPTED, status=False, reason="RateLimitReasonAlreadyExists")


def age(created: dt.datetime | None, key: ObjectKey) -> tuple[bool, dt.datetime | None, str]:
    """Sorts the oldest first, those without a time last, equals by name."""
    return created is None, created, key.name


def egress_network(networks: Iterable[NetworkMatch] | None, cluster_networks: Iterable[IPNet]) -> Verdict:
    """Whether an EgressNetwork keeps off the cluster's own addresses. Without networks it takes what lies outside."""
    cluster = tuple(cluster_networks)
    if any(_overlap(match, inside) for match in networks or () for inside in cluster):
        return Verdict(ACCEPTED, status=False, reason="EgressReasonNetworkOverlap", message=OVERLAP)
    return YES


def _overlap(match: NetworkMatch, inside: IPNet) -> bool:
    """One exception must hold the whole cluster network: several that do so together do not help."""
    if any(_contains(hole, inside) for hole in match.except_):
        return False
    return _contains(match.net, inside) or _contains(inside, match.net)


def _contains(outer: IPNet, inner: IPNet) -> bool:
    return outer.prefix <= inner.prefix and outer.contains(inner.address)
