"""The outbound half of a controller without sockets: told by events, asked as proxies ask."""

from __future__ import annotations

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
from controller.k8s.events import Event, Reset
from controller.k8s.meta import ObjectKey, Resource
from tests.destinations import Object, applied, decode, deleted


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
