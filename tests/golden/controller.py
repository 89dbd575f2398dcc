"""A controller without sockets: indexes, mapping and services, fed with events and asked as a proxy would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
from controller.index.inbound import KINDS, InboundIndex
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.core.cluster import ClusterConfig
from controller.grpc.gen.linkerd import inbound_pb2
from controller.grpc.inbound import InboundServerPolicies
from controller.index.parse.cidr import parse_nets
from controller.index.parse.defaults import parse_default_policy
from controller.index.parse.ports import parse_port_set
from controller.indexer.actor import Indexer
from controller.indexer.publications import Publications
from controller.k8s.events import Event
from tests.golden.plain import to_plain

Answer = dict[str, Any]
_PARSERS: dict[str, Callable[[str], object]] = {
    "cluster-networks": parse_nets,
    "probe-networks": parse_nets,
    "default-policy": parse_default_policy,
    "default-opaque-ports": parse_port_set,
}


def config_of(arguments: Sequence[str]) -> ClusterConfig:
    """The settings that the controller's flags mean."""
    values: dict[str, Any] = {}
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        values[name.replace("-", "_")] = _PARSERS.get(name, str)(text) if equals else True
    return ClusterConfig(**values)


@attrs.define(eq=False)
class Stream:
    """What a proxy would have got on a watch: its latest message, or how it ended."""

    message: bytes | None = None
    ended: Status | None = None

    def publish(self, message: bytes) -> None:
        self.message = message

    def end(self, status: Status) -> None:
        self.ended = status


class Ready:
    """Publications of an index that knows everything."""

    ready = True

    def __init__(self, publications: Publications[Any, Any]) -> None:
        self.lookup = publications.lookup
        self.subscribe = publications.subscribe


class Controller:
    def __init__(self, arguments: Sequence[str]) -> None:
        config = config_of(arguments)
        inbound = Publications[Any, Any](InboundIndex(config))
        self.indexer = Indexer(((KINDS, inbound),), lambda _: None)
        self.inbound = InboundServerPolicies(Ready(inbound), config.cluster_networks)

    def apply(self, events: Sequence[Event]) -> None:
        if events:
            self.indexer.apply(events)

    def get(self, question: dict[str, Any]) -> Answer:
        """The answer to a unary question."""
        try:
            return {"ok": to_plain(inbound_pb2.Server.FromString(self.inbound.get_port(_port_spec(question["in"]))))}
        except GRPCError as error:
            return {"code": error.status.name}

    def watch(self, question: dict[str, Any]) -> Callable[[], Answer]:
        """Open a stream; the result says what it shows by now."""
        stream = Stream()
        try:
            self.inbound.watch_port(_port_spec(question["in"]), stream)
        except GRPCError as error:
            stream.ended = error.status
        return lambda: self._shown(stream)

    def _shown(self, stream: Stream) -> Answer:
        if stream.ended is not None:
            return {"ended": stream.ended.name}
        assert stream.message is not None
        return {"ok": to_plain(inbound_pb2.Server.FromString(stream.message))}


def _port_spec(ask: dict[str, Any]) -> inbound_pb2.PortSpec:
    return inbound_pb2.PortSpec(workload=ask["workload"], port=ask["port"])
