"""What the server adds to built-in objects, and what it refuses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.contract.servers import MERGE, TABLE, Json, Server, config_map, deployment, pod, service, told

_C = "spec.containers[0]"
_CONTAINER = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}


def _pod(**spec: Any) -> Json:
    body = pod("a")
    body["spec"] |= spec
    return body


def test_defaults_of_pods(server: Server, namespace: str) -> None:
    """A pod gets everything that a kubelet wants to know."""
    created = server.create(f"{namespace}/pods", pod("a"))

    eviction = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    assert created["spec"] == {
        "containers": [{"name": "main", "image": "image:1", "imagePullPolicy": "IfNotPresent", **_CONTAINER}],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", **eviction},
            {"key": "node.kubernetes.io/unreachable", **eviction},
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("image", "Always"),
        ("image:latest", "Always"),
        ("image:1", "IfNotPresent"),
        ("host:5000/image", "Always"),
        ("host:5000/image:1", "IfNotPresent"),
        ("image@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policies(server: Server, namespace: str, image: str, policy: str) -> None:
    """Only an image that may move is pulled each time."""
    created = server.create(f"{namespace}/pods", _pod(containers=[{"name": "c", "image": image}]))

    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_defaults_of_probes_and_ports(server: Server, namespace: str) -> None:
    """Probes have intervals, HTTP probes a path, ports a protocol."""
    container = {
        "name": "c",
        "image": "i:1",
        "ports": [{"containerPort": 80, "name": "http"}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "readinessProbe": {"tcpSocket": {"port": "http"}, "initialDelaySeconds": 0},
    }
    timing = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}

    found = server.create(f"{namespace}/pods", _pod(containers=[container]))["spec"]["containers"][0]

    assert found["ports"] == [{"containerPort": 80, "name": "http", "protocol": "TCP"}]
    assert found["livenessProbe"] == {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, **timing}
    assert found["readinessProbe"] == {"tcpSocket": {"port": "http"}, **timing}


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "0.5"}}, "Burstable"),
    ],
)
def test_quality_of_service(server: Server, namespace: str, resources: Json, quality: str) -> None:
    """A pod's class follows from what its containers request and are limited to."""
    created = server.create(f"{namespace}/pods", _pod(containers=[{"name": "c", "image": "i", "resources": resources}]))

    assert created["status"]["qosClass"] == quality


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        (1, "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1e3"),
        ("100k", "100k"),
    ],
)
def test_quantities_have_one_spelling(server: Server, namespace: str, written: Any, stored: str) -> None:
    """Equal quantities are stored alike."""
    container = {"name": "c", "image": "i", "resources": {"requests": {"memory": written}}}

    created = server.create(f"{namespace}/pods", _pod(containers=[container]))

    assert created["spec"]["containers"][0]["resources"]["requests"]["memory"] == stored


def _with_port(port: Json) -> Json:
    return {"containers": [{"name": "c", "image": "i", "ports": [port]}]}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"containers": []}, ["spec.containers"]),
        ({"containers": [{"image": "i"}]}, ["spec.containers[0].name"]),
        ({"containers": [{"name": "c"}]}, ["spec.containers[0].image"]),
        ({"containers": [{"name": "C", "image": "i"}]}, ["spec.containers[0].name"]),
        ({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}, ["spec.containers[1].name"]),
        ({"restartPolicy": "Sometimes"}, ["spec.restartPolicy"]),
        (_with_port({"containerPort": 0}), [f"{_C}.ports[0].containerPort"]),
        (_with_port({"containerPort": 70000}), [f"{_C}.ports[0].containerPort"]),
        (_with_port({"containerPort": 1, "name": "Bad"}), [f"{_C}.ports[0].name"]),
        (_with_port({"containerPort": 1, "protocol": "ICMP"}), [f"{_C}.ports[0].protocol"]),
        (
            {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
            [f"{_C}.volumeMounts[0].name"],
        ),
        ({"containers": [{"name": "c", "image": "i", "livenessProbe": {}}]}, ["spec.containers[0].livenessProbe"]),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, ["spec.volumes[1].name"]),
    ],
)
def test_pods_that_make_no_sense(server: Server, namespace: str, spec: Json, fields: list[str]) -> None:
    """A pod has containers with names, images and ports in range."""
    assert told(server.post(f"{namespace}/pods", _pod(**spec))) == (422, "Invalid", fields)


