"""Rules for Servers and HTTPLocalRateLimitPolicies."""

from __future__ import annotations

from typing import Any

import pytest

from .reviews import POLICY, admitted, denial

SERVER = {"group": POLICY, "kind": "Server", "name": "web"}
ACCOUNT = {"group": "", "kind": "ServiceAccount", "name": "a"}

POLICIES = "all-authenticated, all-unauthenticated, cluster-authenticated, cluster-unauthenticated, deny, audit"

# Server


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {}, "port": 80},  # status 172
        {"podSelector": {}, "port": "http", "proxyProtocol": "HTTP/1", "accessPolicy": "deny"},
        {"podSelector": {}, "port": "no Port's name!", "accessPolicy": None, "unknown": {"a": 1}},
        {"externalWorkloadSelector": {"matchLabels": {"a": "b"}}, "port": 65535},
        {
            "externalWorkloadSelector": {},
            "podSelector": 7,
            "port": 1,
        },  # the schema refuses that; of two only one is read
        *({"podSelector": {}, "port": 80, "proxyProtocol": p} for p in ("unknown", "HTTP/2", "gRPC", "opaque", "TLS")),
        *(
            {"podSelector": {}, "port": 80, "accessPolicy": p}
            for p in ("all-authenticated", "all-unauthenticated", "cluster-authenticated", "cluster-unauthenticated")
        ),
        {"podSelector": {}, "port": 80, "accessPolicy": "audit"},
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]}, "port": 80},
    ],
)
def test_a_server_may(spec: Any) -> None:  # inbound 82
    """Any port, any protocol and policy by its exact name; whether another Server overlaps is not asked."""
    assert admitted("Server", spec)


def test_an_update_that_changes_nothing_is_fine() -> None:  # status 173, inbound 82
    """The old object is not looked at."""
    spec = {"podSelector": {}, "port": 80}
    bad = {"metadata": {"name": "x"}, "spec": spec | {"accessPolicy": "foobar"}}

    assert admitted("Server", spec, operation="UPDATE", oldObject={"metadata": {"name": "x"}, "spec": spec})
    assert admitted("Server", spec, operation="UPDATE", oldObject=bad)
    assert denial("Server", spec | {"accessPolicy": "foobar"}, operation="UPDATE", oldObject=bad)


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (  # status 174
            {"podSelector": {}, "port": 80, "proxyProtocol": "garbanzo"},
            "spec.proxyProtocol: 'garbanzo' is not one of HTTP/1, HTTP/2, TLS, gRPC, opaque, unknown",
        ),
        (  # status 175
            {"podSelector": {}, "port": 80, "accessPolicy": "foobar"},
            f"spec.accessPolicy: 'foobar' is not one of {POLICIES}",
        ),
        ({"podSelector": {}, "port": 0}, "spec.port: Expected an integer >= 1"),
        ({"podSelector": {}, "port": 65536}, "spec.port: Expected an integer <= 65535"),
        (
            {"podSelector": {}, "port": 80.0},
            "spec.port: Expected an integer or a string, got a number with a fraction or an exponent",
        ),
        ({"podSelector": {}}, "spec.port: must be set"),
        ({"port": 80}, "spec: needs podSelector or externalWorkloadSelector"),
        (
            {"podSelector": {}, "externalWorkloadSelector": None, "port": 80},
            "spec.externalWorkloadSelector: Expected an object, got null",
        ),
        (
            {"podSelector": {"matchLabels": {"a": None}}, "port": 80},
            "spec.podSelector.matchLabels[...]: Expected a string, got null",
        ),
        (
            {"podSelector": {"matchExpressions": [{"key": "a", "operator": "in"}]}, "port": 80},
            "spec.podSelector.matchExpressions[0].operator: 'in' is not one of DoesNotExist, Exists, In, NotIn",
        ),
    ],
)
def test_a_server_may_not(spec: Any, finding: str) -> None:  # inbound 82
    """What is wrong is said together with what would be right."""
    assert denial("Server", spec) == [finding]


# HTTPLocalRateLimitPolicy


def limits(total: int | None = None, identity: int | None = None, *overrides: int, target: Any = SERVER) -> Any:
    def limit(rate: int | None) -> Any:
        return None if rate is None else {"requestsPerSecond": rate}

    wire = [{"requestsPerSecond": rate, "clientRefs": [ACCOUNT]} for rate in overrides]
    return {"targetRef": target, "total": limit(total), "identity": limit(identity), "overrides": wire or None}


@pytest.mark.parametrize(
    "spec",
    [
        limits(1000, 100, 200),  # status 140
        limits(10, 10, 10),
        limits(None, 10, 20),
        limits(),
        limits(4294967295),
    ],
)
def test_a_rate_limit_may(spec: Any) -> None:  # inbound 86
    """Parts are at most the total, if there is one."""
    assert admitted("HTTPLocalRateLimitPolicy", spec)


TOTAL = "spec.total.requestsPerSecond"


@pytest.mark.parametrize(
    ("spec", "findings"),
    [
        (  # status 141
            limits(1000, target={"group": "apps", "kind": "Deployment", "name": "a"}),
            ["spec.targetRef: Deployment.apps cannot be limited, only Server of policy.linkerd.io"],
        ),
        (  # status 142
            limits(1000, 2000),
            [f"spec.identity.requestsPerSecond: 2000 is more than {TOTAL}, 1000, and would never count"],
        ),
        (  # status 143
            limits(1000, 2000, 200, 2000),
            [
                f"spec.identity.requestsPerSecond: 2000 is more than {TOTAL}, 1000, and would never count",
                f"spec.overrides[1].requestsPerSecond: 2000 is more than {TOTAL}, 1000, and would never count",
            ],
        ),
        (limits(0), [f"{TOTAL}: must be greater than zero"]),
        (
            limits(None, 0, 1, 0),
            [
                "spec.identity.requestsPerSecond: must be greater than zero",
                "spec.overrides[1].requestsPerSecond: must be greater than zero",
            ],
        ),
        (
            {
                "targetRef": SERVER,
                "overrides": [{"requestsPerSecond": 1, "clientRefs": [ACCOUNT, ACCOUNT | {"kind": "Pod"}]}],
            },
            ["spec.overrides[0].clientRefs[1]: Pod is not a client, only ServiceAccount is"],
        ),
        (limits(-1), [f"{TOTAL}: Expected an integer >= 0"]),
        (limits(4294967296), [f"{TOTAL}: Expected an integer <= 4294967295"]),
    ],
)
def test_a_rate_limit_may_not(spec: Any, findings: list[str]) -> None:  # inbound 86
    """Limits are for Servers, above zero and within the total, and their exceptions for ServiceAccounts."""
    assert denial("HTTPLocalRateLimitPolicy", spec) == findings
