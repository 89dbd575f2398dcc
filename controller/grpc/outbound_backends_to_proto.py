"""Where traffic goes, on the wire: a balancer over a Service's endpoints, the address it was for, or a failure.

A backend without a kind makes the proxy fail whatever is sent there; the filter beside it says how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, assert_never

import attrs

from controller.core.network import IPAddress
from controller.core.outbound import (
    Backend,
    EgressNetworkBackend,
    EgressNetworkParent,
    InvalidBackend,
    LoadBiaser,
    Parent,
    ServiceBackend,
    ServiceParent,
)
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.gen.linkerd.destination_pb2 import WeightedAddr
from controller.grpc.gen.linkerd.meta_pb2 import Metadata, Resource
from controller.grpc.gen.linkerd.net_pb2 import TcpAddress
from controller.grpc.outbound_settings_to_proto import SECOND, to_balancer, to_nanoseconds
from controller.grpc.to_proto import to_ip_address

CORE_GROUP = "core"
POLICY_GROUP = "policy.linkerd.io"

F = TypeVar("F")

_QUEUE = pb.Queue(capacity=100, failfast_timeout=to_nanoseconds(3 * SECOND))


@attrs.frozen
class Destination:
    """What backends of one policy have in common: where the traffic was going, and how names become authorities."""

    parent: Parent
    port: int
    address: IPAddress | None  # the one that was dialled, if it was one
    cluster_domain: str

    def authority(self, namespace: str, name: str, port: int) -> str:
        return f"{name}.{namespace}.svc.{self.cluster_domain}:{port}"


@attrs.frozen
class Family(Generic[F]):
    """A family of routes. Their distributions are alike on the wire, but each has messages of its own."""

    messages: Any  # the route's class, which holds the others
    to_filters: Callable[[Sequence[F]], list[Any]]
    failure: Callable[[str], Any]  # the filter that explains why a backend fails


def to_service_metadata(namespace: str, name: str, port: int) -> Metadata:
    return Metadata(resource=Resource(group=CORE_GROUP, kind="Service", name=name, namespace=namespace, port=port))


def to_egress_network_metadata(namespace: str, name: str, port: int) -> Metadata:
    return Metadata(
        resource=Resource(group=POLICY_GROUP, kind="EgressNetwork", name=name, namespace=namespace, port=port)
    )


def to_parent_metadata(parent: Parent, port: int) -> Metadata:
    match parent:
        case ServiceParent(namespace, name):
            return to_service_metadata(namespace, name, port)
        case EgressNetworkParent(namespace, name):
            return to_egress_network_metadata(namespace, name, port)
        case _:
            assert_never(parent)


def to_forward(address: IPAddress, port: int, weight: int = 1) -> WeightedAddr:
    return WeightedAddr(addr=TcpAddress(ip=to_ip_address(address), port=port), weight=weight)


def to_backend(
    metadata: Metadata, *, balancer: pb.Backend.BalanceP2c | None = None, forward: WeightedAddr | None = None
) -> pb.Backend:
    return pb.Backend(metadata=metadata, queue=_QUEUE, balancer=balancer, forward=forward)


def to_default_backend(destination: Destination, biaser: LoadBiaser | None) -> pb.Backend:
    """Where traffic goes that no route sends elsewhere."""
    metadata = to_parent_metadata(destination.parent, destination.port)
    match destination.parent:
        case ServiceParent(namespace, name):
            authority = destination.authority(namespace, name, destination.port)
            return to_backend(metadata, balancer=to_balancer(authority, biaser))
        case EgressNetworkParent():
            return to_backend(metadata, forward=_onward(destination, 1))
        case _:
            assert_never(destination.parent)


def _onward(destination: Destination, weight: int) -> WeightedAddr | None:
    return None if destination.address is None else to_forward(destination.address, destination.port, weight)


def to_first_available(family: Family[F], backend: pb.Backend) -> Any:
    """All traffic to one backend."""
    messages = family.messages
    first = messages.Distribution.FirstAvailable(backends=[messages.RouteBackend(backend=backend)])
    return messages.Distribution(first_available=first)


def to_distribution(
    family: Family[F],
    backends: tuple[Backend[F], ...],
    default: pb.Backend,
    destination: Destination,
    biaser: LoadBiaser | None,
) -> Any:
    """Traffic to the backends by weight, or all of it to the default."""
    if not backends:
        return to_first_available(family, default)
    messages = family.messages
    weighted = [
        messages.WeightedRouteBackend(
            backend=_route_backend(family, backend, destination, biaser), weight=backend.weight
        )
        for backend in backends
    ]
    return messages.Distribution(random_available=messages.Distribution.RandomAvailable(backends=weighted))


def _route_backend(family: Family[F], backend: Backend[F], destination: Destination, biaser: LoadBiaser | None) -> Any:
    match backend:
        case ServiceBackend(namespace, name, port):
            metadata = to_service_metadata(namespace, name, port)
            if not backend.exists:
                return _failing(family, metadata, f"Service not found {name}")
            balancer = to_balancer(destination.authority(namespace, name, port), biaser)
            return _serving(family, backend.filters, to_backend(metadata, balancer=balancer))
        case EgressNetworkBackend():
            return _egress_backend(family, backend, destination)
        case InvalidBackend(message):
            return _failing(family, Metadata(default="invalid"), message)
        case _:
            assert_never(backend)


def _egress_backend(family: Family[F], backend: EgressNetworkBackend[F], destination: Destination) -> Any:
    """Traffic goes on to where it was going, if that belongs to this very EgressNetwork."""
    namespace, name, parent = backend.namespace, backend.name, destination.parent
    inherited = destination.port if isinstance(parent, EgressNetworkParent) else 0
    metadata = to_egress_network_metadata(namespace, name, inherited if backend.port is None else backend.port)
    if not backend.exists:
        return _failing(family, metadata, f"EgressNetwork not found {name}")
    if not isinstance(parent, EgressNetworkParent):
        return _failing(family, metadata, "EgressNetwork backends attach to EgressNetwork parents only")
    if (parent.namespace, parent.name) != (namespace, name):
        reason = "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent"
        return _failing(family, metadata, reason)
    forward = _onward(destination, backend.weight)
    if forward is None:
        return _failing(family, metadata, "EgressNetwork can be resolved from an ip:port combo only")
    return _serving(family, backend.filters, to_backend(metadata, forward=forward))


def _serving(family: Family[F], filters: Sequence[F], backend: pb.Backend) -> Any:
    return family.messages.RouteBackend(backend=backend, filters=family.to_filters(filters))


def _failing(family: Family[F], metadata: Metadata, reason: str) -> Any:
    """What the user wanted done on the way does not matter any more."""
    return family.messages.RouteBackend(backend=to_backend(metadata), filters=[family.failure(reason)])