@pytest.mark.parametrize("kind", ["Role", "RoleBinding"])
def test_access_is_created_by_an_update(server: Server, namespace: str, kind: str) -> None:
    """A role or a binding that is missing is created by an update."""
    group = "rbac.authorization.k8s.io"
    body: Json = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "a"}}
    if kind == "RoleBinding":
        body["roleRef"] = {"apiGroup": group, "kind": "Role", "name": "a"}
    base = namespace.replace("/api/v1", f"/apis/{group}/v1")

    assert server.put(f"{base}/{kind.lower()}s/a", body).status_code == 201


@pytest.mark.parametrize(
    ("subject", "fields"),
    [
        ({"kind": "ServiceAccount", "name": "x", "namespace": "y"}, []),
        ({"kind": "ServiceAccount", "name": "x"}, []),
        ({"kind": "ServiceAccount", "name": "X y", "namespace": "y"}, ["subjects[0].name"]),
        ({"kind": "ServiceAccount", "name": "x", "apiGroup": "z"}, ["subjects[0].apiGroup"]),
        ({"kind": "User", "name": "X y"}, []),
        ({"kind": "Group"}, ["subjects[0].name"]),
        ({"kind": "Robot", "name": "x"}, ["subjects[0].kind"]),
    ],
)
def test_subjects_of_bindings(server: Server, namespace: str, subject: Json, fields: list[str]) -> None:
    """A binding is for accounts, users and groups, by name."""
    group = "rbac.authorization.k8s.io"
    body = {
        "metadata": {"name": "a"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "a"},
        "subjects": [subject],
    }

    response = server.post(f"{namespace.replace('/api/v1', f'/apis/{group}/v1')}/rolebindings", body)

    assert (told(response)[2] if fields else response.status_code) == (fields or 201)


