"""Which Services and EgressNetworks a route is attached to: those it names and whose status entry accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from controller.k8s.gateway import ParentRef, RouteParentStatus, RouteStatus
from controller.k8s.references import CORE_GROUP, POLICY_GROUP, group_key

MAX_PORT = 65_535


class ParentKind(Enum):
    """Where traffic goes to. The values are the words of `group` and `kind` in statuses, where case counts."""

    SERVICE = (CORE_GROUP, "Service")
    EGRESS_NETWORK = (POLICY_GROUP, "EgressNetwork")

    __hash__ = object.__hash__  # members are one of a kind; hashing their names is slow


class ParentKey(NamedTuple):
    """A Service or an EgressNetwork by name; as a parent of routes or as a backend."""

    kind: ParentKind
    namespace: str
    name: str


class Attachment(NamedTuple):
    """A parent and a port of it; no port stands for all ports, also those that nobody has asked about yet."""

    parent: ParentKey
    port: int | None


def parse_kind(group: str | None, kind: str | None) -> ParentKind | None:
    """Read which kind a reference means; case does not count, and an absent group is the core group."""
    if kind is None:
        return None
    group, kind = group_key(group), kind.lower()
    if kind == "service" and group == CORE_GROUP:
        return ParentKind.SERVICE
    if kind == "egressnetwork" and group == POLICY_GROUP:
        return ParentKind.EGRESS_NETWORK
    return None


def parse_attachments(
    namespace: str, refs: tuple[ParentRef, ...] | None, status: RouteStatus | None
) -> frozenset[Attachment]:
    """Read where a route of `namespace` is attached. Each of its references stands for itself."""
    return frozenset(_attachments(namespace, refs or (), status.parents if status else ()))


def _attachments(
    namespace: str, refs: tuple[ParentRef, ...], statuses: tuple[RouteParentStatus, ...]
) -> Iterator[Attachment]:
    accepted = [item.parent_ref for item in statuses if _is_accepted(item)]
    for ref in refs:
        kind = parse_kind(ref.group, ref.kind)
        if kind is None:
            continue
        parent = ParentKey(kind, namespace if ref.namespace is None else ref.namespace, ref.name)
        port = parse_port_number(ref.port)
        if any(_admits(entry, namespace, parent, port) for entry in accepted):
            yield Attachment(parent, port)


def parse_port_number(port: int | None) -> int | None:
    """A port that cannot be is none."""
    return port if port is not None and 1 <= port <= MAX_PORT else None


def _is_accepted(status: RouteParentStatus) -> bool:
    """Whoever wrote it, and whichever generation of the route it was about."""
    return any(condition.type == "Accepted" and condition.status == "True" for condition in status.conditions)


def _admits(accepted: ParentRef, namespace: str, parent: ParentKey, port: int | None) -> bool:
    """Whether an accepted entry of a status is about this parent.

    An EgressNetwork takes routes for single ports only.
    """
    if port is None and parent.kind is not ParentKind.SERVICE:
        return False
    return (
        accepted.name == parent.name
        and (accepted.group or CORE_GROUP, accepted.kind) == parent.kind.value
        and (namespace if accepted.namespace is None else accepted.namespace) == parent.namespace
        and (port is None or accepted.port is None or accepted.port == port)
    )
