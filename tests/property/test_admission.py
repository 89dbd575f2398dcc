"""What admission lets in, the index understands; and whatever it is asked, it answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings

from controller.admission.findings import Finding
from controller.admission.judge import judge
from controller.admission.kinds import find_kind
from controller.admission.review import Review, decode_review
from controller.admission.rules_routes import parents_of
from controller.core.cluster import ClusterConfig
from controller.index.inbound import KINDS, InboundIndex
from controller.index.parse.cidr import parse_network_match
from controller.index.parse.outbound_routes import parse_outbound_route
from controller.k8s.events import Applied
from controller.k8s.gateway import GatewayHTTPRoute, GRPCRoute, PolicyHTTPRoute, TCPRoute, TLSRoute
from controller.k8s.meta import Resource
from controller.k8s.policy import EgressNetwork

POLICY, GATEWAY = "policy.linkerd.io", "gateway.networking.k8s.io"
ROUTES = (PolicyHTTPRoute, GatewayHTTPRoute, GRPCRoute, TLSRoute, TCPRoute)
REVIEWED = (
    *((POLICY, kind) for kind in ("Server", "ServerAuthorization", "AuthorizationPolicy", "MeshTLSAuthentication")),
    *((POLICY, kind) for kind in ("NetworkAuthentication", "HTTPLocalRateLimitPolicy", "EgressNetwork", "HTTPRoute")),
    *((GATEWAY, kind) for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")),
)


def body(group: str, kind: str, spec: Any, annotations: Any = None) -> bytes:
    gvk = {"group": group, "version": "v1", "kind": kind}
    metadata = {"name": "x", "namespace": "ns-0", "annotations": annotations}
    request = {
        "uid": "1",
        "kind": gvk,
        "resource": {"group": group, "version": "v1", "resource": "x"},
        "operation": "CREATE",
        "userInfo": {},
        "object": {"metadata": metadata, "spec": spec},
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def silent(_resource: Resource, _review: Review) -> Iterable[Finding]:
    return ()


# Specs: good parts and bad ones, so that about as many are let in as not


def fields(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        required, optional={name: st.one_of(value, value, value, st.none()) for name, value in optional.items()}
    )


def few(item: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[Any]:
    return st.lists(item, min_size=1, max_size=most) | st.just([])


def mostly(good: Iterable[Any], *bad: Any) -> st.SearchStrategy[Any]:
    good = list(good)
    return st.sampled_from([*good * (1 + 6 * len(bad) // len(good)), *bad])


refs = fields(
    {
        "kind": mostly(
            ["Server", "ServiceAccount", "MeshTLSAuthentication", "NetworkAuthentication", "HTTPRoute"], "Pod"
        ),
        "name": mostly(["ns-0", "a"]),
    },
    group=mostly([POLICY, "", GATEWAY], "apps"),
    namespace=mostly(["ns-0", "b"]),
)
SERVER = {"group": POLICY, "kind": "Server", "name": "web"}
targets = mostly([SERVER], {"kind": "Namespace", "name": "ns-0"}, {"kind": "Pod", "name": "a"})
accounts = mostly([{"kind": "ServiceAccount", "name": "a"}], SERVER)
networks = fields(
    {"cidr": mostly(["10.0.0.0/8", "10.1.1.1", "fd00::/8"], "bogus")},
    **{"except": few(mostly(["10.1.0.0/16", "10.1.1.1"], "10.0.0.0/7", "::1"))},
)
rates = fields({"requestsPerSecond": mostly([1, 10, 100], 0, -1)})
durations = mostly(["1s", "0", "500ms", "", "1m30s"], "-1s", "1d", "x")
patterns = mostly(["/", "/a", "a"], "", "(", "\n")
named = fields(
    {"name": mostly(["a", "x-y"], ""), "value": patterns}, type=mostly(["Exact", "RegularExpression"], "exact")
)
headers = fields({"name": mostly(["a", "x-y"], "", "a b"), "value": patterns})
modifiers = fields({}, add=few(headers), set=few(headers), remove=few(mostly(["a"], "")))
redirects = fields(
    {},
    path=fields(
        {"type": mostly(["ReplaceFullPath", "ReplacePrefixMatch"])},
        replaceFullPath=patterns,
        replacePrefixMatch=patterns,
    ),
    port=mostly([80], 0, 70000),
    statusCode=mostly([301, 999], 99),
    scheme=mostly(["http"], "ftp"),
)
filters = fields(
    {"type": mostly(["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"], "URLRewrite", "New")},
    requestHeaderModifier=modifiers,
    responseHeaderModifier=modifiers,
    requestRedirect=redirects,
    urlRewrite=st.just({}),
)
backends = fields(
    {"name": st.just("web")},
    group=mostly(["", "core", POLICY], "a"),
    kind=mostly(["Service", "EgressNetwork"], "A"),
    port=mostly([80], 0),
    filters=few(filters, 1),
)
parents = mostly(
    [SERVER, {"kind": "Service", "name": "web"}, {"group": POLICY, "kind": "EgressNetwork", "name": "all", "port": 80}],
    SERVER | {"namespace": "ns-1"},
    SERVER | {"port": 80},
    SERVER | {"sectionName": "a"},
    SERVER | {"kind": "EgressNetwork"},
    {"group": GATEWAY, "kind": "Gateway", "name": "a"},
)
paths = fields({"value": patterns}, type=mostly(["Exact", "PathPrefix", "RegularExpression"]))
http_matches = fields({"path": paths}, headers=few(named, 1), queryParams=few(named, 1), method=mostly(["GET"], "get"))
http_rules = fields(
    {"matches": few(http_matches), "filters": few(filters, 1)},
    backendRefs=few(backends, 1),
    timeouts=fields({}, request=durations, backendRequest=durations),
)
methods = fields({}, type=mostly(["Exact"], "RegularExpression"), service=st.just("a"))
grpc_matches = fields({"headers": few(named, 1)}, method=methods)
grpc_rules = fields(
    {"matches": few(grpc_matches), "filters": few(filters, 1)},
    backendRefs=few(backends, 1),
)
forward_rules = fields({"backendRefs": few(backends)})


def routes(rules: st.SearchStrategy[Any], **required: Any) -> st.SearchStrategy[Any]:
    attached = {
        "parentRefs": st.lists(parents, min_size=1, max_size=2),
        "rules": st.lists(rules, min_size=1, max_size=2),
    }
    return fields({**attached, **required})


selectors = fields({}, matchLabels=st.just({"a": "b"}))
SPECS: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    (POLICY, "Server"): fields(
        {"port": mostly([80, "http"], 0)},
        podSelector=selectors,
        externalWorkloadSelector=selectors,
        proxyProtocol=mostly(["unknown", "gRPC"], "grpc"),
        accessPolicy=mostly(["deny", "audit"], "allow"),
    ),
    (POLICY, "ServerAuthorization"): fields(
        {
            "server": fields({}, name=st.just("web"), selector=selectors),
            "client": st.fixed_dictionaries(
                {},
                optional={
                    "networks": few(networks),
                    "unauthenticated": st.booleans(),
                    "meshTLS": st.fixed_dictionaries(
                        {},
                        optional={
                            "unauthenticatedTLS": st.booleans(),
                            "identities": few(mostly(["*", "a.b"])),
                            "serviceAccounts": few(fields({"name": st.just("a")})),
                        },
                    ),
                },
            ),
        }
    ),
    (POLICY, "AuthorizationPolicy"): fields({"targetRef": targets | refs, "requiredAuthenticationRefs": few(refs)}),
    # Without any identity the schema refuses it, so nobody has to understand it.
    (POLICY, "MeshTLSAuthentication"): fields(
        {"identities": st.lists(mostly(["*", "a.b", "spiffe://a"], "A", "a.*"), min_size=1, max_size=2)},
        identityRefs=few(refs),
    ),
    (POLICY, "NetworkAuthentication"): fields({"networks": few(networks)}),
    (POLICY, "HTTPLocalRateLimitPolicy"): fields(
        {"targetRef": targets},
        total=rates,
        identity=rates,
        overrides=few(fields({"requestsPerSecond": mostly([1, 10], 0), "clientRefs": few(accounts)})),
    ),
    (POLICY, "EgressNetwork"): fields({"trafficPolicy": mostly(["Allow", "Deny"], "No")}, networks=few(networks)),
    (POLICY, "HTTPRoute"): routes(http_rules, hostnames=few(mostly(["*.a.b", "c"]))),
    (GATEWAY, "HTTPRoute"): routes(http_rules),
    (GATEWAY, "GRPCRoute"): routes(grpc_rules),
    (GATEWAY, "TLSRoute"): routes(forward_rules, hostnames=few(st.just("a"))),
    (GATEWAY, "TCPRoute"): routes(forward_rules),
}
annotated = st.none() | st.dictionaries(
    mostly(["retry.linkerd.io/limit", "retry.linkerd.io/http", "retry.linkerd.io/grpc", "timeout.linkerd.io/request"]),
    mostly(["1", "5xx", "internal", "10s"], "x", ""),
    max_size=2,
)


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, str, Any, Any]:
    group, kind = draw(st.sampled_from(REVIEWED))
    return group, kind, draw(SPECS[group, kind]), draw(annotated)


def understand(resource: Resource) -> None:
    """Read it as the indexes do; whatever they cannot read is raised."""
    if type(resource) in KINDS:
        index = InboundIndex(ClusterConfig())
        index.apply([Applied(resource)])
        assert index.invalid() == {}
    if isinstance(resource, ROUTES) and any(parents_of(resource)):
        parse_outbound_route(resource)
    if isinstance(resource, EgressNetwork):
        for network in resource.spec.networks or ():
            parse_network_match(network)


@pytest.mark.parametrize(("group", "kind"), REVIEWED)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_admitted_without_a_word_is_understood(group: str, kind: str, data: st.DataObject) -> None:
    """By every index that it is for. Where it is not, somebody has been told."""
    text = body(group, kind, data.draw(SPECS[group, kind]), data.draw(annotated))
    verdict = judge(text, silent)
    warnings = json.loads(verdict.answer)["response"].get("warnings")
    event(f"{verdict.allowed=} {warnings is not None=} {verdict.unread is not None=}")
    if not verdict.allowed or warnings or verdict.unread:
        return

    row = find_kind(group, kind)
    assert row is not None
    asked = decode_review(text)
    understand(row.decode(asked.metadata, asked.spec))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A manifest in which some value has been replaced by another."""
    group, kind, spec, annotations = copy.deepcopy(draw(manifests()))
    holders = [(spec, key) for key in spec]
    for holder, key in holders:
        inner = holder[key]
        keys = inner.keys() if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        holders += [(inner, each) for each in keys]
    if holders:
        holder, key = draw(st.sampled_from(holders))
        holder[key] = draw(json_values)
    return body(group, kind, spec, annotations)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken() | st.binary(max_size=50) | json_values.map(lambda value: json.dumps(value).encode()))
def test_every_body_gets_an_answer(text: bytes) -> None:
    """It is one that an API server can read, and a refusal has a reason."""
    verdict = judge(text, silent)

    answer = msgspec.json.decode(verdict.answer)
    response = answer["response"]
    assert answer["kind"] == "AdmissionReview"
    assert response["allowed"] is verdict.allowed
    assert verdict.allowed or response["status"]["message"]
    assert len(response["status"].get("message", "")) < 10_000