def test_an_empty_list_of_rules_is_null(server: Server, namespace: str) -> None:
    """Protocol Buffers know no empty list."""
    path = f"{namespace.replace('/api/v1', '/apis/rbac.authorization.k8s.io/v1')}/roles"
    assert server.create(path, {"metadata": {"name": "a"}, "rules": []})["rules"] is None


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"addressType": "IPv5"}, ["addressType"]),
        ({"endpoints": [{"addresses": []}]}, ["endpoints[0].addresses"]),
        ({"endpoints": [{"addresses": ["1.5"]}]}, ["endpoints[0].addresses[0]"]),
        ({"ports": []}, []),
    ],
)
def test_slices_of_endpoints(server: Server, namespace: str, change: Json, fields: list[str]) -> None:
    """A slice has addresses of its type."""
    path = f"{namespace.replace('/api/v1', '/apis/discovery.k8s.io/v1')}/endpointslices"
    body = {"metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], **change}

    response = server.post(path, body)

    assert (told(response)[2] if fields else response.status_code) == (fields or 201)


@pytest.mark.parametrize("number", [1 << 31, 1e30, 1.5, "80"])
def test_numbers_that_do_not_fit(server: Server, namespace: str, number: Json) -> None:
    """A number must fit into its field."""
    body = pod("a")
    body["spec"]["containers"][0]["ports"] = [{"containerPort": number}]
    assert told(server.post(f"{namespace}/pods", body)) == (400, "BadRequest", [])


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({"operations": []}, ["operations"]),
        ({"operations": ["*", "CREATE"]}, ["operations"]),
        ({"operations": ["GET"]}, ["operations[0]"]),
        ({"apiGroups": []}, ["apiGroups"]),
        ({"apiGroups": ["*", "x"]}, ["apiGroups"]),
        ({"apiVersions": [""]}, ["apiVersions[0]"]),
        ({"resources": []}, ["resources"]),
        ({"resources": ["*/*", "pods"]}, ["resources"]),
        ({"resources": ["*", "pods"]}, ["resources"]),
        ({"scope": "Some"}, ["scope"]),
    ],
)
def test_rules_of_webhooks(server: Server, rule: Json, fields: list[str]) -> None:
    """A rule names something of everything, and nothing beside everything."""
    given = {"operations": ["CREATE"], "apiGroups": ["x.test"], "apiVersions": ["v1"], "resources": ["pods"], **rule}
    hook = {
        "name": "a.contract.test",
        "clientConfig": {"url": "https://contract.test/"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [given],
    }
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?dryRun=All"

    response = server.post(path, {"metadata": {"name": "contract"}, "webhooks": [hook]})

    assert told(response) == (422, "Invalid", [f"webhooks[0].rules[0].{field}" for field in fields])


def test_a_pod_can_be_replaced_by_its_manifest(server: Server, namespace: str) -> None:
    """What the server has added to a pod may be missing from an update."""
    server.create(f"{namespace}/pods", pod("a"))
    manifest = pod("a")
    manifest["spec"]["containers"][0]["image"] = "image:2"

    response = server.put(f"{namespace}/pods/a", manifest)

    assert response.status_code == 200
    assert response.json()["spec"]["containers"][0]["image"] == "image:2"


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("host:5000/a", "Always"),
        ("host/a/b:1", "IfNotPresent"),
        ("a@sha256:" + "0" * 64, "IfNotPresent"),
        ("a:latest@sha256:" + "0" * 64, "Always"),
        ("A", "IfNotPresent"),
        ("a b", "IfNotPresent"),
    ],
)
def test_when_an_image_is_pulled(server: Server, namespace: str, image: str, policy: str) -> None:
    """An image of no version, or the latest, is pulled each time; others and unreadable ones are not."""
    manifest = pod("a")
    manifest["spec"]["containers"][0]["image"] = image
    assert server.create(f"{namespace}/pods", manifest)["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_pods_spec_is_fixed(server: Server, namespace: str) -> None:
    """Of a pod's spec only images, deadlines and more tolerations can be changed."""
    path = f"{namespace}/pods/a"
    server.create(f"{namespace}/pods", pod("a"))

    image = server.patch(path, [{"op": "replace", "path": "/spec/containers/0/image", "value": "image:2"}],
                         "application/json-patch+json")  # fmt: skip
    other = server.patch(path, {"spec": {"nodeName": "elsewhere"}}, MERGE)

    assert image.status_code == 200
    assert told(other) == (422, "Invalid", ["spec"])


def test_a_pods_status_can_be_written(server: Server, namespace: str) -> None:
    """A kubelet reports addresses and phases, and the table shows them."""
    server.create(f"{namespace}/pods", pod("a"))
    status = {
        "phase": "Running",
        "podIP": "10.1.2.3",
        "podIPs": [{"ip": "10.1.2.3"}],
        "containerStatuses": [
            {
                "name": "main",
                "image": "image:1",
                "imageID": "",
                "ready": True,
                "restartCount": 2,
                "state": {"running": {}},
            }
        ],
    }

    response = server.patch(f"{namespace}/pods/a/status", {"status": status}, MERGE)
    cells = server.get(f"{namespace}/pods", accept=TABLE).json()["rows"][0]["cells"]

    assert response.status_code == 200
    assert cells[:3] == ["a", "1/1", "Running"]
    assert cells[3].startswith("2")
    assert cells[5] == "10.1.2.3"


# --- services


def test_defaults_of_services(server: Server, namespace: str) -> None:
    """A service gets an address of its own."""
    created = server.create(f"{namespace}/services", service("a", ports=[{"port": 80}], selector={"app": "web"}))
    spec = created["spec"]
    address = spec.pop("clusterIP")

    assert ip_address(address) in ip_network("10.96.0.0/12")
    assert spec == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"app": "web"},
        "clusterIPs": [address],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }
    assert created["status"] == {"loadBalancer": {}}


