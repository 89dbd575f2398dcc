"""A real API server takes the definitions, and judges objects by them as Linkerd's own would."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.k8s.crds import crds, crds_yaml
from controller.k8s.custom_resource import to_yaml
from tests.kube import KubeServer, kube_server
from tests.unit.k8s.custom_resource.samples import Limit, Note

pytestmark = pytest.mark.cluster

# Where the server says that of several fields not just one is there, and that some conditions were left unchecked. Of
# several fields that are all missing it blames the first.
NOWHERE = "<nil>"
POLICY, GATEWAY, WORKLOAD = "policy.linkerd.io", "gateway.networking.k8s.io", "workload.linkerd.io"


@pytest.fixture(scope="module")
def server(assets: Path) -> Iterator[KubeServer]:
    """An API server of our own: definitions are for everybody on it."""
    with kube_server(assets) as server:
        text = crds_yaml(gateway_api=True) + to_yaml(Note.crd(), Limit.crd() | {"spec": served(Limit.crd()["spec"])})
        server.kubectl("create", "--validate=strict", "-f", "-", stdin=text)
        server.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        yield server


def served(spec: Any) -> Any:
    return spec | {"versions": [version | {"served": True} for version in spec["versions"]]}


@pytest.fixture
def client(server: KubeServer) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=str(server.ca))
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, verify=trusted, headers=headers, trust_env=False) as client:
        yield client


def judge(client: httpx.Client, api_version: str, kind: str, spec: Any, **more: Any) -> httpx.Response:
    """The answer to creating the object, for show."""
    plural = {"AuthorizationPolicy": "authorizationpolicies", "HTTPLocalRateLimitPolicy": "httplocalratelimitpolicies"}
    path = f"/apis/{api_version}/namespaces/default/{plural.get(kind, kind.lower() + 's')}"
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec} | more
    # Written out here: httpx has no JSON for the numbers that some cases need.
    return client.post(
        path,
        content=json.dumps(manifest),
        headers={"Content-Type": "application/json"},
        params={"dryRun": "All", "fieldValidation": "Warn"},
    )


def test_every_definition_is_established(server: KubeServer) -> None:  # runtime X12
    """Names are accepted, and nothing about a schema is complained of."""
    listed: Any = json.loads(server.kubectl("get", "crd", "-o", "json"))

    conditions = {
        (crd["metadata"]["name"], condition["type"]): condition["status"]
        for crd in listed["items"]
        for condition in crd["status"]["conditions"]
    }
    expected = [crd["metadata"]["name"] for crd in (*crds(gateway_api=True), Note.crd(), Limit.crd())]  # type: ignore[call-overload, index]
    for name in expected:
        assert conditions[name, "Established"] == "True"
        assert conditions[name, "NamesAccepted"] == "True"
        assert conditions.get((name, "NonStructuralSchema"), "False") == "False"
        assert conditions.get((name, "ViolatesSchema"), "False") == "False"


SERVER = {"group": POLICY, "kind": "Server", "name": "web"}
MESH = {"group": POLICY, "kind": "MeshTLSAuthentication", "name": "web"}
NETWORK = {"group": POLICY, "kind": "NetworkAuthentication", "name": "web", "namespace": "other"}
EGRESS = {"group": POLICY, "kind": "EgressNetwork", "name": "all", "port": 555}
BLOCK = {"cidr": "10.1.0.0/24"}


def http(path: Any = None, **rule: Any) -> dict[str, Any]:
    """A route to a Server with one rule."""
    matches = {} if path is None else {"matches": [{"path": {"type": "Exact", "value": path}}]}
    return {"parentRefs": [SERVER], "rules": [matches | rule]}


def redirect(path: str) -> dict[str, Any]:
    change = {"type": "ReplaceFullPath", "replaceFullPath": path}
    return {"filters": [{"type": "RequestRedirect", "requestRedirect": {"path": change}}]}


def forward(**parent: Any) -> dict[str, Any]:
    rules = [{"backendRefs": [{"group": "policy.linkerd.ip", "kind": "EgressNetwork", "name": "all"}]}]
    return {"parentRefs": [EGRESS | parent], "rules": rules}


def limits(**more: Any) -> dict[str, Any]:
    account = {"group": "", "kind": "ServiceAccount", "name": "a"}
    return {
        "targetRef": SERVER,
        "total": {"requestsPerSecond": 1000},
        "identity": {"requestsPerSecond": 100},
        "overrides": [{"requestsPerSecond": 200, "clientRefs": [account]}],
    } | more


def workload(**more: Any) -> dict[str, Any]:
    return {"meshTLS": {"identity": "a", "serverName": "b"}, "ports": [{"port": 80}]} | more


V1A, V1B3, GW = f"{POLICY}/v1alpha1", f"{POLICY}/v1beta3", f"{GATEWAY}/v1"
AUTHZ, ROUTE, EXTERNAL = "AuthorizationPolicy", "HTTPRoute", f"{WORKLOAD}/v1beta1"


@pytest.mark.parametrize(
    ("api_version", "kind", "spec"),
    [
        pytest.param(V1A, AUTHZ, {"targetRef": SERVER, "requiredAuthenticationRefs": [MESH, NETWORK]}, id="125"),
        pytest.param(
            V1A, AUTHZ, {"targetRef": {"kind": "Namespace", "name": "a"}, "requiredAuthenticationRefs": []}, id="126"
        ),
        pytest.param(
            V1A, AUTHZ, {"targetRef": SERVER | {"kind": "HttpRoute"}, "requiredAuthenticationRefs": [MESH]}, id="128"
        ),
        pytest.param(V1A, AUTHZ, {"targetRef": SERVER, "requiredAuthenticationRefs": []}, id="131"),
        pytest.param(V1A, AUTHZ, {"targetRef": SERVER, "requiredAuthenticationRefs": [MESH, MESH]}, id="134 W"),
        pytest.param(V1A, "EgressNetwork", {"trafficPolicy": "Allow", "networks": [BLOCK]}, id="136"),
        pytest.param(V1A, "EgressNetwork", {"trafficPolicy": "Allow", "networks": []}, id="137 W"),
        pytest.param(V1A, "HTTPLocalRateLimitPolicy", limits(), id="140"),
        pytest.param(V1A, "HTTPLocalRateLimitPolicy", limits(identity={"requestsPerSecond": 2000}), id="142 W"),
        pytest.param(V1A, "HTTPLocalRateLimitPolicy", limits(total={"requestsPerSecond": -1}), id="corrections 9"),
        pytest.param(V1B3, ROUTE, http("/foo"), id="144"),
        pytest.param(V1B3, ROUTE, http() | {"parentRefs": [EGRESS]}, id="145"),
        pytest.param(V1B3, ROUTE, http("foo/bar"), id="147 W"),
        pytest.param(V1B3, ROUTE, http(**redirect("foo/bar")), id="148 W"),
        pytest.param(V1B3, ROUTE, {}, id="empty"),
        pytest.param(V1B3, ROUTE, http(timeouts={"request": "1d"}), id="corrections 9 W"),
        pytest.param(GW, ROUTE, http("/foo"), id="149"),
        pytest.param(
            GW,
            ROUTE,
            http(filters=[{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}}]),
            id="150",
        ),
        pytest.param(
            GW, ROUTE, http(filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "example.com"}}]), id="151"
        ),
        pytest.param(
            GW,
            ROUTE,
            http(filters=[{"type": "ExtensionRef", "extensionRef": {"group": "a.b", "kind": "C", "name": "d"}}]),
            id="152",
        ),
        pytest.param(
            GW,
            ROUTE,
            http(backendRefs=[{"group": "alien.example.com", "kind": "ExoService", "name": "a"}]),
            id="153",
        ),
        pytest.param(
            GW, ROUTE, http(backendRefs=[{"group": "core", "kind": "Service", "name": "a", "port": 8080}]), id="154"
        ),
        pytest.param(GW, ROUTE, http(backendRefs=[{"name": "a", "port": 8080}]), id="155"),
        pytest.param(GW, ROUTE, http(**redirect("foo/bar")), id="157 W"),
        pytest.param(GW, ROUTE, http(backendRefs=[{"group": "core", "kind": "Service", "name": "a"}]), id="158 W"),
        pytest.param(
            GW, "GRPCRoute", {"parentRefs": [EGRESS], "rules": [{"matches": [{"method": {"service": "a"}}]}]}, id="138"
        ),
        pytest.param(
            V1A, "MeshTLSAuthentication", {"identityRefs": [{"kind": "ServiceAccount", "name": "a"}]}, id="160"
        ),
        pytest.param(V1A, "MeshTLSAuthentication", {"identityRefs": [{"kind": "Namespace"}]}, id="no name W"),
        pytest.param(V1A, "MeshTLSAuthentication", {"identities": ["example.id"]}, id="163"),
        pytest.param(V1A, "NetworkAuthentication", {"networks": [BLOCK | {"except": ["10.1.0.7"]}]}, id="167"),
        pytest.param(V1A, "NetworkAuthentication", {"networks": [{"cidr": "bogus"}]}, id="170 W"),
        pytest.param(V1A, "NetworkAuthentication", {"networks": []}, id="171 W"),
        pytest.param(V1B3, "Server", {"podSelector": {}, "port": 80}, id="172"),
        pytest.param(V1B3, "Server", {"podSelector": {}, "port": 80, "accessPolicy": "foobar"}, id="175 W"),
        pytest.param(
            f"{POLICY}/v1beta1",
            "ServerAuthorization",
            {"server": {"name": "a"}, "client": {"unauthenticated": True, "networks": [BLOCK]}},
            id="176",
        ),
        pytest.param(f"{GATEWAY}/v1alpha2", "TCPRoute", forward(), id="183"),
        pytest.param(f"{GATEWAY}/v1alpha2", "TLSRoute", forward() | {"hostnames": []}, id="186"),
        pytest.param(f"{GATEWAY}/v1", "TLSRoute", forward() | {"hostnames": ["a.b"]}, id="corrections 8"),
        pytest.param(EXTERNAL, "ExternalWorkload", workload(workloadIPs=[{"ip": "::1"}, {"ip": "1.2.3.4"}]), id="two"),
    ],
)
def test_good_objects_are_let_in(client: httpx.Client, api_version: str, kind: str, spec: Any) -> None:
    """Numbers are those of the status specification; W marks what only a webhook refuses."""
    answer = judge(client, api_version, kind, spec)

    assert answer.status_code == httpx.codes.CREATED, answer.text


@pytest.mark.parametrize(
    ("api_version", "kind", "spec", "fields"),
    [
        pytest.param(
            V1A,
            AUTHZ,
            {"targetRef": SERVER, "requiredAuthenticationRefs": None},
            {"spec.requiredAuthenticationRefs"},
            id="132",
        ),
        pytest.param(V1A, AUTHZ, None, {"spec"}, id="no spec"),
        pytest.param(V1A, "EgressNetwork", {"trafficPolicy": "allow"}, {"spec.trafficPolicy"}, id="enum"),
        pytest.param(
            V1A,
            "HTTPLocalRateLimitPolicy",
            limits(total={"requestsPerSecond": 1 << 63}),
            {"spec.total.requestsPerSecond"},
            id="corrections 9",
        ),
        pytest.param(
            V1B3, ROUTE, http(filters=[{"type": "ResponseHeaderModifier"}]), {"spec.rules[0].filters[0].type"}, id="o"
        ),
        pytest.param(
            V1B3, ROUTE, http(timeouts={"request": "1"}), {"spec.rules[0].timeouts.request"}, id="corrections 9 format"
        ),
        pytest.param(
            V1B3, ROUTE, http() | {"parentRefs": [SERVER | {"port": 0}]}, {"spec.parentRefs[0].port"}, id="port"
        ),
        pytest.param(GW, ROUTE, http("foo"), {"spec.rules[0].matches[0].path"}, id="156"),
        pytest.param(GW, ROUTE, http(backendRefs=[{"name": "a"}]), {"spec.rules[0].backendRefs[0]"}, id="159"),
        pytest.param(GW, ROUTE, {"rules": []}, {"spec.rules"}, id="no rules"),
        pytest.param(V1A, "MeshTLSAuthentication", {}, {"spec.identities"}, id="164"),
        pytest.param(
            V1A,
            "MeshTLSAuthentication",
            {"identities": ["a"], "identityRefs": [{"kind": "Namespace", "name": "a"}]},
            {NOWHERE},
            id="165",
        ),
        pytest.param(V1A, "NetworkAuthentication", {"networks": [None]}, {"spec.networks[0]"}, id="corrections 9 null"),
        pytest.param(
            V1A,
            "Server",
            {"podSelector": {}, "port": {}, "proxyProtocol": "garbanzo"},
            {"spec.podSelector.matchExpressions", "spec.port"},
            id="174",
        ),
        pytest.param(V1B3, "Server", {"port": 80}, {"spec.podSelector"}, id="no selector"),
        pytest.param(
            V1B3,
            "Server",
            {"port": 80, "podSelector": {}, "externalWorkloadSelector": {}},
            {NOWHERE},
            id="two selectors",
        ),
        pytest.param(
            f"{POLICY}/v1beta1",
            "ServerAuthorization",
            {"server": {"name": "a"}, "client": {"meshTLS": {"identities": ["a.*"]}}},
            {"spec.client.meshTLS.identities[0]"},
            id="identity",
        ),
        pytest.param(f"{GATEWAY}/v1", "TLSRoute", forward(), {"spec.hostnames"}, id="corrections 8"),
        pytest.param(f"{GATEWAY}/v1alpha2", "TCPRoute", {"rules": []}, {"spec.rules"}, id="no rule"),
        pytest.param(
            EXTERNAL, "ExternalWorkload", workload(workloadIPs=[{"ip": "a"}] * 3), {"spec.workloadIPs"}, id="three"
        ),
    ],
)
def test_bad_objects_are_refused(
    client: httpx.Client, api_version: str, kind: str, spec: Any, fields: set[str]
) -> None:
    """With the fields that are to blame."""
    answer = judge(client, api_version, kind, spec)

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
    blamed = {cause["field"] for cause in answer.json()["details"]["causes"]}
    assert blamed | {NOWHERE} == fields | {NOWHERE}


def test_defaults_are_filled_in(client: httpx.Client) -> None:  # outbound 4.10
    """A route that says little matches every path, and its references are complete."""
    spec = {"parentRefs": [{"name": "a"}], "rules": [{"backendRefs": [{"name": "b", "port": 80}]}]}

    for api_version, group in ((V1B3, POLICY), (GW, GATEWAY)):
        assert judge(client, api_version, ROUTE, spec).json()["spec"] == {
            "parentRefs": [{"group": group, "kind": "Gateway", "name": "a"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"group": "", "kind": "Service", "name": "b", "port": 80, "weight": 1}],
                }
            ],
        }
    stored = judge(client, V1B3, "Server", {"port": 80, "podSelector": {}}).json()["spec"]
    assert stored == {"port": 80, "podSelector": {}, "proxyProtocol": "unknown", "accessPolicy": "deny"}


def test_unknown_fields_are_pruned_from_ours_and_kept_in_stand_ins(client: httpx.Client) -> None:
    """Nothing of a user's is lost where we only stand in for somebody else."""
    spec = http("/", novel={"a": 1})

    ours, stand_in = judge(client, V1B3, ROUTE, spec), judge(client, GW, ROUTE, spec)

    assert "novel" not in ours.json()["spec"]["rules"][0]
    assert 'unknown field \\"spec.rules[0].novel\\"' in ours.headers["Warning"]
    assert stand_in.json()["spec"]["rules"][0]["novel"] == {"a": 1}
    assert "Warning" not in stand_in.headers


