"""Statuses as values: what an object should show, compared with what it shows."""

from __future__ import annotations

import datetime as dt
import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import attrs

from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import ObjectKey, Resource

Route: TypeAlias = PolicyHTTPRoute | GatewayHTTPRoute | GRPCRoute | TLSRoute | TCPRoute


class StatusKey(NamedTuple):
    """An object that has a status of ours: its class, namespace and name."""

    model: type[Resource]
    key: ObjectKey


class ParentKind(enum.Enum):
    SERVER = "Server"
    SERVICE = "Service"
    EGRESS_NETWORK = "EgressNetwork"


PARENT_GROUPS = {
    ParentKind.SERVER: "policy.linkerd.io",
    ParentKind.SERVICE: "core",
    ParentKind.EGRESS_NETWORK: "policy.linkerd.io",
}


@attrs.frozen
class Parent:
    """Whom a route is attached to. Servers never have a port."""

    kind: ParentKind
    key: ObjectKey
    port: int | None = None


class BackendKind(enum.Enum):
    SERVICE = "Service"
    EGRESS_NETWORK = "EgressNetwork"
    UNKNOWN = "unknown"


@attrs.frozen
class Backend:
    """Where a route sends to; an unknown kind has no key that matters."""

    kind: BackendKind
    key: ObjectKey


@attrs.frozen
class Verdict:
    """A condition without its time: equal verdicts are not worth a write."""

    type: str
    status: bool
    reason: str
    message: str = ""


@attrs.frozen
class ParentVerdict:
    """What a route shows about one of its parents."""

    parent: Parent
    conditions: tuple[Verdict, ...]


@attrs.frozen
class RouteStatus:
    """Our entries, in the order of the route's parents. Entries of other controllers are not ours to know."""

    parents: tuple[ParentVerdict, ...]

    def equals(self, shown: Iterable[object]) -> bool:
        """Whether the route shows exactly these entries of ours; their order does not count, repetitions do."""
        shown = tuple(shown)
        return self.parents == shown or Counter[object](self.parents) == Counter[object](shown)


@attrs.frozen
class RateLimitStatus:
    """The one condition of a rate limit, and the Server it is about."""

    accepted: Verdict
    server: str


@attrs.frozen
class EgressNetworkStatus:
    """Our condition; those of other types stay."""

    accepted: Verdict


Status: TypeAlias = RouteStatus | RateLimitStatus | EgressNetworkStatus


@attrs.frozen
class Stored:
    """What a patch of a status has to respect: the version it was derived from, what others wrote, and since when."""

    uid: str
    resource_version: str
    foreign: bool  # whether there are entries or conditions of others, which a patch of the list must carry along
    # when a condition became what it is: by parent (none but for routes), type and status
    since: Mapping[tuple[Parent | None, str, str], dt.datetime]

    def transition(self, parent: Parent | None, verdict: Verdict, now: dt.datetime) -> dt.datetime:
        """The time of a condition that is written: its status may have been this for long."""
        return self.since.get((parent, verdict.type, "True" if verdict.status else "False"), now)