def test_addresses_are_not_shared(server: Server, namespace: str) -> None:
    """No two services have the same address, and a given one is taken once."""
    path = f"{namespace}/services"
    addresses = [server.create(path, service(name, ports=[{"port": 80}]))["spec"]["clusterIP"] for name in "abc"]

    response = server.post(path, service("d", ports=[{"port": 80}], clusterIP=addresses[0]))

    assert len(set(addresses)) == 3
    assert told(response) == (422, "Invalid", ["spec.clusterIPs"])


def test_an_address_stays(server: Server, namespace: str) -> None:
    """A service that is replaced without its address keeps it, and cannot have another."""
    path = f"{namespace}/services"
    first = server.create(path, service("a", ports=[{"port": 80}]))["spec"]["clusterIP"]
    second = server.put(f"{path}/a", service("a", ports=[{"port": 81}])).json()["spec"]["clusterIP"]
    response = server.patch(f"{path}/a", {"spec": {"clusterIP": "10.96.77.77"}}, MERGE)

    assert second == first
    assert told(response) == (422, "Invalid", ["spec.clusterIPs[0]"])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIP": "None", "selector": {"a": "b"}}, {"clusterIP": "None", "ipFamilyPolicy": "SingleStack"}),
        ({"type": "ExternalName", "externalName": "a.b.c"}, {"type": "ExternalName", "externalName": "a.b.c"}),
        ({"type": "NodePort", "ports": [{"port": 80}]}, {"type": "NodePort", "externalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer", "ports": [{"port": 80}]}, {"allocateLoadBalancerNodePorts": True}),
        (
            {"ports": [{"port": 80}], "sessionAffinity": "ClientIP"},
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}},
        ),
    ],
)  # fmt: skip
def test_types_of_services(server: Server, namespace: str, spec: Json, expected: Json) -> None:
    """Services of other types get what belongs to their type."""
    found = server.create(f"{namespace}/services", service("a", **spec))["spec"]

    assert {key: found.get(key) for key in expected} == expected
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        assert 30000 <= found["ports"][0]["nodePort"] <= 32767
    if spec.get("type") == "ExternalName":
        assert "clusterIP" not in found


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({}, ["spec.ports"]),
        ({"ports": [{"port": 0}]}, ["spec.ports[0].port", "spec.ports[0].targetPort"]),
        ({"ports": [{"port": 80}, {"port": 81}]}, ["spec.ports[0].name", "spec.ports[1].name"]),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, ["spec.ports[1].name"]),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}, ["spec.ports[1]"]),
        ({"ports": [{"port": 80, "protocol": "ICMP"}]}, ["spec.ports[0].protocol"]),
        ({"ports": [{"port": 80, "targetPort": "Bad_"}]}, ["spec.ports[0].targetPort"]),
        ({"ports": [{"port": 80}], "type": "Strange"}, ["spec.type"]),
        ({"ports": [{"port": 80}], "clusterIP": "nowhere"}, ["spec.clusterIPs[0]"]),
        ({"type": "ExternalName"}, ["spec.externalName"]),
    ],
)
def test_services_that_make_no_sense(server: Server, namespace: str, spec: Json, fields: list[str]) -> None:
    """A service has ports in range, with names where there are several."""
    found = told(server.post(f"{namespace}/services", service("a", **spec)))

    assert found[:2] == (422, "Invalid")
    assert set(found[2]) <= set(fields)
    assert found[2]


# --- workloads


