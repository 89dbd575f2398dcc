"""Services, EgressNetworks and routes as users write them, and the outbound half of a controller without sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

import attrs
import msgspec
from grpclib.const import Status

from controller.core.answer import Answer
from controller.core.cluster import ClusterConfig
from controller.core.outbound import OutboundTarget
from controller.grpc.gen.linkerd import net_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.outbound import OutboundPoliciesService
from controller.grpc.outbound_to_proto import OutboundDialect
from controller.index.outbound.index import OutboundIndex
from controller.index.outbound.world import OUTBOUND_KINDS
from controller.indexer.actor import Indexer
from controller.indexer.publications import Publications
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType

Object = dict[str, Any]

CORE, POLICY, GATEWAY = "", "policy.linkerd.io", "gateway.networking.k8s.io"
LONG_AGO = "2020-01-01T00:00:00Z"
TYPES: dict[tuple[str, str], ResourceType[Resource]] = {
    (kind.resource.group, kind.resource.kind): kind.resource for kind in WATCHED
}

# The five kinds of routes, by the letters that scenarios use.
ROUTES: dict[str, tuple[str, str]] = {
    "G": (GATEWAY, "HTTPRoute"),
    "L": (POLICY, "HTTPRoute"),
    "R": (GATEWAY, "GRPCRoute"),
    "T": (GATEWAY, "TLSRoute"),
    "C": (GATEWAY, "TCPRoute"),
}


def manifest(group: str, kind: str, name: str, namespace: str, spec: Object, **metadata: Any) -> Object:
    kept = {key: value for key, value in metadata.items() if value is not None}
    version = TYPES[group, kind].api_version
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **kept},
        "spec": spec,
    }


def service(
    name: str = "my-svc",
    namespace: str = "ns",
    *,
    ips: Sequence[str] = ("10.96.0.1",),
    ports: Sequence[int | Object] = (4191, 9999),
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
) -> Object:
    listed = [{"port": port} if isinstance(port, int) else port for port in ports]
    spec = {"clusterIP": (list(ips) or ["None"])[0], "clusterIPs": list(ips), "ports": listed, "type": "ClusterIP"}
    return manifest(CORE, "Service", name, namespace, spec, annotations=annotations, creationTimestamp=created)


def egress_network(
    name: str = "my-egress",
    namespace: str = "ns",
    *,
    policy: str = "Allow",
    networks: Sequence[Object] | None = None,
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
    status: Object | None = None,
) -> Object:
    spec: Object = {"trafficPolicy": policy}
    if networks is not None:
        spec["networks"] = list(networks)
    made = manifest(POLICY, "EgressNetwork", name, namespace, spec, annotations=annotations, creationTimestamp=created)
    return made if status is None else {**made, "status": status}


def service_ref(name: str = "my-svc", **more: Any) -> Object:
    """A reference to a Service, as parent or backend; `None` leaves a field out."""
    return _without_none({"group": "core", "kind": "Service", "name": name, **more})


def egress_ref(name: str = "my-egress", **more: Any) -> Object:
    """A reference to an EgressNetwork, as parent or backend; `None` leaves a field out."""
    return _without_none({"group": POLICY, "kind": "EgressNetwork", "name": name, **more})


def _without_none(fields: Object) -> Object:
    return {key: value for key, value in fields.items() if value is not None}


def route(
    letter: str,
    name: str = "foo-route",
    namespace: str = "ns",
    *,
    parents: Sequence[Object] = (),
    rules: Sequence[Object] | None = None,
    backends: Sequence[Object] | None = None,
    hostnames: Sequence[str] | None = None,
    annotations: dict[str, str] | None = None,
    created: str | None = LONG_AGO,
    accepted: Sequence[Object] | None = None,
    controller: str = "linkerd.io/policy-controller",
) -> Object:
    """A route of a kind. Unless said otherwise it has one rule, and its status accepts every parent."""
    group, kind = ROUTES[letter]
    if rules is None:
        rules = [rule(letter, backends or ())]
    spec: Object = {"parentRefs": list(parents), "rules": list(rules)}
    if letter == "T":
        spec["hostnames"] = list(hostnames or ())
    elif hostnames is not None:
        spec["hostnames"] = list(hostnames)
    made = manifest(group, kind, name, namespace, spec, annotations=annotations, creationTimestamp=created)
    entries = parents if accepted is None else accepted
    made["status"] = {"parents": [status_entry(parent, controller=controller) for parent in entries]}
    return made


def rule(letter: str, backends: Sequence[Object] = (), **more: Any) -> Object:
    """A rule as the API server would store it, with what it defaults."""
    made: Object = {"backendRefs": list(backends)} if backends or letter in "TC" else {}
    if letter in "GL":
        made["matches"] = [{"path": {"type": "PathPrefix", "value": "/"}}]
    return {**made, **more}


def status_entry(
    parent: Object, *, accepted: str | None = "True", controller: str = "linkerd.io/policy-controller", **others: str
) -> Object:
    """What a controller says about a route and a parent."""
    conditions = {"Accepted": accepted, **others}
    return {
        "parentRef": parent,
        "controllerName": controller,
        "conditions": [
            {"type": name, "status": status, "lastTransitionTime": LONG_AGO, "reason": "", "message": ""}
            for name, status in conditions.items()
            if status is not None
        ],
    }


def decode(obj: Object) -> Resource:
    group, _, _ = obj["apiVersion"].rpartition("/")
    return TYPES[group, obj["kind"]].decode(json.dumps(obj).encode())


def applied(obj: Object) -> Event:
    return Applied(decode(obj))


def deleted(obj: Object) -> Event:
    group, _, _ = obj["apiVersion"].rpartition("/")
    metadata = obj["metadata"]
    return Deleted(TYPES[group, obj["kind"]].model, ObjectKey(metadata["namespace"], metadata["name"]))


@attrs.define(eq=False)
class Stream:
    """Everything a proxy would have got on a watch."""

    messages: list[pb.OutboundPolicy] = attrs.field(factory=list[pb.OutboundPolicy], init=False)
    wire: list[bytes] = attrs.field(factory=list[bytes], init=False)
    ended: Status | None = None
    close: Callable[[], None] = attrs.field(default=lambda: None, init=False)
    _seen: int = attrs.field(default=0, init=False)

    def publish(self, message: bytes) -> None:
        assert self.ended is None, "a message after the end"
        self.wire.append(message)
        self.messages.append(pb.OutboundPolicy.FromString(message))

    def end(self, status: Status) -> None:
        assert self.ended is None, "a second end"
        self.ended = status

    def update(self) -> pb.OutboundPolicy:
        """The one message that came since the last look."""
        (message,) = self.messages[self._seen :]
        self._seen = len(self.messages)
        return message

    @property
    def quiet(self) -> bool:
        """Whether nothing came since the last look, nor the end."""
        return len(self.messages) == self._seen and self.ended is None


@attrs.define(eq=False)
class Policies:
    """Where the service gets its answers; `ready` is for tests to change."""

    index: OutboundIndex
    publications: Publications[OutboundTarget, Any]
    ready: bool = True

    def resolve(self, target: OutboundTarget) -> OutboundTarget:
        return self.index.resolve(target)

    def lookup(self, target: OutboundTarget) -> Answer[Any] | None:
        return self.publications.lookup(target)

    def subscribe(
        self, target: OutboundTarget, observer: Callable[[Answer[Any] | None], None]
    ) -> tuple[Answer[Any] | None, Callable[[], None]]:
        return self.publications.subscribe(target, observer)


class Controller:
    """Index, publications and service, told by events and asked as proxies ask."""

    def __init__(self, *objects: Object, config: ClusterConfig | None = None) -> None:
        config = config or ClusterConfig()
        self.index = OutboundIndex(config)
        self.publications = Publications[OutboundTarget, Any](self.index)
        self.policies = Policies(self.index, self.publications)
        self._indexer = Indexer(((OUTBOUND_KINDS, self.publications),), lambda _: None)
        dialect = OutboundDialect(config.cluster_domain, config.allow_l5d_request_headers)
        self.service = OutboundPoliciesService.create(self.policies, dialect)
        self.apply(*objects)

    def apply(self, *objects: Object) -> None:
        """All at once. What does not decode is left out, as the reflector leaves it out."""
        events = list[Event]()
        for obj in objects:
            try:
                events.append(applied(obj))
            except msgspec.DecodeError:
                continue
        if events:
            self._indexer.apply(events)

    def delete(self, *objects: Object) -> None:
        self._indexer.apply([deleted(obj) for obj in objects])

    def relist(self, kind: type[Resource], *objects: Object, removed: Sequence[ObjectKey] = ()) -> None:
        self._indexer.apply([Reset(kind, tuple(map(decode, objects)), frozenset(removed))])

    def get(self, target: str | pb.TrafficSpec, source: str = "ns:client") -> pb.OutboundPolicy:
        return pb.OutboundPolicy.FromString(self.service.get(spec(target, source)))

    def watch(self, target: str | pb.TrafficSpec, source: str = "ns:client") -> Stream:
        """Open a stream. Its first message counts as an update."""
        stream = Stream()
        stream.close = self.service.watch(spec(target, source), stream)
        return stream


def spec(target: str | pb.TrafficSpec, source: str = "ns:client") -> pb.TrafficSpec:
    """A request; `10.0.0.1:80` and `[::1]:80` are addresses, anything else is an authority."""
    if isinstance(target, pb.TrafficSpec):
        return target
    host, colon, port = target.rpartition(":")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return pb.TrafficSpec(source_workload=source, authority=target)
    assert colon
    return pb.TrafficSpec(source_workload=source, addr=net_pb2.TcpAddress(ip=to_ip(str(address)), port=int(port)))


def to_ip(text: str) -> net_pb2.IPAddress:
    address = ip_address(text)
    number = int(address)
    if isinstance(address, IPv6Address):
        return net_pb2.IPAddress(ipv6=net_pb2.IPv6(first=number >> 64, last=number & (2**64 - 1)))
    return net_pb2.IPAddress(ipv4=number)
