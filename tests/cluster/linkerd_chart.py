"""What of an installation by Linkerd's chart has to do with its policy container: rights, Deployment, webhook."""

from __future__ import annotations

from tests.manifests import GATEWAY, POLICY, Manifest

NAMESPACE = "linkerd"
USER = f"system:serviceaccount:{NAMESPACE}:linkerd-destination"
ACCOUNT = {"kind": "ServiceAccount", "name": "linkerd-destination", "namespace": NAMESPACE}

_READ = ["get", "list", "watch"]
_GATEWAY_ROUTES = ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"]
_POLICIES = [
    "authorizationpolicies",
    "httplocalratelimitpolicies",
    "httproutes",
    "meshtlsauthentications",
    "networkauthentications",
    "servers",
    "serverauthorizations",
    "egressnetworks",
]

POLICY_RULES = (
    ("", ["pods"], _READ),
    ("apps", ["deployments"], ["get"]),
    (POLICY, _POLICIES, _READ),
    (GATEWAY, _GATEWAY_ROUTES, _READ),
    (POLICY, [f"{name}/status" for name in ("httproutes", "httplocalratelimitpolicies", "egressnetworks")], ["patch"]),
    (GATEWAY, [f"{name}/status" for name in _GATEWAY_ROUTES], ["patch"]),
    ("workload.linkerd.io", ["externalworkloads"], _READ),
    ("coordination.k8s.io", ["leases"], ["create", "get", "patch"]),
)
# Of the destination container beside it, whose account it shares.
DESTINATION_RULES = (("", ["pods", "endpoints", "services", "nodes"], ["list", "get", "watch"]),)

# As `linkerd install` has them with nothing chosen.
ARGUMENTS = (
    "--admin-addr=0.0.0.0:9990",
    f"--control-plane-namespace={NAMESPACE}",
    "--grpc-addr=0.0.0.0:8090",
    "--server-addr=0.0.0.0:9443",
    "--server-tls-key=/var/run/linkerd/tls/tls.key",
    "--server-tls-certs=/var/run/linkerd/tls/tls.crt",
    "--cluster-networks=10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8",
    "--identity-domain=cluster.local",
    "--cluster-domain=cluster.local",
    "--default-policy=all-unauthenticated",
    "--log-level=info",
    "--log-format=plain",
    "--default-opaque-ports=25,587,3306,4444,5432,6379,9300,11211",
    "--global-egress-network-namespace=linkerd-egress",
    "--probe-networks=0.0.0.0/0,::/0",
)


def objects() -> tuple[Manifest, ...]:
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("linkerd-destination", namespace=NAMESPACE)},
        *_role("linkerd-policy", "linkerd-destination-policy", POLICY_RULES),
        *_role(f"linkerd-{NAMESPACE}-destination", f"linkerd-{NAMESPACE}-destination", DESTINATION_RULES),
        deployment(),
    )


def deployment() -> Manifest:
    labels = {"linkerd.io/control-plane-component": "destination", "linkerd.io/control-plane-ns": NAMESPACE}
    tls = {"name": "policy-tls", "mountPath": "/var/run/linkerd/tls", "readOnly": True}
    policy = {
        "name": "policy",
        "image": "cr.l5d.io/linkerd/controller:stable",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/linkerd-policy-controller"],
        "args": list(ARGUMENTS),
        "livenessProbe": {"httpGet": {"path": "/live", "port": "policy-admin"}, "initialDelaySeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "policy-admin"}, "failureThreshold": 7},
        "ports": [
            {"containerPort": 8090, "name": "policy-grpc"},
            {"containerPort": 9990, "name": "policy-admin"},
            {"containerPort": 9443, "name": "policy-https"},
        ],
        "securityContext": {
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 2103,
            "allowPrivilegeEscalation": False,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [tls],
    }
    others = [
        {"name": name, "image": f"cr.l5d.io/linkerd/{image}:stable", "args": [name]}
        for name, image in (("linkerd-proxy", "proxy"), ("destination", "controller"), ("sp-validator", "controller"))
    ]
    pod = {
        "serviceAccountName": "linkerd-destination",
        "containers": [*others, policy],
        "volumes": [{"name": "policy-tls", "secret": {"secretName": "linkerd-policy-validator-k8s-tls"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _named("linkerd-destination", namespace=NAMESPACE),
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def pod_monitors() -> Manifest:
    """The definition of the Prometheus operator's PodMonitor, as far as Linkerd and we use it."""
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    endpoint = {name: {"type": "string"} for name in ("port", "path", "interval")}
    spec = {
        "type": "object",
        "required": ["selector"],
        "properties": {
            "selector": {"type": "object", "properties": {"matchLabels": labels}},
            "podMetricsEndpoints": {"type": "array", "items": {"type": "object", "properties": endpoint}},
        },
    }
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": _named("podmonitors.monitoring.coreos.com"),
        "spec": {
            "group": "monitoring.coreos.com",
            "names": {"kind": "PodMonitor", "plural": "podmonitors", "singular": "podmonitor"},
            "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


def _named(name: str, **more: str) -> Manifest:
    return {"name": name, **more}


def _role(name: str, binding: str, rules: tuple[tuple[str, list[str], list[str]], ...]) -> tuple[Manifest, Manifest]:
    rbac = "rbac.authorization.k8s.io"
    role = [{"apiGroups": [group], "resources": resources, "verbs": verbs} for group, resources, verbs in rules]
    return (
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": _named(name), "rules": role},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _named(binding),
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [ACCOUNT],
        },
    )
