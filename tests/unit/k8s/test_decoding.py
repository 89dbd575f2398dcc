"""Which objects decode: what a watch drops, and what a review of Linkerd's kinds denies."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest

from controller.k8s import kinds, policy
from controller.k8s.gateway import PolicyHttpRouteSpec
from controller.k8s.meta import ObjectKey, ObjectMeta, Resource
from controller.k8s.numbers import without_negative_zeros
from controller.k8s.resource import ResourceType
from controller.k8s.selectors import LabelSelector

CONDITION = {"type": "Accepted", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
REF = {"group": "policy.linkerd.io", "kind": "Server", "name": "web"}
ACCOUNT = {"kind": "ServiceAccount", "name": "web"}
NETWORK = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.1"]}
PARENT_STATUS = {"controllerName": "x/y", "parentRef": {"name": "web"}, "conditions": [CONDITION]}
BACKEND = {"name": "web", "port": 80, "weight": 1}
MODIFIER = {"add": [{"name": "a", "value": "b"}], "set": [], "remove": ["c"]}

GOOD: dict[ResourceType[Any], dict[str, Any]] = {
    kinds.PODS: {
        "spec": {
            "containers": [
                {
                    "ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}],
                    "livenessProbe": {"httpGet": {"port": "http", "path": "/live"}},
                    "readinessProbe": {"httpGet": {"port": 80}},
                    "startupProbe": {"exec": {}},
                }
            ],
            "initContainers": [{}],
        }
    },
    kinds.SERVICES: {
        "spec": {"clusterIP": "1.2.3.4", "clusterIPs": ["1.2.3.4"], "ports": [{"port": 80, "appProtocol": "http"}]}
    },
    kinds.EXTERNAL_WORKLOADS: {
        "spec": {"meshTLS": {"identity": "a", "serverName": "b"}, "ports": [{"port": 80, "name": "http"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    },
    kinds.SERVERS: {
        "spec": {"podSelector": {"matchLabels": {"a": "b"}}, "port": 80, "proxyProtocol": "gRPC", "accessPolicy": "x"}
    },
    kinds.SERVER_AUTHORIZATIONS: {
        "spec": {
            "server": {"name": "web", "selector": {}},
            "client": {
                "unauthenticated": False,
                "networks": [NETWORK],
                "meshTLS": {"unauthenticatedTLS": True, "identities": ["*"], "serviceAccounts": [{"name": "a"}]},
            },
        }
    },
    kinds.AUTHORIZATION_POLICIES: {"spec": {"targetRef": REF, "requiredAuthenticationRefs": [REF]}},
    kinds.MESH_TLS_AUTHENTICATIONS: {"spec": {"identities": ["*"], "identityRefs": [ACCOUNT]}},
    kinds.NETWORK_AUTHENTICATIONS: {"spec": {"networks": [NETWORK]}},
    kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES: {
        "spec": {
            "targetRef": REF,
            "total": {"requestsPerSecond": 4_294_967_295},
            "identity": {"requestsPerSecond": 0},
            "overrides": [{"requestsPerSecond": 1, "clientRefs": [ACCOUNT]}],
        },
        "status": {"conditions": [CONDITION], "targetRef": REF},
    },
    kinds.EGRESS_NETWORKS: {
        "spec": {"trafficPolicy": "Allow", "networks": [NETWORK]},
        "status": {"conditions": [CONDITION]},
    },
    kinds.POLICY_HTTP_ROUTES: {
        "spec": {
            "parentRefs": [REF | {"port": 80, "sectionName": "a"}],
            "hostnames": ["a"],
            "rules": [
                {
                    "matches": [
                        {
                            "path": {"type": "Exact", "value": "/"},
                            "headers": [{"name": "a", "value": "b", "type": "Exact"}],
                            "queryParams": [{"name": "a", "value": "b", "type": "RegularExpression"}],
                            "method": "GET",
                        }
                    ],
                    "filters": [
                        {"type": "RequestHeaderModifier", "requestHeaderModifier": MODIFIER},
                        {"type": "ResponseHeaderModifier", "responseHeaderModifier": MODIFIER},
                        {
                            "type": "RequestRedirect",
                            "requestRedirect": {
                                "scheme": "https",
                                "hostname": "a",
                                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"},
                                "port": 0,
                                "statusCode": 302,
                            },
                        },
                    ],
                    "backendRefs": [BACKEND],
                    "timeouts": {"request": "1h30m", "backendRequest": "-5s"},
                }
            ],
        },
        "status": {"parents": [PARENT_STATUS]},
    },
    kinds.GATEWAY_HTTP_ROUTES: {
        "spec": {
            "rules": [
                {
                    "filters": [
                        {"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND}},
                        {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch"}}},
                        {"type": "ExtensionRef", "extensionRef": {"group": "a", "kind": "b", "name": "c"}},
                        {"type": "CORS", "cors": {"anything": 1}},
                    ],
                    "timeouts": {"request": "not a duration"},
                    "retry": {"anything": 1},
                }
            ]
        },
        "status": {"parents": [PARENT_STATUS]},
    },
    kinds.GRPC_ROUTES: {
        "spec": {
            "rules": [
                {
                    "matches": [{"method": {"type": "Exact", "service": "a", "method": "b"}}],
                    "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND}}],
                    "backendRefs": [BACKEND],
                }
            ]
        }
    },
    kinds.TLS_ROUTES: {"spec": {"hostnames": [], "rules": [{"backendRefs": [BACKEND]}], "parentRefs": [REF]}},
    kinds.TCP_ROUTES: {"spec": {"rules": [{"backendRefs": [BACKEND]}]}},
}  # fmt: skip


def decode(kind: ResourceType[Any], body: dict[str, Any]) -> Resource:
    """The object with a name, as a watch would decode it."""
    return kind.decode(json.dumps({"metadata": {"name": "a"}} | body).encode())


def changed(body: Any, path: str, value: Any) -> Any:
    """A copy with the value at a path such as `spec.rules.0.matches`; `...` takes away what is there."""
    step, _, rest = path.partition(".")
    copy = list(body) if isinstance(body, list) else dict(body)
    key: Any = int(step) if step.isdigit() else step
    if rest:
        copy[key] = changed(copy[key], rest, value)
    elif value is ...:
        del copy[key]
    else:
        copy[key] = value
    return copy


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: f"{kind.group} {kind.kind}")
def test_a_full_object_decodes(kind: ResourceType[Any]) -> None:
    """Every field that is read, and unknown ones beside them."""
    body = GOOD[kind] | {"unknown": {"deep": [1.5, None]}}

    assert decode(kind, body) == decode(kind, GOOD[kind])


PORTS = (0, -1, 65_536, 80.0, 8e1, True, None, [80])
NO_INTEGERS = (1.0, "1", True)


def bad(kind: ResourceType[Any], path: str, *values: Any) -> list[Any]:
    return [pytest.param(kind, path, value, id=f"{kind.kind} {path}={value!r}") for value in values]


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        *bad(kinds.EXTERNAL_WORKLOADS, "spec", ..., None),
        *bad(kinds.EXTERNAL_WORKLOADS, "spec.meshTLS", ..., None, {"identity": "a"}, {"serverName": "a"}),
        *bad(kinds.EXTERNAL_WORKLOADS, "spec.ports.0.port", ..., "http", *PORTS),  # inbound 5.2
        *bad(kinds.EXTERNAL_WORKLOADS, "status", {}, {"conditions": None}),
        *bad(kinds.EXTERNAL_WORKLOADS, "status.conditions.0", {"type": "a"}, {"type": "a", "status": "true"}),
        *bad(kinds.SERVERS, "spec.port", ..., *PORTS),  # inbound 109
        *bad(kinds.SERVERS, "spec.podSelector", ..., None, []),
        *bad(kinds.SERVERS, "spec.podSelector.matchLabels", {"a": 1}, {"a": None}, []),
        *bad(kinds.SERVERS, "spec.podSelector.matchExpressions", [{"key": "a"}], [{"key": "a", "operator": "in"}]),
        *bad(kinds.SERVERS, "spec.proxyProtocol", "http/1", "HTTP/3", "", 1),  # inbound 109
        *bad(kinds.SERVERS, "spec.accessPolicy", 1),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.server", ..., None),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client", ..., None),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client.unauthenticated", None, "true", 1),  # status corrections 7
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client.meshTLS.unauthenticatedTLS", None),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client.meshTLS.identities", [None], [1]),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client.meshTLS.serviceAccounts", [{}], [{"name": None}]),
        *bad(kinds.SERVER_AUTHORIZATIONS, "spec.client.networks", [{}], [{"cidr": "bogus"}], [None]),  # status 182
        *bad(kinds.AUTHORIZATION_POLICIES, "spec.targetRef", ..., None, {"kind": "a"}, {"name": "a"}),
        *bad(kinds.AUTHORIZATION_POLICIES, "spec.requiredAuthenticationRefs", ..., None, [None], [{"kind": "a"}]),
        *bad(kinds.MESH_TLS_AUTHENTICATIONS, "spec.identityRefs", [{"kind": "a"}], [{"name": "a"}]),  # inbound 7.3
        *bad(kinds.NETWORK_AUTHENTICATIONS, "spec.networks", ..., None),
        *bad(kinds.NETWORK_AUTHENTICATIONS, "spec.networks.0.cidr", ..., "bogus", "10.0.0.0/33"),  # inbound 109
        *bad(kinds.NETWORK_AUTHENTICATIONS, "spec.networks.0.except", ["10.0.0.0/8", "bogus"]),  # status 170
        *bad(kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "spec.total.requestsPerSecond", -1, 1 << 32, *NO_INTEGERS),
        *bad(kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "spec.overrides.0.clientRefs", ..., None),
        *bad(kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "status.targetRef", ..., None),
        *bad(kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "status.conditions", ..., None),
        *bad(kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "status.conditions.0.lastTransitionTime", ..., "yesterday"),
        *bad(kinds.EGRESS_NETWORKS, "spec.trafficPolicy", ..., None, "allow"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.parentRefs.0.name", ..., None),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.parentRefs.0.port", 1 << 31, *NO_INTEGERS),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.matches.0.path.type", "exact", "Prefix"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.matches.0.method", "get", "QUERY"),  # inbound 8.4
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.matches.0.headers.0.value", ..., 1),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.filters.0.type", ..., "RequestMirror", "ResponseHeaderModifier"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.filters.1.responseHeaderModifier", ..., None),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.filters.2.requestRedirect", ..., None),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.filters.2.requestRedirect.scheme", "HTTP"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.filters.2.requestRedirect.path.type", ..., "Full"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.timeouts.request", "1d", "5", 5),  # inbound 8.2
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.timeouts.backendRequest", "1s-1s"),
        *bad(kinds.POLICY_HTTP_ROUTES, "spec.rules.0.backendRefs.0.weight", 1 << 31),
        *bad(kinds.POLICY_HTTP_ROUTES, "status", {}),  # outbound 4.1
        *bad(kinds.POLICY_HTTP_ROUTES, "status.parents.0.controllerName", ...),
        *bad(kinds.POLICY_HTTP_ROUTES, "status.parents.0.parentRef", ...),
        *bad(kinds.POLICY_HTTP_ROUTES, "status.parents.0.conditions", ...),
        *bad(kinds.GATEWAY_HTTP_ROUTES, "spec", ..., None),
        *bad(kinds.GATEWAY_HTTP_ROUTES, "spec.rules.0.filters.0.type", ..., "Unheard"),  # outbound 4.1
        *bad(kinds.GATEWAY_HTTP_ROUTES, "spec.rules.0.filters.0.requestMirror", {}),
        *bad(kinds.GRPC_ROUTES, "spec.rules.0.filters.0.type", ..., "RequestRedirect"),
        *bad(kinds.GRPC_ROUTES, "spec.rules.0.matches.0.method.type", "exact"),
        *bad(kinds.TLS_ROUTES, "spec.hostnames", ..., None),  # outbound 4.1
        *bad(kinds.TLS_ROUTES, "spec.rules.0.backendRefs", ..., None),
        *bad(kinds.TCP_ROUTES, "spec.rules", ..., None),
        *bad(kinds.TCP_ROUTES, "spec.rules.0.backendRefs", ..., None),
    ],
)
def test_one_bad_field_makes_an_object_unreadable(kind: ResourceType[Any], path: str, value: Any) -> None:
    """Missing, of another type, null where null is not absent, outside of an enum or of what the number can hold."""
    with pytest.raises(msgspec.DecodeError):
        decode(kind, changed(GOOD[kind], path, value))


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (kinds.PODS, "spec"),
        (kinds.PODS, "spec.containers.0.ports.0.name"),
        (kinds.SERVICES, "spec.clusterIPs"),
        (kinds.EXTERNAL_WORKLOADS, "status"),
        (kinds.EXTERNAL_WORKLOADS, "spec.ports"),
        (kinds.SERVERS, "spec.proxyProtocol"),
        (kinds.SERVERS, "spec.podSelector.matchLabels"),
        (kinds.SERVER_AUTHORIZATIONS, "spec.client.networks"),
        (kinds.SERVER_AUTHORIZATIONS, "spec.client.meshTLS"),
        (kinds.SERVER_AUTHORIZATIONS, "spec.client.meshTLS.identities"),
        (kinds.AUTHORIZATION_POLICIES, "spec.targetRef.group"),
        (kinds.NETWORK_AUTHENTICATIONS, "spec.networks.0.except"),
        (kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "spec.total"),
        (kinds.HTTP_LOCAL_RATE_LIMIT_POLICIES, "status"),
        (kinds.POLICY_HTTP_ROUTES, "spec.rules"),
        (kinds.POLICY_HTTP_ROUTES, "spec.rules.0.matches.0.path"),
        (kinds.POLICY_HTTP_ROUTES, "spec.rules.0.timeouts.request"),
        (kinds.GATEWAY_HTTP_ROUTES, "spec.rules.0.filters.0.requestMirror"),
        (kinds.TLS_ROUTES, "spec.parentRefs"),
    ],
    ids=str,
)
def test_null_is_the_same_as_absent_where_a_field_is_optional(kind: ResourceType[Any], path: str) -> None:
    """As Kubernetes has it (status corrections 7)."""
    absent, null = (changed(GOOD[kind], path, value) for value in (..., None))

    assert decode(kind, absent) == decode(kind, null)


def test_a_number_of_a_redirect_may_be_what_it_likes() -> None:
    """Whether it is a port or a status code is for the rules to say."""
    body = changed(GOOD[kinds.POLICY_HTTP_ROUTES], "spec.rules.0.filters.2.requestRedirect.port", -1)

    decode(kinds.POLICY_HTTP_ROUTES, changed(body, "spec.rules.0.filters.2.requestRedirect.statusCode", 1 << 40))


@pytest.mark.parametrize(
    "raw",
    [b"{", b'{"metadata": {"name": "a"}} x', b"[]", b"null", b'{"metadata": {"name": "a"}, "x": NaN}', b"{}"],
)
def test_what_is_no_object_does_not_decode(raw: bytes) -> None:
    """Broken JSON, other values, and an object without metadata."""
    with pytest.raises(msgspec.DecodeError):
        kinds.PODS.decode(raw)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-02-29T12:00:01Z", dt.datetime(2024, 2, 29, 12, 0, 1, tzinfo=dt.UTC)),
        ("2024-02-29T12:00:01+01:00", dt.datetime(2024, 2, 29, 11, 0, 1, tzinfo=dt.UTC)),
        ("2024-02-29T12:00:01.5Z", dt.datetime(2024, 2, 29, 12, 0, 1, 500_000, tzinfo=dt.UTC)),
        (None, None),
    ],
)
def test_the_time_of_creation_is_read(text: str | None, time: dt.datetime | None) -> None:
    """With a time zone, always; it may be absent."""
    pod = decode(kinds.PODS, {"metadata": {"name": "a", "creationTimestamp": text}})

    assert pod.metadata.creation_timestamp == time


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        "a",
        {"creationTimestamp": "yesterday"},
        {"creationTimestamp": "2024-02-30T00:00:00Z"},
        {"creationTimestamp": "2024-02-29T12:00:01"},
        {"creationTimestamp": 1},
        {"labels": {"a": 1}},
        {"labels": {"a": None}},
        {"annotations": {"a": True}},
        {"annotations": []},
        {"generation": 1.5},
        {"name": 1},
    ],
    ids=str,
)
def test_bad_metadata_makes_an_object_unreadable(metadata: Any) -> None:
    """Even where nobody would have looked (status corrections 6)."""
    with pytest.raises(msgspec.ValidationError):
        decode(kinds.PODS, {"metadata": metadata})


def test_an_object_has_a_key_labels_and_annotations() -> None:
    """Nothing is the same as none of them."""
    full = decode(kinds.PODS, {"metadata": {"name": "a", "namespace": "b", "labels": {"c": "d"}, "annotations": None}})

    assert (full.key, full.labels, full.annotations) == (ObjectKey("b", "a"), {"c": "d"}, {})
    assert ObjectMeta(name="n").key == ("", "n")
    assert decode(kinds.PODS, {"metadata": {"name": "a", "annotations": {"e": "f"}}}).annotations == {"e": "f"}


def test_a_raw_body_will_do() -> None:
    """Items of a list are decoded where they lie."""
    raw = msgspec.Raw(b'{"metadata": {"name": "a"}}')

    assert kinds.PODS.decode(raw) == kinds.PODS.decode(bytes(raw))


SELECTOR = {"matchLabels": {"a": "b"}}
SELECTED = LabelSelector({"a": "b"})


@pytest.mark.parametrize(
    ("selectors", "pods", "workloads"),
    [  # status corrections 4
        ({"podSelector": SELECTOR}, SELECTED, None),
        ({"externalWorkloadSelector": SELECTOR}, None, SELECTED),
        ({"podSelector": {}, "externalWorkloadSelector": SELECTOR}, None, SELECTED),
        ({"podSelector": {"matchLabels": {"a": 1}}, "externalWorkloadSelector": SELECTOR}, None, SELECTED),
        ({"podSelector": None, "externalWorkloadSelector": SELECTOR}, None, SELECTED),
    ],
)
def test_the_selector_of_workloads_hides_that_of_pods(selectors: Any, pods: Any, workloads: Any) -> None:
    """In a spec that no API server has checked, the hidden one is not even read."""
    raw = json.dumps({"port": 80, "accessPolicy": "deny", "proxyProtocol": "TLS"} | selectors).encode()

    assert policy.decode_server_spec(raw) == policy.ServerSpec(
        port=80,
        pod_selector=pods,
        external_workload_selector=workloads,
        access_policy="deny",
        proxy_protocol="TLS",
    )


@pytest.mark.parametrize(
    "selectors",
    [
        {},
        {"podSelector": None},
        {"externalWorkloadSelector": None},
        {"podSelector": SELECTOR, "externalWorkloadSelector": None},
        {"podSelector": SELECTOR, "externalWorkloadSelector": {"matchLabels": {"a": 1}}},
    ],
)
def test_a_spec_without_a_readable_selector_is_refused(selectors: Any) -> None:
    """A good one does not help if the other is there."""
    with pytest.raises(msgspec.ValidationError):
        policy.decode_server_spec(json.dumps({"port": 80} | selectors).encode())


@pytest.mark.parametrize(
    ("raw", "spelled"),
    [
        (b'{"a":-0}', b'{"a":-0.0}'),
        (b"[-0, -0,-1 ,0,-0.0,-0e1,1e-0,10]", b"[-0.0, -0.0,-1 ,0,-0.0,-0e1,1e-0,10]"),
        (b'{"web-0": "a -0, \\" -0 ", "b": -0}', b'{"web-0": "a -0, \\" -0 ", "b": -0.0}'),
        (b'{"a": 1}', b'{"a": 1}'),
    ],
)
def test_a_negative_zero_is_no_integer(raw: bytes, spelled: bytes) -> None:  # status corrections 6
    """It is respelled outside of texts, and then does not decode as one."""
    assert without_negative_zeros(raw) == spelled


def test_a_negative_zero_does_not_decode_as_a_port() -> None:
    """Though msgspec alone would take it."""
    raw = b'{"parentRefs": [{"name": "a", "port": -0}]}'

    assert msgspec.json.decode(raw, type=PolicyHttpRouteSpec)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(without_negative_zeros(raw), type=PolicyHttpRouteSpec)