def test_old_versions_warn(client: httpx.Client) -> None:
    """Users learn which version to write instead."""
    answer = judge(client, f"{POLICY}/v1beta1", "Server", {"port": 80, "podSelector": {}})

    assert "policy.linkerd.io/v1beta3 Server" in answer.headers["Warning"]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"least": 1, "most": 2, "windows": [{"name": "a"}, {"name": "b"}], "owner": "me"}, set()),
        ({"least": 3, "most": 2}, {"spec"}),
        ({"most": 2}, {"spec.least"}),
        ({"least": 1, "most": 2, "owner": "ME"}, {"spec.owner"}),
        ({"least": 1, "most": 2, "windows": [{"name": "a"}, {"name": "a"}]}, {"spec.windows[1]"}),
        ({"least": 1, "most": 2, "windows": [{"name": "a", "seconds": 3601}]}, {"spec.windows[0].seconds"}),
    ],
)
def test_a_kind_with_every_option_works(client: httpx.Client, spec: Any, fields: set[str]) -> None:  # runtime X12
    """Not only ours: markers mean to the API server what they say."""
    answer = judge(client, "policy.example.dev/v1", "Limit", spec).json()

    assert {cause["field"] for cause in answer.get("details", {}).get("causes", ())} - {NOWHERE} == fields


def test_what_is_immutable_stays(server: KubeServer) -> None:
    """A transition rule is evaluated on update."""
    limit = {
        "apiVersion": "policy.example.dev/v1",
        "kind": "Limit",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"least": 1, "most": 2},
    }
    server.apply(limit)

    said = server.kubectl("patch", "limit", "a", "--type=merge", "-p", '{"spec": {"most": 3}}', check=False)

    assert "spec.most: Invalid value: 3: cannot be changed" in said
    assert server.kubectl("get", "lim", "a", "-o", "jsonpath={.spec.replicas}") == "1"
    server.kubectl("scale", "limit", "a", "--replicas=5")
    assert server.kubectl("get", "lim", "a", "-o", "jsonpath={.spec.replicas}") == "5"
