"""A controller without sockets: indexes, mapping and services, fed with events and asked as a proxy would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grpclib.exceptions import GRPCError

from controller.grpc.gen.linkerd import inbound_pb2
from controller.grpc.inbound import InboundServerPolicies
from controller.index.inbound import KINDS, InboundIndex
from controller.indexer.actor import Indexer
from controller.indexer.publications import Publications
from controller.k8s.events import Event
from tests.golden.config import config_of
from tests.golden.plain import to_plain
from tests.golden.stream import Stream

Answer = dict[str, Any]


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
