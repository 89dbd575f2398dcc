"""Worlds in which collisions are likely: few names, few labels, few ports, many kinds of policy about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import attrs
from hypothesis import strategies as st

from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.core.inbound import PortTarget, WorkloadKind
from controller.index.inbound import KINDS
from controller.index.inbound.kinds import ROWS
from controller.index.inbound.resources import Resources
from controller.index.parse.cidr import parse_net
from controller.index.parse.invalid import Invalid
from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import Server
from controller.k8s.workload import ExternalWorkload
from tests import builders as b

CLUSTER = ClusterConfig(
    cluster_networks=(parse_net("192.0.2.0/24"),),
    probe_networks=(parse_net("0.0.0.0/0"),),
    default_policy=DefaultPolicy.CLUSTER_UNAUTHENTICATED,
)

NAMESPACES = ("ns-0", "ns-1")
PORTS = (8080, 9090)
LABELS = ({"app": "a"}, {"app": "b", "hash": "1"}, {"app": "a", "tier": "x"})
SELECTORS = (
    b.selector({"app": "a"}),
    b.selector({"app": "b"}),
    b.selector({"tier": "x"}),
    b.selector(),
    b.selector(None, ("app", "In", ["a", "b"])),
    b.selector(None, ("app", "NotIn", ["a"])),
    b.selector(None, ("tier", "Exists", None)),
    b.selector(None, ("tier", "DoesNotExist", None)),
)
SERVERS = ("s0", "s1")

TARGETS = tuple(
    PortTarget(kind, namespace, name, port)
    for kind, namespace, name, port in product(WorkloadKind, NAMESPACES, ("w0", "w1"), PORTS)
    if kind is WorkloadKind.POD or (namespace, name) == ("ns-0", "w0")
)


def _pods(ns: str) -> Iterator[Resource]:
    plain: Mapping[str, str] = {}
    shapes: tuple[tuple[tuple[b.Object, ...], Mapping[str, str]], ...] = (
        ((b.container(b.port("http", 8080), live=(8080, "/live")),), plain),
        ((b.container(b.port("http", 8080), b.port("http", 9090), live=("http", "/x"), ready=(9090, "/y")),), plain),
        ((), {"default-inbound-policy": "deny", "opaque-ports": "8080"}),
        ((), {"proxy-require-identity-inbound-ports": "9090"}),
    )
    for name, labels, (containers, settings) in product(("w0", "w1"), LABELS, shapes):
        yield b.pod(name, *containers, namespace=ns, labels=labels, annotations=settings)


def _external_workloads(ns: str) -> Iterator[Resource]:
    for labels, number in product(LABELS, PORTS):
        yield b.external_workload("w0", ("http", number), namespace=ns, labels=labels)


def _servers(ns: str) -> Iterator[Resource]:
    more: tuple[dict[str, object], ...] = (
        {"created": 1},
        {"created": 2, "protocol": "gRPC"},
        {"created": None, "access": "audit"},
        {"created": 1, "labels": {"app": "a"}},
    )
    for name, port, selects, rest in product(SERVERS, (8080, "http"), SELECTORS, more):
        yield b.server(name, port, namespace=ns, selects=selects, **rest)  # type: ignore[arg-type]  # of its keywords
    for name in SERVERS:
        yield b.server(name, "http", namespace=ns, selects_external=b.selector({"app": "a"}))


def _server_authorizations(ns: str) -> Iterator[Resource]:
    for name, net in product(("g0", "g1"), ("10.0.0.0/8", "fd00::1")):
        nets = [b.network(net)]
        for server in SERVERS:
            yield b.server_authorization(name, namespace=ns, server=server, unauthenticated=True, networks=nets)
        yield b.server_authorization(name, namespace=ns, selects=b.selector({"app": "a"}), unauthenticated=True)
        yield b.server_authorization(name, namespace=ns, mesh_tls={"identities": ["*"]}, networks=nets)
    yield b.server_authorization("g0", namespace=ns)  # invalid


def _policies(ns: str) -> Iterator[Resource]:
    targets = (
        *[b.ref("Server", name) for name in SERVERS],
        b.ref("Namespace", ns),
        b.ref("HTTPRoute", "r0"),
        b.ref("HTTPRoute", "R0", group=b.GATEWAY),
        b.ref("GRPCRoute", "r0", group=b.GATEWAY),
    )
    requirements = (
        (),
        (b.ref("MeshTLSAuthentication", "m0"),),
        (b.ref("NetworkAuthentication", "n0", namespace="ns-0"),),
        (b.ref("NetworkAuthentication", "n0"), b.ref("MeshTLSAuthentication", "m0", namespace="ns-0")),
    )
    for name, target, refs in product(("p0", "p1"), targets, requirements):
        yield b.authorization_policy(name, target, *refs, namespace=ns)
    two = b.ref("ServiceAccount", "a"), b.ref("MeshTLSAuthentication", "m0")
    yield b.authorization_policy("p0", b.ref("Namespace", ns), *two, namespace=ns)  # contradictory
    yield b.authorization_policy(
        "p0", b.ref("Namespace", ns), b.ref("Secret", "a", group="core"), namespace=ns
    )  # invalid


def _authentications(ns: str) -> Iterator[Resource]:
    yield b.mesh_tls("m0", "*", namespace=ns)
    yield b.mesh_tls("m0", "x.example", namespace=ns)
    yield b.mesh_tls("m0", namespace=ns)  # invalid
    yield b.network_authentication("n0", "10.0.0.0/8", namespace=ns)
    yield b.network_authentication("n0", b.network("10.0.0.0/8", "10.1.0.0/16"), namespace=ns)
    yield b.network_authentication("n0", namespace=ns)  # invalid


def _rate_limits(ns: str) -> Iterator[Resource]:
    for name, server, accepted in product(("l0", "l1"), SERVERS, ("True", "False")):
        yield b.rate_limit(name, server, namespace=ns, total=1, accepted=accepted, created=None)
    yield b.rate_limit("l0", "s0", namespace=ns, identity=2)
    yield b.rate_limit("l0", namespace=ns, target=b.ref("Namespace", "x"))  # invalid


def _routes(ns: str) -> Iterator[Resource]:
    for name, servers in product(("r0", "r1"), (["s0"], ["s0", "s1"])):
        yield b.http_route(name, namespace=ns, accepted_by=servers)
        yield b.http_route(name, group=b.GATEWAY, namespace=ns, accepted_by=servers, created=None)
        yield b.grpc_route(name, namespace=ns, accepted_by=servers)
        yield b.http_route(name, b.rule(b.path("/bar")), namespace=ns, accepted_by=servers)
        yield b.http_route(name, b.rule(b.path("relative")), namespace=ns, accepted_by=servers)  # invalid
        yield b.http_route(name, namespace=ns, parents=[b.parent(servers[0])], accepted_by=None)
    yield b.http_route("r0", namespace=ns, parents=[b.parent("web", group=None, kind="Service")])
    yield b.http_route("r0", namespace=ns, parents=[b.parent("s0", port=1)])  # invalid


_MAKERS = (
    _pods, _external_workloads, _servers, _server_authorizations, _policies, _authentications, _rate_limits, _routes,
)  # fmt: skip


def _by_kind(*namespaces: str) -> dict[type[Resource], list[Resource]]:
    found: dict[type[Resource], list[Resource]] = {}
    for maker, namespace in product(_MAKERS, namespaces):
        for resource in maker(namespace):
            found.setdefault(type(resource), []).append(resource)
    return found


RESOURCES = _by_kind("ns-0")  # where things meet
ELSEWHERE = _by_kind("ns-1")
assert RESOURCES.keys() == KINDS


@attrs.frozen
class List:
    """A completed list of a kind. What is removed depends on what there was before."""

    kind: type[Resource]
    resources: tuple[Resource, ...]


Step = Applied[Resource] | Deleted[Resource] | List


def _one_of(kind: type[Resource]) -> st.SearchStrategy[Resource]:
    here = st.sampled_from(RESOURCES[kind])
    return st.one_of(here, here, here, st.sampled_from(ELSEWHERE[kind]))


_resources = st.sampled_from([*KINDS, Pod, Pod, Server, Server]).flatmap(_one_of)
_applied: st.SearchStrategy[Step] = _resources.map(Applied)
_deleted: st.SearchStrategy[Step] = _resources.map(lambda resource: Deleted(type(resource), resource.key))


def _listed(kind: type[Resource]) -> st.SearchStrategy[Step]:
    resources = st.lists(_one_of(kind), max_size=3, unique_by=lambda resource: resource.key)
    return resources.map(lambda found: List(kind, tuple(found)))


steps = st.one_of(_applied, _applied, _applied, _deleted, st.sampled_from([*KINDS]).flatmap(_listed))
batches = st.lists(steps, min_size=1, max_size=3)


def _beginning() -> st.SearchStrategy[list[Step]]:
    """Enough of everything that most of what comes later matters to somebody."""
    kinds = [Pod, Pod, Server, Server, *KINDS]
    return st.tuples(*[st.sampled_from(RESOURCES[kind]).map(Applied) for kind in kinds]).map(list)


histories = st.tuples(_beginning(), st.lists(batches, max_size=8)).map(lambda parts: [parts[0], *parts[1]])


@attrs.define(eq=False)
class Survivors:
    """What is left of a history: of each object the last form that meant something."""

    left: dict[tuple[type[Resource], ObjectKey], Resource] = attrs.field(factory=dict, init=False)
    _seen: set[tuple[type[Resource], ObjectKey]] = attrs.field(factory=set, init=False)
    ended: set[tuple[type[Resource], ObjectKey]] = attrs.field(factory=set, init=False)

    def events(self, batch: list[Step]) -> list[Event]:
        """The events of a batch; notes what they leave behind, and in `ended` which objects went meanwhile."""
        self.ended.clear()
        return [self._event(step) for step in batch]

    def _event(self, step: Step) -> Event:
        if isinstance(step, Applied):
            self._apply(step.resource)
            return step
        if isinstance(step, Deleted):
            self._remove((step.kind, step.key))
            return step
        listed = {(step.kind, resource.key) for resource in step.resources}
        removed = {known for known in self._seen if known[0] is step.kind} - listed
        for resource in step.resources:
            self._apply(resource)
        for known in removed:
            self._remove(known)
        return Reset(step.kind, step.resources, frozenset(key for _, key in removed))

    def _apply(self, resource: Resource) -> None:
        known = type(resource), resource.key
        self._seen.add(known)
        try:
            ROWS[type(resource)].parse(Resources(CLUSTER), resource)
        except Invalid:
            return
        self.left[known] = resource

    def _remove(self, known: tuple[type[Resource], ObjectKey]) -> None:
        self._seen.discard(known)
        self.left.pop(known, None)
        self.ended.add(known)


def workload_of(target: PortTarget) -> tuple[type[Resource], ObjectKey]:
    kind: type[Resource] = Pod if target.kind is WorkloadKind.POD else ExternalWorkload
    return kind, ObjectKey(target.namespace, target.name)
