"""Rules for Servers and for how often they may be called."""

from __future__ import annotations

from collections.abc import Iterator

from controller.admission.findings import Finding, check, each
from controller.index.parse.defaults import parse_default_policy
from controller.k8s.policy import HTTPLocalRateLimitPolicy, LimitOverride, Server
from controller.k8s.references import POLICY_GROUP, TargetRef


def access_policy_is_known(resource: Server) -> Iterator[Finding]:
    return check("spec.accessPolicy", parse_default_policy, resource.spec.access_policy)


def limit_is_for_a_server(resource: HTTPLocalRateLimitPolicy) -> Iterator[Finding]:
    ref = resource.spec.target_ref
    if not ref.targets(POLICY_GROUP, "Server"):
        yield Finding("spec.targetRef", f"{ref.canonical_kind} cannot be limited, only Server of {POLICY_GROUP}")


def limits_are_positive(resource: HTTPLocalRateLimitPolicy) -> Iterator[Finding]:
    spec = resource.spec
    for field, limit in (("total", spec.total), ("identity", spec.identity)):
        if limit is not None and limit.requests_per_second == 0:
            yield Finding(f"spec.{field}.requestsPerSecond", "must be greater than zero")
    for i, override in enumerate(spec.overrides or ()):
        if override.requests_per_second == 0:
            yield Finding(f"spec.overrides[{i}].requestsPerSecond", "must be greater than zero")


def limits_are_within_total(resource: HTTPLocalRateLimitPolicy) -> Iterator[Finding]:
    spec = resource.spec
    if spec.total is None:
        return
    total = spec.total.requests_per_second
    if spec.identity is not None and spec.identity.requests_per_second > total:
        yield _beyond_total("spec.identity", spec.identity.requests_per_second, total)
    for i, override in enumerate(spec.overrides or ()):
        if override.requests_per_second > total:
            yield _beyond_total(f"spec.overrides[{i}]", override.requests_per_second, total)


def _beyond_total(path: str, rate: int, total: int) -> Finding:
    return Finding(
        f"{path}.requestsPerSecond", f"{rate} is more than spec.total.requestsPerSecond, {total}, and would never count"
    )


def limited_clients_are_supported(resource: HTTPLocalRateLimitPolicy) -> Iterator[Finding]:
    return each("spec.overrides", _override, resource.spec.overrides)


def _override(path: str, override: LimitOverride) -> Iterator[Finding]:
    return each(f"{path}.clientRefs", _client, override.client_refs)


def _client(path: str, ref: TargetRef) -> Iterator[Finding]:
    if not ref.targets("", "ServiceAccount"):
        yield Finding(path, f"{ref.canonical_kind} is not a client, only ServiceAccount is")
