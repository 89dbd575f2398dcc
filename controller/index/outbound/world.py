"""What exists, and what each event may have changed by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import attrs

from controller.core.cluster import ClusterConfig
from controller.core.network import IPAddress
from controller.core.outbound import (
    EgressFallback,
    EgressNetworkParent,
    OutboundTarget,
    ServiceParent,
    ServiceTarget,
    UndefinedPort,
)
from controller.core.ports import PortSet
from controller.index.outbound.egress import EgressNetworkTable
from controller.index.outbound.entries import Place, PortKey, PortState
from controller.index.outbound.routes import AttachedRoute, RouteId, RouteTable
from controller.index.outbound.services import ServiceTable
from controller.index.parse.destinations import (
    EgressNetworkForm,
    ServiceForm,
    parse_egress_network,
    parse_service,
)
from controller.index.parse.invalid import Invalid
from controller.index.parse.outbound_routes import ROUTE_PARSERS, RouteResource, parse_outbound_route
from controller.index.parse.parents import Attachment, ParentKey, ParentKind, parse_attachments
from controller.k8s.builtin import Service
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.policy import EgressNetwork

OUTBOUND_KINDS: frozenset[type[Resource]] = frozenset((Service, EgressNetwork, *ROUTE_PARSERS))


@attrs.define
class Marks:
    """What a batch of events may have changed; what is not in here has not changed."""

    ports: set[Attachment] = attrs.field(factory=set[Attachment], init=False)
    addresses: set[IPAddress] = attrs.field(factory=set[IPAddress], init=False)
    # Callers of these namespaces may find other EgressNetworks behind addresses.
    callers: set[str] = attrs.field(factory=set[str], init=False)
    # Services and EgressNetworks that have come or gone.
    backends: set[ParentKey] = attrs.field(factory=set[ParentKey], init=False)

    def __bool__(self) -> bool:
        return bool(self.ports or self.addresses or self.callers or self.backends)


class OutboundWorld:
    """The tables, and what they say together."""

    def __init__(self, config: ClusterConfig) -> None:
        self._cluster_networks = config.cluster_networks
        self._default_opaque_ports = PortSet.of((port, port) for port in config.default_opaque_ports)
        self._services = ServiceTable()
        self._egress_networks = EgressNetworkTable.create(
            config.global_egress_network_namespace, config.cluster_networks
        )
        self._routes = RouteTable(self._exists)

    def apply(self, events: Sequence[Event]) -> Marks:
        """Take events in, and say what they may have changed."""
        marks = Marks()
        for event in events:
            match event:
                case Applied(resource):
                    self._put(resource, marks)
                case Deleted(kind, key):
                    self._discard(kind, key, marks)
                case Reset(kind, resources, removed):
                    for key in removed:
                        self._discard(kind, key, marks)
                    for resource in resources:
                        self._put(resource, marks)
                case _:
                    assert_never(event)
        for backend in marks.backends:
            marks.ports.update(self._routes.refresh(backend))
        return marks

    def _put(self, resource: Resource, marks: Marks) -> None:
        """Take an object in. One that is invalid counts as not seen: the last good one stays in force."""
        try:
            match resource:
                case Service():
                    self._set_service(resource.key, parse_service(resource, self._default_opaque_ports), marks)
                case EgressNetwork():
                    form = parse_egress_network(resource, self._default_opaque_ports)
                    self._set_egress_network(resource.key, form, marks)
                case PolicyHTTPRoute() | GatewayHTTPRoute() | GRPCRoute() | TLSRoute() | TCPRoute():
                    self._put_route(resource, marks)
                case _:
                    pass  # another index's
        except Invalid:
            pass

    def _discard(self, kind: type[Resource], key: ObjectKey, marks: Marks) -> None:
        if kind is Service:
            self._set_service(key, None, marks)
        elif kind is EgressNetwork:
            self._set_egress_network(key, None, marks)
        else:
            marks.ports |= self._routes.discard(RouteId(kind, *key))

    def _set_service(self, key: ObjectKey, form: ServiceForm | None, marks: Marks) -> None:
        old = self._services.get(key)
        if old == form:
            return
        self._services.put(key, form)
        parent = ParentKey(ParentKind.SERVICE, *key)
        if old is None or form is None:
            marks.backends.add(parent)
        if old is None or form is None or old.traffic != form.traffic:
            marks.ports.add(Attachment(parent, None))
        for service in (old, form):
            if service is not None:
                marks.addresses |= service.addresses

    def _set_egress_network(self, key: ObjectKey, form: EgressNetworkForm | None, marks: Marks) -> None:
        old = self._egress_networks.get(key)
        if old == form:
            return
        self._egress_networks.put(key, form)
        parent = ParentKey(ParentKind.EGRESS_NETWORK, *key)
        marks.ports.add(Attachment(parent, None))
        if old is None or form is None:
            marks.backends.add(parent)
        if old is None or form is None or (old.networks, old.created) != (form.networks, form.created):
            marks.callers.add(key.namespace)

    def _put_route(self, resource: RouteResource, marks: Marks) -> None:
        route_id = RouteId(type(resource), *resource.key)
        attachments = parse_attachments(resource.metadata.namespace, resource.spec.parent_refs, resource.status)
        if attachments or route_id in self._routes:  # most routes of the inbound side end here
            marks.ports |= self._routes.put(route_id, attachments, parse_outbound_route(resource))

    def _exists(self, key: ParentKey) -> bool:
        return self._form(key) is not None

    def _form(self, parent: ParentKey) -> ServiceForm | EgressNetworkForm | None:
        key = ObjectKey(parent.namespace, parent.name)
        return self._services.get(key) if parent.kind is ParentKind.SERVICE else self._egress_networks.get(key)

    def place(self, target: OutboundTarget) -> Place | None:
        """What stands behind a target now."""
        if isinstance(target, ServiceTarget):
            return PortKey(ParentKey(ParentKind.SERVICE, target.namespace, target.name), target.port)
        service = self._services.at(target.address)
        if service is not None:
            form = self._services.get(service)
            if form is not None and target.port in form.ports:
                return PortKey(ParentKey(ParentKind.SERVICE, *service), target.port)
            return UndefinedPort(ServiceParent(*service), target.port)
        network = self._egress_networks.at(target.address, target.source_namespace)
        if network is not None:
            return PortKey(ParentKey(ParentKind.EGRESS_NETWORK, *network), target.port)
        if any(net.contains(target.address) for net in self._cluster_networks):
            return None
        return EgressFallback(target.address, target.port)

    def state(self, key: PortKey) -> PortState | None:
        """What is known of a port apart from its routes; `None` if its parent does not exist."""
        parent = key.parent
        match self._form(parent):
            case ServiceForm() as form:
                return PortState(ServiceParent(parent.namespace, parent.name), form.traffic.at(key.port))
            case EgressNetworkForm() as form:
                network = EgressNetworkParent(parent.namespace, parent.name, form.traffic_policy)
                return PortState(network, form.traffic.at(key.port))
            case _:
                return None

    def routes(self, key: PortKey) -> Sequence[AttachedRoute]:
        """The routes at a port, in order."""
        return self._routes.at(key.parent, key.port)

    def every_route(self) -> Iterator[AttachedRoute]:
        """All routes, looked at anew."""
        return self._routes.every()

    @property
    def addresses(self) -> int:
        """How many addresses belong to Services."""
        return self._services.addresses

    @property
    def destinations(self) -> int:
        """How many Services and EgressNetworks exist."""
        return len(self._services) + len(self._egress_networks)

    @property
    def portless_http(self) -> Mapping[str, int]:
        """Per namespace, how many Services have an HTTPRoute for all of their ports."""
        return self._routes.portless_http()
