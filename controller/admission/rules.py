"""Which rules hold for which kind: a row per kind.

A rule is a generator function over one resource that could be decoded. It knows nothing of other resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from controller.admission import rules_clients as clients
from controller.admission import rules_networks as networks
from controller.admission import rules_routes as routes
from controller.admission import rules_servers as servers
from controller.admission import rules_support as support
from controller.admission.findings import Finding
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import Resource
from controller.k8s.policy import (
    AuthorizationPolicy,
    EgressNetwork,
    HTTPLocalRateLimitPolicy,
    MeshTLSAuthentication,
    NetworkAuthentication,
    Server,
    ServerAuthorization,
)

Rule: TypeAlias = Callable[[Any], Iterable[Finding]]

RULES: Mapping[type[Resource], tuple[Rule, ...]] = {
    AuthorizationPolicy: (
        clients.target_is_supported,
        clients.target_namespace_is_own,
        clients.authentications_can_be_met,
    ),
    EgressNetwork: (networks.egress_has_networks, networks.egress_exceptions_fit),
    HTTPLocalRateLimitPolicy: (
        servers.limit_is_for_a_server,
        servers.limits_are_positive,
        servers.limits_are_within_total,
        servers.limited_clients_are_supported,
    ),
    MeshTLSAuthentication: (clients.identities_are_well_formed, clients.identity_refs_are_supported),
    NetworkAuthentication: (networks.authentication_has_networks, networks.authentication_exceptions_fit),
    Server: (servers.access_policy_is_known,),
    ServerAuthorization: (clients.client_is_either, clients.client_exceptions_fit, clients.client_is_somebody),
    PolicyHTTPRoute: (
        routes.egress_parents_have_ports,
        routes.http_annotations_are_valid,
        routes.policy_rules_are_valid,
        support.parents_can_be_followed,
        support.policy_backend_filters_are_supported,
    ),
    GatewayHTTPRoute: (
        routes.egress_parents_have_ports,
        routes.http_annotations_are_valid,
        routes.gateway_rules_are_valid,
        support.parents_can_be_followed,
        support.http_filters_are_supported,
        support.timeouts_are_understood,
    ),
    GRPCRoute: (
        routes.egress_parents_have_ports,
        routes.grpc_annotations_are_valid,
        routes.grpc_rules_are_valid,
        support.parents_can_be_followed,
        support.grpc_filters_are_supported,
    ),
    TLSRoute: (routes.egress_parents_have_ports, routes.has_one_rule),
    TCPRoute: (routes.egress_parents_have_ports, routes.has_one_rule),
}


def findings_of(resource: Resource) -> tuple[Finding, ...]:
    """All findings, in rule order, so that authors fix everything in one go."""
    return tuple([finding for rule in RULES[type(resource)] for finding in rule(resource)])
