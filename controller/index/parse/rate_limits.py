"""How often clients may call: HTTPLocalRateLimitPolicies."""

from __future__ import annotations

import datetime as dt

import attrs

from controller.core.cluster import ClusterConfig
from controller.core.inbound import RateLimit, RateLimitOverride
from controller.index.parse.identity import service_account_identity
from controller.index.parse.invalid import Invalid, parse_each
from controller.index.parse.precedence import age
from controller.k8s.policy import HTTPLocalRateLimitPolicy, LimitOverride
from controller.k8s.references import POLICY_GROUP, TargetRef


@attrs.frozen
class RateLimitForm:
    """A rate limit as the index keeps it. One that is not accepted limits nobody."""

    server: str
    accepted: bool
    created: dt.datetime | None
    limit: RateLimit

    @property
    def precedence(self) -> tuple[bool, dt.datetime, str]:
        """Of several limits on one Server the least counts: the oldest, then by name."""
        return (*age(self.created), self.limit.name)


def parse_rate_limit(resource: HTTPLocalRateLimitPolicy, cluster: ClusterConfig) -> RateLimitForm:
    spec, status = resource.spec, resource.status
    if not spec.target_ref.targets(POLICY_GROUP, "Server"):
        raise Invalid(f"{spec.target_ref.canonical_kind} cannot be limited", "spec.targetRef")

    def client_of(ref: TargetRef) -> str:
        if not ref.targets("", "ServiceAccount"):
            raise Invalid(f"{ref.canonical_kind} is not a client")
        return service_account_identity(cluster, ref.namespace or resource.metadata.namespace, ref.name)

    def override_of(override: LimitOverride) -> RateLimitOverride:
        clients = parse_each("clientRefs", client_of, override.client_refs)
        return RateLimitOverride(override.requests_per_second, clients)

    return RateLimitForm(
        server=spec.target_ref.name,
        accepted=status is not None and any(c.type == "Accepted" and c.status == "True" for c in status.conditions),
        created=resource.metadata.creation_timestamp,
        limit=RateLimit(
            name=resource.metadata.name,
            total=None if spec.total is None else spec.total.requests_per_second,
            identity=None if spec.identity is None else spec.identity.requests_per_second,
            overrides=parse_each("spec.overrides", override_of, spec.overrides),
        ),
    )