def test_defaults_of_deployments(server: Server, namespace: str) -> None:
    """A deployment has one replica, rolls, and defaults its pods."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"

    created = server.create(path, deployment("web", {"name": "c", "image": "i:1"}))

    spec = created["spec"]
    template = spec.pop("template")
    assert spec == {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert template["spec"]["containers"] == [
        {"name": "c", "image": "i:1", "imagePullPolicy": "IfNotPresent", **_CONTAINER}
    ]
    assert "tolerations" not in template["spec"]
    assert created["status"] == {}
    assert created["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"selector": None}, "spec.selector"),
        ({"selector": {"matchLabels": {"other": "x"}}}, "spec.template.metadata.labels"),
        ({"replicas": -1}, "spec.replicas"),
    ],
)
def test_deployments_that_make_no_sense(server: Server, namespace: str, change: Json, field: str) -> None:
    """A deployment selects the pods that it makes."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    body = deployment("web", {"name": "c", "image": "i:1"})
    body["spec"] |= change

    found = told(server.post(path, body))

    assert found[:2] == (422, "Invalid")
    assert field in found[2]


def test_a_selector_stays(server: Server, namespace: str) -> None:
    """A deployment cannot change which pods are its own."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    server.create(path, deployment("web", {"name": "c", "image": "i:1"}))
    change = {"spec": {"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}}

    found = told(server.patch(f"{path}/web", change, MERGE))

    assert "spec.selector" in found[2]


def test_scale(server: Server, namespace: str) -> None:
    """The scale of a workload is its replicas and its selector."""
    path = namespace.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    server.create(path, deployment("web", {"name": "c", "image": "i:1"}, replicas=2))

    found = server.get(f"{path}/web/scale").json()
    found["spec"]["replicas"] = 4
    after = server.put(f"{path}/web/scale", found).json()

    assert (found["kind"], found["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert found["status"] == {"replicas": 0, "selector": "app=web"}
    assert after["spec"] == {"replicas": 4}
    assert server.get(f"{path}/web").json()["spec"]["replicas"] == 4


# --- configuration


def test_secrets(server: Server, namespace: str) -> None:
    """Plain strings of a secret become data, and only base64 is data."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"k": "v"}}

    created = server.create(f"{namespace}/secrets", body)
    response = server.post(f"{namespace}/secrets", {**body, "metadata": {"name": "b"}, "data": {"x": "!!"}})

    assert created["data"] == {"k": "dg=="}
    assert created["type"] == "Opaque"
    assert "stringData" not in created
    assert told(response)[0] == 400


@pytest.mark.parametrize("change", [{"data": {"k": "2"}}, {"immutable": None}])
def test_immutable_config_maps(server: Server, namespace: str, change: Json) -> None:
    """A config map that is immutable stays as it is, and immutable."""
    server.create(f"{namespace}/configmaps", {**config_map("a", {"k": "1"}), "immutable": True})

    assert told(server.patch(f"{namespace}/configmaps/a", change, MERGE))[0] == 422


# --- leases and events


def _lease(**spec: Any) -> Json:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}, "spec": spec}


def test_leases_keep_microseconds(server: Server, namespace: str) -> None:
    """The times of a lease have six digits of fraction, neither fewer nor more."""
    path = namespace.replace("/api/v1", "/apis/coordination.k8s.io/v1") + "/leases"
    moment = "2024-01-01T00:00:00.123456Z"

    created = server.create(path, _lease(holderIdentity="me", renewTime=moment, leaseDurationSeconds=15))
    response = server.put(f"{path}/a", _lease(renewTime="2024-01-01T00:00:00Z"))

    assert created["spec"] == {"holderIdentity": "me", "renewTime": moment, "leaseDurationSeconds": 15}
    assert told(response)[0] == 400


def test_only_one_claims_a_lease(server: Server, namespace: str) -> None:
    """Of two who saw the same lease, the second one to write conflicts."""
    path = namespace.replace("/api/v1", "/apis/coordination.k8s.io/v1") + "/leases"
    created = server.create(path, _lease(holderIdentity="nobody"))

    first = server.put(f"{path}/a", {**created, "spec": {"holderIdentity": "one"}})
    second = server.put(f"{path}/a", {**created, "spec": {"holderIdentity": "two"}})

    assert first.status_code == 200
    assert told(second)[:2] == (409, "Conflict")
    assert server.get(f"{path}/a").json()["spec"]["holderIdentity"] == "one"


