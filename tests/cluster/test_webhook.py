"""A real API server asks the webhook about what people apply, and kubectl shows them the answer."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.cluster.conftest import apply_crds
from tests.cluster.processes import FLAGS, Controller, controller, eventually
from tests.kube import KubeServer, free_port, kube_server

pytestmark = pytest.mark.cluster

POLICY, GATEWAY = "policy.linkerd.io", "gateway.networking.k8s.io"
WEBHOOK = "linkerd-policy-validator.linkerd.io"
VERSIONS = {"Server": "v1beta3", "ServerAuthorization": "v1beta1", "HTTPRoute": "v1beta3"}
Json = Any


# The API server, the controller, and what connects them


def self_signed() -> tuple[bytes, bytes]:
    """A key and a certificate for 127.0.0.1, which is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "linkerd-policy-validator.linkerd.svc")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = Encoding.PEM
    return key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption()), made.public_bytes(pem)


def configuration(url: str, authority: bytes) -> Json:
    """What Linkerd's chart makes, but for the address."""
    policy = ["authorizationpolicies", "httplocalratelimitpolicies", "httproutes", "networkauthentications"]
    policy += ["meshtlsauthentications", "serverauthorizations", "servers", "egressnetworks"]
    routes = ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"]
    always = {"operations": ["CREATE", "UPDATE"], "apiVersions": ["*"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "linkerd-policy-validator-webhook-config"},
        "webhooks": [
            {
                "name": WEBHOOK,
                "clientConfig": {"url": url, "caBundle": base64.b64encode(authority).decode()},
                "rules": [
                    always | {"apiGroups": [POLICY], "resources": policy},
                    always | {"apiGroups": [GATEWAY], "resources": routes},
                ],
                "admissionReviewVersions": ["v1", "v1beta1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            }
        ],
    }


@attrs.frozen
class Judged:
    """An API server that has manifests judged."""

    kube: KubeServer
    trellis: Controller

    def apply(self, *manifests: Json) -> tuple[int, str]:
        """`kubectl apply`; exit code, and what it complains and warns of."""
        done = subprocess.run(
            [str(self.kube.assets / "kubectl"), f"--kubeconfig={self.kube.kubeconfig}", "apply", "-f", "-"],
            input="\n---\n".join(map(json.dumps, manifests)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def judged(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    """An API server of our own: while nobody answers its reviews, nobody could write policy."""
    folder = tmp_path_factory.mktemp("webhook")
    key, certificate = self_signed()
    (folder / "tls.key").write_bytes(key)
    (folder / "tls.crt").write_bytes(certificate)
    address = f"127.0.0.1:{free_port()}"
    flags = [flag for flag in FLAGS if flag != "--admission-controller-disabled"]
    flags += [f"--server-addr={address}"]
    flags += [f"--server-tls-key={folder / 'tls.key'}", f"--server-tls-certs={folder / 'tls.crt'}"]
    with kube_server(assets) as kube:
        apply_crds(kube)
        kube.kubectl("create", "namespace", "linkerd")
        with controller(kube, folder, *flags, always=()) as trellis:
            trellis.wait_ready()
            kube.kubectl("create", "-f", "-", stdin=json.dumps(configuration(f"https://{address}/", certificate)))
            found = Judged(kube, trellis)
            bad = manifest("Server", {"podSelector": {}, "port": 80, "accessPolicy": "foobar"})
            eventually(lambda: found.apply(bad)[0] != 0, "the API server asks the webhook")
            yield found


def manifest(kind: str, spec: Json, *, group: str = POLICY, version: str = "", name: str = "case") -> Json:
    version = version or ("v1" if group == GATEWAY else VERSIONS.get(kind, "v1alpha1"))
    metadata = {"namespace": "default", "name": name}
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": metadata, "spec": spec}


# Manifests


def ref(kind: str, name: str = "a", group: str = POLICY, **more: Json) -> Json:
    return {"group": group, "kind": kind, "name": name, **more}


def policy(target: Json, *refs: Json) -> Json:
    return manifest("AuthorizationPolicy", {"targetRef": target, "requiredAuthenticationRefs": list(refs)})


SERVER, EGRESS = ref("Server"), ref("EgressNetwork", port=555)
MESH, NETS = ref("MeshTLSAuthentication"), ref("NetworkAuthentication", namespace="other")


def egress(networks: Json) -> Json:
    return manifest("EgressNetwork", {"trafficPolicy": "Deny", "networks": networks})


def networks(*networks: Json) -> Json:
    return manifest("NetworkAuthentication", {"networks": list(networks)})


def authorization(version: str = "v1beta1", **client: Json) -> Json:
    return manifest("ServerAuthorization", {"server": {"name": "a"}, "client": client}, version=version)


def limit(target: Json = SERVER, total: int = 1000, identity: int = 100, override: int = 200) -> Json:
    clients = [{"group": "", "kind": "ServiceAccount", "name": "a"}]
    spec = {"targetRef": target, "total": {"requestsPerSecond": total}, "identity": {"requestsPerSecond": identity}}
    overrides = [{"requestsPerSecond": override, "clientRefs": clients}]
    return manifest("HTTPLocalRateLimitPolicy", spec | {"overrides": overrides})


def http(rule: Json, parent: Json = SERVER, group: str = POLICY) -> Json:
    return manifest("HTTPRoute", {"parentRefs": [parent], "rules": [rule]}, group=group)


def exact(path: str) -> Json:
    return {"matches": [{"path": {"type": "Exact", "value": path}}]}


def redirect(path: str) -> Json:
    full = {"type": "ReplaceFullPath", "replaceFullPath": path}
    return {**exact("/foo"), "filters": [{"type": "RequestRedirect", "requestRedirect": {"path": full}}]}


def filtered(kind: str, part: str, value: Json) -> Json:
    gateway = {"group": GATEWAY, "kind": "Gateway", "name": "a"}
    return http({"filters": [{"type": kind, part: value}]}, gateway, GATEWAY)


def backend(**fields: Json) -> Json:
    return http({"backendRefs": [{"name": "a", **fields}]}, SERVER, GATEWAY)


def grpc(parent: Json) -> Json:
    method = {"type": "Exact", "service": "boo", "method": "foo"}
    return manifest("GRPCRoute", {"parentRefs": [parent], "rules": [{"matches": [{"method": method}]}]}, group=GATEWAY)


def forward(kind: str, parent: Json, rules: int = 1) -> Json:
    spec: Json = {"parentRefs": [parent], "rules": [{"backendRefs": [ref("EgressNetwork", group="policy.linkerd.ip")]}]}
    spec["rules"] *= rules
    if kind == "TLSRoute":
        spec["hostnames"] = []
    return manifest(kind, spec, group=GATEWAY, version="v1alpha2")


def without_port(parent: Json) -> Json:
    return {key: value for key, value in parent.items() if key != "port"}


HOLED = ({"cidr": "10.1.0.0/24"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.0/28"]})
WHOLE = {"cidr": "10.1.1.0/24", "except": ["10.1.0.0/16"]}
OUTSIDE = {"cidr": "10.1.1.0/24", "except": ["10.1.2.0/24"]}
BARE = ({"cidr": "10.1.0.2"}, {"cidr": "10.1.1.0/24", "except": ["10.1.1.3"]})

GOOD = {
    125: policy(SERVER, MESH, NETS),
    126: policy(ref("Namespace", "default", ""), MESH),
    128: policy(ref("HttpRoute"), MESH),
    129: policy(SERVER, MESH),
    130: policy(SERVER, NETS),
    131: policy(SERVER),
    136: egress(HOLED),
    138: grpc(EGRESS),
    140: limit(),
    144: http(exact("/foo")),
    145: http(exact("/foo"), EGRESS),
    149: http(exact("/foo"), SERVER, GATEWAY),
    150: filtered("RequestMirror", "requestMirror", {"backendRef": {"name": "a", "port": 80}}),
    151: filtered("URLRewrite", "urlRewrite", {"hostname": "a.b"}),
    152: filtered("ExtensionRef", "extensionRef", {"group": "a.b", "kind": "C", "name": "d"}),
    153: backend(group="alien.example.com", kind="ExoService"),
    154: backend(group="core", kind="Service", port=8080),
    155: backend(port=8080),
    160: manifest("MeshTLSAuthentication", {"identityRefs": [ref("ServiceAccount", group="")]}),
    161: manifest("MeshTLSAuthentication", {"identityRefs": [ref("Namespace", group="")]}),
    163: manifest("MeshTLSAuthentication", {"identities": ["example.id"]}),
    166: networks(*HOLED),
    167: networks({"cidr": "10.1.0.0/16", "except": ["10.1.1.1"]}),
    172: manifest("Server", {"podSelector": {}, "port": 80}),
    176: authorization(unauthenticated=True, networks=HOLED),
    180: authorization(unauthenticated=True, networks=BARE),
    183: forward("TCPRoute", EGRESS),
    186: forward("TLSRoute", EGRESS),
}

NO_PORT = "spec.parentRefs[0].port: must be set: EgressNetwork a takes routes per port"
REDIRECT = "spec.rules[0].filters[0].requestRedirect.path.replaceFullPath: 'foo/bar' does not begin with a slash"
TOTAL = "2000 is more than spec.total.requestsPerSecond, 1000"
LEAVES, NOT_INSIDE = "10.1.0.0/16 leaves nothing of 10.1.1.0/24", "10.1.2.0/24 is not inside of 10.1.1.0/24"
HOLE = "spec.networks[0].except[0]: "
BOGUS = "'bogus' is neither an address nor a CIDR such as 10.0.0.0/8"
DEPLOYMENT = ref("Deployment", group="apps")

REFUSED = {  # by the webhook
    127: (policy(ref("Namespace", "foobar", "")), "spec.targetRef.name: cannot target another namespace: foobar"),
    133: (
        policy(DEPLOYMENT),
        "spec.targetRef: Deployment.apps cannot be the target of an AuthorizationPolicy (use Server",
    ),
    134: (policy(SERVER, MESH, MESH), "spec.requiredAuthenticationRefs[1]: only one MeshTLSAuthentication may be"),
    135: (policy(SERVER, NETS, NETS), "spec.requiredAuthenticationRefs[1]: only one NetworkAuthentication may be"),
    137: (egress([]), "spec.networks: must have at least one network"),
    139: (grpc(without_port(EGRESS)), NO_PORT),
    141: (limit(DEPLOYMENT), "spec.targetRef: Deployment.apps cannot be limited, only Server of policy.linkerd.io"),
    142: (limit(identity=2000), f"spec.identity.requestsPerSecond: {TOTAL}"),
    143: (limit(identity=2000, override=2000), f"spec.overrides[0].requestsPerSecond: {TOTAL}"),
    146: (http(exact("/foo"), without_port(EGRESS)), NO_PORT),
    147: (http(exact("foo/bar")), "spec.rules[0].matches[0].path.value: 'foo/bar' does not begin with a slash"),
    148: (http(redirect("foo/bar")), REDIRECT),
    157: (http(redirect("foo/bar"), SERVER, GATEWAY), REDIRECT),
    158: (backend(group="core", kind="Service"), "spec.rules[0].backendRefs[0].port: must be set: a is a Service"),
    162: (
        manifest("MeshTLSAuthentication", {"identityRefs": [ref("Namespace", group="", namespace="b")]}),
        "spec.identityRefs[0].namespace: a Namespace is in no namespace",
    ),
    168: (networks(WHOLE), HOLE + LEAVES),
    169: (networks(OUTSIDE), HOLE + NOT_INSIDE),
    170: (networks({"cidr": "10.1.1.0/24", "except": ["bogus"]}), f"spec.networks[0]: {BOGUS}"),
    171: (networks(), "spec.networks: must have at least one network"),
    175: (
        manifest("Server", {"podSelector": {}, "port": 80, "accessPolicy": "foobar"}),
        "spec.accessPolicy: 'foobar' is not one of all-authenticated, ",
    ),
    177: (authorization(unauthenticated=True, networks=[WHOLE]), f"spec.client.networks[0].except[0]: {LEAVES}"),
    178: (
        authorization(unauthenticated=True, meshTLS={"identities": ["*"]}),
        "spec.client: unauthenticated and meshTLS exclude each other",
    ),
    179: (
        authorization(meshTLS={"unauthenticatedTLS": True, "identities": ["*"]}),
        "spec.client.meshTLS: unauthenticatedTLS excludes identities",
    ),
    181: (authorization(unauthenticated=True, networks=[OUTSIDE]), f"spec.client.networks[0].except[0]: {NOT_INSIDE}"),
    182: (
        authorization("v1alpha1", unauthenticated=True, networks=[{"cidr": "bogus"}]),
        f"spec.client.networks[0]: {BOGUS}",
    ),
    184: (forward("TCPRoute", without_port(EGRESS)), NO_PORT),
    185: (forward("TCPRoute", EGRESS, 2), "spec.rules: TCPRoute needs to have one rule, not 2"),
    187: (forward("TLSRoute", without_port(EGRESS)), NO_PORT),
    188: (forward("TLSRoute", EGRESS, 2), "spec.rules: TLSRoute needs to have one rule, not 2"),
}

BY_SCHEMA = {  # or by the webhook behind it, where the schema of the cluster's Gateway API is lax
    132: manifest("AuthorizationPolicy", {"targetRef": SERVER, "requiredAuthenticationRefs": None}),
    156: http(exact("foo"), SERVER, GATEWAY),
    159: backend(),
    164: manifest("MeshTLSAuthentication", {}),
    165: manifest("MeshTLSAuthentication", {"identities": ["a"], "identityRefs": [ref("Namespace", group="")]}),
    174: manifest("Server", {"podSelector": {}, "port": 80, "proxyProtocol": "garbanzo"}, version="v1alpha1"),
}


@pytest.mark.parametrize("number", GOOD)  # each is named by its scenario: status 125 to status 186
def test_good_manifests_are_accepted(judged: Judged, number: int) -> None:
    """Without a warning."""
    given = json.loads(json.dumps(GOOD[number]))
    given["metadata"]["name"] = f"good-{number}"

    code, errors = judged.apply(given)

    # kubectl itself may have something to say about versions.
    assert (code, [line for line in errors.splitlines() if "deprecated" not in line]) == (0, [])


@pytest.mark.parametrize("number", REFUSED)  # status 127 to status 188
def test_bad_manifests_are_refused(judged: Judged, number: int) -> None:
    """The message says where, what and why, and kubectl shows all of it."""
    given, finding = REFUSED[number]

    code, errors = judged.apply(given)

    assert code == 1
    assert f'admission webhook "{WEBHOOK}" denied the request: ' in errors
    assert finding in errors


@pytest.mark.parametrize("number", BY_SCHEMA)  # status 132 to status 174
def test_ill_formed_manifests_are_refused(judged: Judged, number: int) -> None:
    """By whoever is asked first."""
    code, errors = judged.apply(BY_SCHEMA[number])

    assert code == 1
    assert "invalid" in errors.lower() or "denied the request" in errors


def test_an_update_that_changes_nothing_is_accepted(judged: Judged) -> None:  # status 173
    """And one that makes it bad is not."""
    given = manifest("Server", {"podSelector": {}, "port": 80}, name="patched")
    assert judged.apply(given)[0] == 0

    patch = ("-n", "default", "patch", "server", "patched", "--type=merge", "-p")
    judged.kube.kubectl(*patch, json.dumps({"spec": given["spec"]}))
    refused = judged.kube.kubectl(*patch, json.dumps({"spec": {"accessPolicy": "foobar"}}), check=False)
    assert "denied the request: spec.accessPolicy: 'foobar' is not one of" in refused


def test_surprises_are_shown(judged: Judged) -> None:
    """kubectl prints them as warnings, and the object is stored."""
    labels = {"app": "web", "linkerd.io/control-plane-ns": "linkerd"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "odd", "name": "web-0", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }
    judged.kube.kubectl("create", "namespace", "odd")
    judged.kube.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    given = manifest("Server", {"podSelector": {"matchLabels": {"app": "wed"}}, "port": 80})
    given["metadata"]["namespace"] = "odd"

    def warnings() -> str | None:
        judged.kube.kubectl("-n", "odd", "delete", "server", "--all")
        code, errors = judged.apply(given)
        assert code == 0
        return errors or None

    shown = eventually(warnings, "the controller knows the pod")
    assert shown == "Warning: spec.podSelector: selects none of 1 meshed pod here\n"


def test_reviews_are_counted(judged: Judged) -> None:
    """By kind and verdict; none took longer than a person would notice."""
    judged.apply(REFUSED[175][0])
    judged.apply(GOOD[172])

    for allowed in ("true", "false"):
        labels = f'{{allowed="{allowed}",kind="Server.policy.linkerd.io",operation="CREATE"}}'
        assert judged.trellis.metric(f"admission_reviews_total{labels}") >= 1
    seen = judged.trellis.metric("admission_review_duration_seconds_count")
    assert judged.trellis.metric('admission_review_duration_seconds_bucket{le="0.1"}') == seen > 0
