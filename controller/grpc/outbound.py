"""The outbound policy API: from a proxy's question to bytes, and from a changed answer to a proxy's stream."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, TypeAlias
from weakref import WeakKeyDictionary

import attrs
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from controller.core.answer import Answer
from controller.core.network import IPAddress
from controller.core.outbound import (
    AddressTarget,
    EgressFallback,
    EgressPolicy,
    OutboundAnswer,
    OutboundPolicy,
    OutboundTarget,
    ServiceTarget,
)
from controller.grpc.authority import MAX_PORT, parse_authority, parse_service_name
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.net_pb2 import TcpAddress
from controller.grpc.inbound import PolicyStream
from controller.grpc.outbound_template import WireTemplate, make_template
from controller.grpc.outbound_to_proto import OutboundDialect, to_outbound_policy
from controller.grpc.transport import Published, Service, Unary
from controller.grpc.workload import parse_workload

SERVICE = "io.linkerd.proxy.outbound.OutboundPolicies"

Told: TypeAlias = Answer[OutboundAnswer]


class OutboundPolicies(Protocol):
    """Where the answers come from."""

    @property
    def ready(self) -> bool:
        """Whether everything that exists is known, so that "unknown" can be said and meant."""
        ...

    def resolve(self, target: OutboundTarget, /) -> OutboundTarget:
        """The target that is watched for this one: a Service's address is known by the Service's name."""
        ...

    def lookup(self, target: OutboundTarget, /) -> Told | None: ...

    def subscribe(
        self, target: OutboundTarget, observer: Callable[[Told | None], None], /
    ) -> tuple[Told | None, Callable[[], None]]: ...


@attrs.define(eq=False)
class OutboundEncoder:
    """Makes the bytes of answers, each only once."""

    _dialect: OutboundDialect
    _templates: WeakKeyDictionary[Answer[OutboundPolicy], dict[int, WireTemplate | None]] = attrs.field(
        factory=WeakKeyDictionary[Answer[OutboundPolicy], "dict[int, WireTemplate | None]"], init=False
    )

    def encode(self, answer: Told) -> bytes:
        if answer.wire is None:
            answer.wire = self._encode(answer.value)
        return answer.wire

    def _encode(self, value: OutboundAnswer) -> bytes:
        match value:
            case EgressPolicy(shared, address):
                template = self._template(shared, address.version)
                return self._serialize(value) if template is None else template.fill(address)
            case EgressFallback(address, port):
                return _encode_fallback(address, port)
            case _:
                return self._serialize(value)

    def _serialize(self, value: OutboundAnswer) -> bytes:
        return to_outbound_policy(value, self._dialect).SerializeToString(deterministic=True)

    def _template(self, shared: Answer[OutboundPolicy], version: int) -> WireTemplate | None:
        templates = self._templates.setdefault(shared, {})
        if version not in templates:
            templates[version] = make_template(lambda address: self._serialize(EgressPolicy(shared, address)), version)
        return templates[version]


@lru_cache(maxsize=1024)
def _encode_fallback(address: IPAddress, port: int) -> bytes:
    """No setting shows in this answer, so its bytes are the same wherever they are made."""
    policy = to_outbound_policy(EgressFallback(address, port), OutboundDialect(cluster_domain=""))
    return policy.SerializeToString(deterministic=True)


@attrs.frozen(eq=False)
class OutboundPoliciesService:
    """The methods of the service. None of them waits, so none of them needs a task."""

    _policies: OutboundPolicies
    _cluster_domain: str
    _encoder: OutboundEncoder

    @classmethod
    def create(cls, policies: OutboundPolicies, dialect: OutboundDialect) -> OutboundPoliciesService:
        return cls(policies, dialect.cluster_domain, OutboundEncoder(dialect))

    def offered(self) -> Service:
        """The service as a server takes it."""
        return Service(
            SERVICE,
            unary={"Get": Unary(pb.TrafficSpec, self.get)},
            published={"Watch": Published(pb.TrafficSpec, self.watch)},
        )

    def get(self, request: pb.TrafficSpec) -> bytes:
        """The policy of the target as of now."""
        answer = self._policies.lookup(self._target(request))
        if answer is None:
            raise _no_such_service()
        return self._encoder.encode(answer)

    def watch(self, request: pb.TrafficSpec, stream: PolicyStream) -> Callable[[], None]:
        """Send the policy of the target now and after each change; end the stream when it means something else.

        The function that is returned ends the subscription. The stream's owner calls it once, however the stream ends.
        """
        target = self._policies.resolve(self._target(request))
        watch = _Watch(stream, self._encoder)
        answer, unsubscribe = self._policies.subscribe(target, watch)
        if answer is None:
            unsubscribe()
            raise _no_such_service()
        watch(answer)
        return unsubscribe

    def _target(self, request: pb.TrafficSpec) -> OutboundTarget:
        """What the request is about.

        Proxies never repeat what was called invalid or not found. The first is said of the text only; the second, by
        a controller that may just not know yet, never.
        """
        kind = request.WhichOneof("target")
        if kind is None:
            raise _invalid("target is required")
        workload = parse_workload(request.source_workload)
        if workload is None:
            raise _invalid(f"Invalid workload: {request.source_workload}")
        if kind == "authority":
            return self._service_target(workload.namespace, request.authority)
        target = AddressTarget(workload.namespace, _address(request.addr), request.addr.port)
        self._check_ready()
        return target

    def _service_target(self, source_namespace: str, text: str) -> ServiceTarget:
        authority = parse_authority(text)
        if authority is None:
            raise _invalid("invalid authority")
        if not authority.host:
            raise _invalid("authority must have a host")
        self._check_ready()
        service = parse_service_name(authority.host, self._cluster_domain)
        if service is None:
            form = f"<name>.<namespace>.svc.{self._cluster_domain}"
            raise GRPCError(Status.NOT_FOUND, f"authority must be of the form {form}")
        return ServiceTarget(source_namespace, service.namespace, service.name, authority.port)

    def _check_ready(self) -> None:
        if not self._policies.ready:
            raise GRPCError(Status.UNAVAILABLE, "policies are still being loaded")


def _address(address: TcpAddress) -> IPAddress:
    """The address of a request whose port is in order."""
    if address.port > MAX_PORT:
        raise _invalid("port outside valid range")
    if address.port == 0:
        raise _invalid("port cannot be zero")
    if not address.HasField("ip"):
        raise _invalid("traffic target must have an IP")
    match address.ip.WhichOneof("ip"):
        case "ipv4":
            return IPv4Address(address.ip.ipv4)
        case "ipv6":
            return IPv6Address(address.ip.ipv6.first << 64 | address.ip.ipv6.last)
        case _:
            raise _invalid("failed to parse target addr: invalid IP address")


@attrs.define(eq=False)
class _Watch:
    """One proxy's subscription.

    Every answer is sent, also one whose bytes are those of the last: the policy has changed, in a part of which its
    protocol makes no use, and upstream's tests count messages.
    """

    _stream: PolicyStream
    _encoder: OutboundEncoder
    _ended: bool = attrs.field(default=False, init=False)

    def __call__(self, answer: Told | None) -> None:
        if self._ended:
            return  # somebody else asked about the target again before this stream was gone
        if answer is None:
            self._ended = True
            self._stream.end(Status.OK)
        else:
            self._stream.publish(self._encoder.encode(answer))


def _invalid(message: str) -> GRPCError:
    return GRPCError(Status.INVALID_ARGUMENT, message)


def _no_such_service() -> GRPCError:
    return GRPCError(Status.NOT_FOUND, "No such service")