@pytest.mark.parametrize("spec", [{"leaseDurationSeconds": 0}, {"leaseTransitions": -1}])
def test_leases_that_make_no_sense(server: Server, namespace: str, spec: Json) -> None:
    """A lease lasts, and its transitions are counted from zero."""
    path = namespace.replace("/api/v1", "/apis/coordination.k8s.io/v1") + "/leases"

    assert told(server.post(path, _lease(**spec)))[:2] == (422, "Invalid")


def test_events_live_beside_what_they_are_about(server: Server, namespace: str) -> None:
    """An event is in the namespace of its object, and can be selected by it."""
    name = namespace.rpartition("/")[2]
    about = {"kind": "Pod", "name": "a", "namespace": name}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "a.1"}, "involvedObject": about, "reason": "R"}
    server.create(f"{namespace}/events", event)
    elsewhere = {**event, "metadata": {"name": "a.2"}, "involvedObject": {**about, "namespace": "elsewhere"}}

    found = server.http.get(f"{namespace}/events", params={"fieldSelector": "involvedObject.name=a,reason=R"})

    assert len(found.json()["items"]) == 1
    assert told(server.post(f"{namespace}/events", elsewhere))[:2] == (422, "Invalid")


# --- roles, access


def test_roles_and_bindings(server: Server, namespace: str) -> None:
    """A binding names a role, for good."""
    base = namespace.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    version = "rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    server.create(f"{base}/roles", {"apiVersion": version, "kind": "Role", "metadata": {"name": "a:b"}, "rules": rules})
    binding = {
        "apiVersion": version,
        "kind": "RoleBinding",
        "metadata": {"name": "a"},
        "roleRef": {"kind": "Role", "name": "a:b"},
        "subjects": [{"kind": "User", "name": "u"}],
    }

    created = server.create(f"{base}/rolebindings", binding)
    response = server.patch(f"{base}/rolebindings/a", {"roleRef": {"name": "other"}}, MERGE)

    assert created["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert created["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    assert told(response) == (422, "Invalid", ["roleRef"])


def test_everything_is_allowed_to_the_administrator(server: Server) -> None:
    """An access review for oneself says yes."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}},
    }

    found = server.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)

    assert found["status"]["allowed"] is True


# --- webhook configurations

_HOOK: Json = {
    "name": "hook.contract.test",
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "rules": [{"operations": ["CREATE"], "apiGroups": ["nobody.test"], "apiVersions": ["v1"], "resources": ["things"]}],
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
}


def _hooks(title: str, /, **change: Any) -> Json:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": title},
        "webhooks": [{**_HOOK, **change}],
    }


HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def test_defaults_of_webhooks(server: Server) -> None:
    """A webhook fails closed, matches equivalents, and has ten seconds."""
    created = server.create(HOOKS, _hooks("defaults"))
    found = created["webhooks"][0]
    server.delete(f"{HOOKS}/defaults")

    expected = {
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "timeoutSeconds": 10,
        "namespaceSelector": {},
        "objectSelector": {},
    }
    assert {key: found[key] for key in expected} == expected
    assert found["rules"][0]["scope"] == "*"
    assert created["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "short"}, "name"),
        ({"sideEffects": "Some"}, "sideEffects"),
        ({"admissionReviewVersions": []}, "admissionReviewVersions"),
        ({"timeoutSeconds": 31}, "timeoutSeconds"),
        ({"clientConfig": {"url": "http://127.0.0.1/"}}, "clientConfig.url"),
        ({"clientConfig": {}}, "clientConfig"),
    ],
)
def test_webhooks_that_make_no_sense(server: Server, change: Json, field: str) -> None:
    """A webhook has a domain's name, HTTPS, no side effects and a version that is spoken."""
    assert told(server.post(HOOKS, _hooks("bad", **change))) == (422, "Invalid", [f"webhooks[0].{field}"])
