"""The outbound half without sockets: index, mapping and service, fed with events and asked as a proxy would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from grpclib.exceptions import GRPCError

from controller.core.outbound import OutboundTarget
from controller.grpc.gen.linkerd import net_pb2
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.outbound import OutboundPoliciesService
from controller.grpc.outbound_to_proto import OutboundDialect
from controller.index.outbound.index import OutboundIndex
from controller.index.outbound.world import OUTBOUND_KINDS
from controller.indexer.actor import Indexer
from controller.indexer.publications import Publications
from controller.k8s.events import Event
from tests.golden.config import config_of
from tests.golden.plain import to_plain
from tests.golden.stream import Stream

Answer = dict[str, Any]


class Policies:
    """Publications of an index that knows everything."""

    ready = True

    def __init__(self, index: OutboundIndex, publications: Publications[OutboundTarget, Any]) -> None:
        self.resolve = index.resolve
        self.lookup = publications.lookup
        self.subscribe = publications.subscribe


class OutboundController:
    def __init__(self, arguments: Sequence[str]) -> None:
        config = config_of(arguments)
        index = OutboundIndex(config)
        publications = Publications[OutboundTarget, Any](index)
        self._indexer = Indexer(((OUTBOUND_KINDS, publications),), lambda _: None)
        dialect = OutboundDialect(config.cluster_domain, config.allow_l5d_request_headers)
        self._service = OutboundPoliciesService.create(Policies(index, publications), dialect)

    def apply(self, events: Sequence[Event]) -> None:
        if events:
            self._indexer.apply(events)

    def get(self, question: dict[str, Any]) -> Answer:
        """The answer to a unary question."""
        try:
            return {"ok": to_plain(pb.OutboundPolicy.FromString(self._service.get(_traffic_spec(question["out"]))))}
        except GRPCError as error:
            return {"code": error.status.name}

    def watch(self, question: dict[str, Any]) -> Callable[[], Answer]:
        """Open a stream; the result says what it shows by now."""
        stream = Stream()
        try:
            self._service.watch(_traffic_spec(question["out"]), stream)
        except GRPCError as error:
            stream.ended = error.status
        return lambda: _shown(stream)


def _shown(stream: Stream) -> Answer:
    if stream.ended is not None:
        return {"ended": stream.ended.name}
    assert stream.message is not None
    return {"ok": to_plain(pb.OutboundPolicy.FromString(stream.message))}


def _traffic_spec(ask: dict[str, Any]) -> pb.TrafficSpec:
    spec = pb.TrafficSpec(source_workload=ask["source"])
    if "authority" in ask:
        spec.authority = ask["authority"]
    elif "ip" in ask or "port" in ask:
        spec.addr.CopyFrom(net_pb2.TcpAddress(ip=_ip(ask.get("ip")), port=ask.get("port", 0)))
    return spec


def _ip(text: str | None) -> net_pb2.IPAddress | None:
    """`None`: there is none; empty: there is one without anything in it."""
    if not text:
        return None if text is None else net_pb2.IPAddress()
    number = int(address := ip_address(text))
    if isinstance(address, IPv6Address):
        return net_pb2.IPAddress(ipv6=net_pb2.IPv6(first=number >> 64, last=number & (2**64 - 1)))
    return net_pb2.IPAddress(ipv4=number)
