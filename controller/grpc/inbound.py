"""The inbound policy API: from a proxy's question to bytes, and from a changed answer to a proxy's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import attrs
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.core.answer import Answer
from controller.core.inbound import InboundServer, PortTarget
from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.inbound_to_proto import Networks, to_server
from controller.grpc.transport import Published, Service, Unary
from controller.grpc.workload import parse_workload

SERVICE = "io.linkerd.proxy.inbound.InboundServerPolicies"
MAX_PORT = 65535

InboundAnswer: TypeAlias = Answer[InboundServer]


class InboundPolicies(Protocol):
    """Where the answers come from."""

    @property
    def ready(self) -> bool:
        """Whether everything that exists is known, so that "unknown" can be said and meant."""
        ...

    def lookup(self, target: PortTarget, /) -> InboundAnswer | None: ...

    def subscribe(
        self, target: PortTarget, observer: Callable[[InboundAnswer | None], None], /
    ) -> tuple[InboundAnswer | None, Callable[[], None]]: ...


class PolicyStream(Protocol):
    """A stream that holds one message: a newer one takes the place of one that is not written yet."""

    def publish(self, message: bytes, /) -> None: ...

    def end(self, status: Status, /) -> None:
        """End the stream after the message it holds."""
        ...


@attrs.frozen(eq=False)
class InboundServerPolicies:
    """The methods of the service. None of them waits, so none of them needs a task."""

    _policies: InboundPolicies
    # Stand in for the networks of an authorization that names none.
    _cluster_networks: Networks

    def offered(self) -> Service:
        """The service as a server takes it."""
        return Service(
            SERVICE,
            unary={"GetPort": Unary(pb.PortSpec, self.get_port)},
            published={"WatchPort": Published(pb.PortSpec, self.watch_port)},
        )

    def get_port(self, request: pb.PortSpec) -> bytes:
        """The policy of the port as of now."""
        answer = self._policies.lookup(self._target(request))
        if answer is None:
            raise _unknown_server()
        return self._encode(answer)

    def watch_port(self, request: pb.PortSpec, stream: PolicyStream) -> Callable[[], None]:
        """Send the policy of the port now and after each change; end the stream with the workload.

        The function that is returned ends the subscription. The stream's owner calls it once, however the stream ends.
        """
        watch = _Watch(stream, self._encode)
        answer, unsubscribe = self._policies.subscribe(self._target(request), watch)
        if answer is None:
            unsubscribe()
            raise _unknown_server()
        watch(answer)
        return unsubscribe

    def _target(self, request: pb.PortSpec) -> PortTarget:
        """Whom the request is about. Proxies never repeat what was called invalid, so that is said of the text only."""
        workload = parse_workload(request.workload)
        if workload is None:
            raise GRPCError(Status.INVALID_ARGUMENT, f"Invalid workload: {request.workload}")
        if not 0 < request.port <= MAX_PORT:
            raise GRPCError(Status.INVALID_ARGUMENT, f"Invalid port: {request.port}")
        if not self._policies.ready:
            raise GRPCError(Status.UNAVAILABLE, "policies are still being loaded")
        return PortTarget(workload.kind, workload.namespace, workload.name, request.port)

    def _encode(self, answer: InboundAnswer) -> bytes:
        """The answer's bytes, made once for all who get the answer."""
        if answer.wire is None:
            message = to_server(answer.value, self._cluster_networks)
            answer.wire = message.SerializeToString(deterministic=True)
        return answer.wire


@attrs.define(eq=False)
class _Watch:
    """One proxy's subscription: what it was told last, and where to tell it more."""

    _stream: PolicyStream
    _encode: Callable[[InboundAnswer], bytes]
    _last: bytes | None = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    def __call__(self, answer: InboundAnswer | None) -> None:
        if self._ended:
            return  # the workload came back before its stream was gone; the proxy asks again
        if answer is None:
            self._ended = True
            self._stream.end(Status.OK)
            return
        wire = self._encode(answer)
        # Answers may differ in what the wire does not show: a gRPC route of an HTTP/1 Server, for instance.
        if wire != self._last:
            self._last = wire
            self._stream.publish(wire)


def _unknown_server() -> GRPCError:
    return GRPCError(Status.NOT_FOUND, "unknown server")
