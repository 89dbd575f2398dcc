"""Worlds of Services, EgressNetworks and routes in which names, addresses, ports and ages collide."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias, TypeVar

import attrs
from hypothesis import strategies as st

from controller.core.cluster import ClusterConfig
from controller.core.outbound import AddressTarget, OutboundTarget, ServiceTarget
from controller.index.parse.cidr import parse_nets
from controller.index.parse.invalid import Invalid
from controller.index.parse.outbound_routes import parse_outbound_route
from controller.k8s.events import Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from tests.destinations import (
    ROUTES,
    TYPES,
    Object,
    applied,
    decode,
    deleted,
    egress_network,
    egress_ref,
    route,
    rule,
    service,
    service_ref,
)

T = TypeVar("T")

GLOBAL = "g"
NAMESPACES = ("a", "b", GLOBAL)
NAMES = ("x", "y")
PORTS = (80, 443)
INSIDE, OUTSIDE = ("10.0.0.1", "10.0.0.2", "fd00::1"), ("1.1.1.1", "2001:db8::1")
CREATED = (None, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
CONFIG = ClusterConfig(
    cluster_networks=parse_nets("10.0.0.0/8,fd00::/8"),
    global_egress_network_namespace=GLOBAL,
    default_opaque_ports=frozenset((443,)),
)
TARGETS: tuple[OutboundTarget, ...] = (
    *(ServiceTarget(source, ns, name, 80) for source in NAMESPACES for ns in ("a", "b") for name in NAMES),
    *(
        AddressTarget(source, ip_address(address), port)
        for source in NAMESPACES
        for address in (*INSIDE, *OUTSIDE)
        for port in PORTS
    ),
)

namespaces, names, ports, created = map(st.sampled_from, (NAMESPACES, NAMES, PORTS, CREATED))
# Mostly none; some that count, and some of which one is wrong.
annotations = st.sampled_from(
    (
        None,
        None,
        None,
        None,
        {"timeout.linkerd.io/request": "1s", "config.linkerd.io/opaque-ports": ""},
        {"retry.linkerd.io/limit": "2", "balancer.linkerd.io/failure-accrual": "unified"},
        {"timeout.linkerd.io/request": "bogus", "balancer.alpha.linkerd.io/penalize-failures": "true"},
    )
)


@st.composite
def services(draw: st.DrawFn) -> Object:
    protocols = st.sampled_from((None, None, "http", "kubernetes.io/h2c", "linkerd.io/opaque", "x"))
    listed = [
        {"port": port} if (protocol := draw(protocols)) is None else {"port": port, "appProtocol": protocol}
        for port in draw(st.lists(ports, max_size=2, unique=True))
    ]
    ips = draw(st.lists(st.sampled_from((*INSIDE, "1.1.1.1", "None")), max_size=2, unique=True))
    return service(
        draw(names), draw(namespaces), ips=ips, ports=listed, annotations=draw(annotations), created=draw(created)
    )


blocks = st.sampled_from(
    (
        {"cidr": "1.1.1.1"},
        {"cidr": "1.0.0.0/8"},
        {"cidr": "1.0.0.0/8", "except": ["1.1.0.0/16"]},
        {"cidr": "10.0.0.0/24"},
        {"cidr": "2001:db8::/32"},
    )
)


@st.composite
def egress_networks(draw: st.DrawFn) -> Object:
    return egress_network(
        draw(names),
        draw(namespaces),
        policy=draw(st.sampled_from(("Allow", "Deny"))),
        networks=draw(st.none() | st.lists(blocks, max_size=2)),
        annotations=draw(annotations),
        created=draw(created),
    )


@st.composite
def references(draw: st.DrawFn) -> Object:
    """Mostly to Services, and mostly to those that the worlds ask about."""
    make = draw(st.sampled_from((service_ref, service_ref, egress_ref)))
    return make(draw(names), namespace=draw(homes), port=draw(st.sampled_from((None, 80, 80, 443))))


homes = st.sampled_from((None, "a", "b"))
backends = st.one_of(references(), references(), st.just({"name": "x", "kind": "ConfigMap", "weight": 3}))


@st.composite
def routes(draw: st.DrawFn) -> Object:
    letter = draw(st.sampled_from(tuple(ROUTES)))
    parents = draw(st.lists(references(), min_size=1, max_size=2))
    sent_to = draw(st.lists(backends, max_size=2))
    return route(
        letter,
        draw(names),
        draw(st.sampled_from(("a", "b"))),
        parents=parents,
        rules=[rule(letter, sent_to)] * draw(st.sampled_from((1, 1, 1, 2))),
        hostnames=draw(st.sampled_from(([], ["h"]))) if letter != "C" else None,
        annotations=draw(annotations),
        created=draw(created),
        accepted=parents[: draw(st.sampled_from((2, 2, 2, 1, 0)))],
    )


def weighted(*choices: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """One of several, by weight."""
    return st.sampled_from([choice for weight, choice in choices for _ in range(weight)]).flatmap(lambda chosen: chosen)


objects = weighted((1, services()), (1, egress_networks()), (4, routes()))


@attrs.frozen
class Apply:
    obj: Object


@attrs.frozen
class Delete:
    which: int


@attrs.frozen
class Relist:
    """A new list of one kind: some objects are gone, some are new."""

    kind: int
    kept: int
    fresh: Sequence[Object]


Step: TypeAlias = Apply | Delete | Relist

applications = st.builds(Apply, objects)
steps: st.SearchStrategy[Step] = weighted(
    (6, applications),
    (1, st.builds(Delete, st.integers(0, 50))),
    (1, st.builds(Relist, st.integers(0, 20), st.integers(0, 255), st.lists(objects, max_size=2))),
)
# First a world, then what happens to it, in batches of any size.
histories = st.builds(
    lambda world, batches: [world, *batches],
    st.lists(applications, min_size=6, max_size=14),
    st.lists(st.lists(steps, min_size=1, max_size=4), min_size=2, max_size=10),
)


@attrs.define
class Cluster:
    """What an API server holds, and of each object the last version that means anything."""

    objects: dict[tuple[str, str, str, str], Object] = attrs.field(factory=dict[Any, Any], init=False)
    good: dict[tuple[str, str, str, str], Object] = attrs.field(factory=dict[Any, Any], init=False)

    def perform(self, step: Step) -> list[Event]:
        """Take a step; returns what a watch would say."""
        match step:
            case Apply(obj):
                self._put(obj)
                return [applied(obj)]
            case Delete(which):
                if not self.objects:
                    return []
                return [deleted(self._remove(sorted(self.objects)[which % len(self.objects)]))]
            case Relist(kind, kept, fresh):
                return self._relist(kind, kept, fresh)

    def _put(self, obj: Object) -> None:
        self.objects[_key(obj)] = obj
        if _means_something(obj):
            self.good[_key(obj)] = obj

    def _remove(self, key: tuple[str, str, str, str]) -> Object:
        self.good.pop(key, None)
        return self.objects.pop(key)

    def _relist(self, kind: int, kept: int, fresh: Sequence[Object]) -> list[Event]:
        kinds = sorted({key[:2] for key in self.objects} | {_key(obj)[:2] for obj in fresh})
        if not kinds:
            return []
        chosen = kinds[kind % len(kinds)]
        new = {_key(obj): obj for obj in fresh if _key(obj)[:2] == chosen}
        known = [key for key in sorted(self.objects) if key[:2] == chosen]
        gone = [key for i, key in enumerate(known) if not kept >> (i % 8) & 1 and key not in new]
        for key in gone:
            self._remove(key)
        for obj in new.values():
            self._put(obj)
        listed = tuple(decode(obj) for key, obj in self.objects.items() if key[:2] == chosen)
        return [Reset(TYPES[chosen].model, listed, frozenset(ObjectKey(key[2], key[3]) for key in gone))]

    def survivors(self) -> list[Event]:
        """What a controller that starts now would be told, in another order than that in which things came to be."""
        return [applied(self.good[key]) for key in sorted(self.good, reverse=True)]


def _key(obj: Object) -> tuple[str, str, str, str]:
    group, _, _ = obj["apiVersion"].rpartition("/")
    return group, obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def _means_something(obj: Object) -> bool:
    """An invalid route leaves its last valid version in force."""
    if not obj["kind"].endswith("Route"):
        return True
    resource: Resource = decode(obj)
    try:
        parse_outbound_route(resource)  # type: ignore[arg-type]
    except Invalid:
        return False
    return True
