"""How much an inbound index holds."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class NamespaceCounts:
    """The resources of one namespace."""

    pods: int = 0
    external_workloads: int = 0
    servers: int = 0
    server_authorizations: int = 0
    authorization_policies: int = 0
    http_routes: int = 0  # of both groups, also those that route for no Server
    grpc_routes: int = 0
    rate_limits: int = 0


@attrs.frozen(kw_only=True)
class AuthenticationCounts:
    """The authentications of one namespace."""

    mesh_tls: int = 0
    network: int = 0


@attrs.frozen(kw_only=True)
class InboundStatistics:
    namespaces: Mapping[str, NamespaceCounts]
    authentications: Mapping[str, AuthenticationCounts]
    watched: int  # targets
    invalid: int  # resources whose latest form means nothing, so that the one before it still holds
