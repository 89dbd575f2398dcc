"""How clients find out what there is."""

from __future__ import annotations

import pytest

from tests.contract.conftest import Widgets
from tests.contract.servers import Json, Server

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def _resource(server: Server, group_version: str, name: str) -> Json:
    root = "api" if "/" not in group_version else "apis"
    found = server.get(f"/{root}/{group_version}").json()
    assert found["kind"] == "APIResourceList"
    assert found["groupVersion"] == group_version
    entry = next(entry for entry in found["resources"] if entry["name"] == name)
    return {key: value for key, value in entry.items() if key not in ("storageVersionHash", "group", "version")}


def test_the_core_versions(server: Server) -> None:
    """The core group has one version."""
    found = server.get("/api").json()

    assert (found["kind"], found["versions"]) == ("APIVersions", ["v1"])


@pytest.mark.parametrize(
    "group", ["apps", "coordination.k8s.io", "apiextensions.k8s.io", "rbac.authorization.k8s.io", "discovery.k8s.io"]
)
def test_groups_are_listed(server: Server, group: str) -> None:
    """Every group is in the list of groups and has a document of its own."""
    version = {"groupVersion": f"{group}/v1", "version": "v1"}
    groups = {entry["name"]: entry for entry in server.get("/apis").json()["groups"]}
    own = server.get(f"/apis/{group}").json()

    assert groups[group] == {"name": group, "versions": [version], "preferredVersion": version}
    assert own == {"kind": "APIGroup", "apiVersion": "v1", **groups[group]}


@pytest.mark.parametrize(
    ("group_version", "name", "expected"),
    [
        ("v1", "pods", {"singularName": "pod", "kind": "Pod", "shortNames": ["po"], "categories": ["all"]}),
        (
            "v1",
            "services",
            {"singularName": "service", "kind": "Service", "shortNames": ["svc"], "categories": ["all"]},
        ),
        ("v1", "configmaps", {"singularName": "configmap", "kind": "ConfigMap", "shortNames": ["cm"]}),
        ("v1", "serviceaccounts", {"singularName": "serviceaccount", "kind": "ServiceAccount", "shortNames": ["sa"]}),
        (
            "apps/v1",
            "deployments",
            {"singularName": "deployment", "kind": "Deployment", "shortNames": ["deploy"], "categories": ["all"]},
        ),
        ("coordination.k8s.io/v1", "leases", {"singularName": "lease", "kind": "Lease"}),
        ("discovery.k8s.io/v1", "endpointslices", {"singularName": "endpointslice", "kind": "EndpointSlice"}),
    ],
)  # fmt: skip
def test_namespaced_kinds(server: Server, group_version: str, name: str, expected: Json) -> None:
    """A kind is described by its names and by what can be done with it."""
    assert _resource(server, group_version, name) == {"name": name, "namespaced": True, "verbs": _VERBS, **expected}


def test_cluster_kinds(server: Server) -> None:
    """Namespaces live outside namespaces, and cannot be deleted all at once."""
    found = _resource(server, "v1", "namespaces")

    assert found["namespaced"] is False
    assert "deletecollection" not in found["verbs"]


@pytest.mark.parametrize(
    ("group_version", "name", "kind"),
    [
        ("v1", "pods/status", "Pod"),
        ("v1", "namespaces/status", "Namespace"),
        ("apps/v1", "deployments/status", "Deployment"),
        ("apps/v1", "deployments/scale", "Scale"),
    ],
)
def test_subresources(server: Server, group_version: str, name: str, kind: str) -> None:
    """Subresources are listed beside their kind."""
    found = _resource(server, group_version, name)

    assert (found["kind"], found["singularName"]) == (kind, "")
    assert found["verbs"] == ["get", "patch", "update"]


def test_custom_resources_are_discovered(widgets: Widgets) -> None:
    """A defined kind is described like a built-in one, in each of its versions."""
    server, group = widgets.server, widgets.group
    found = _resource(server, f"{group}/v1", "widgets")
    versions = [entry["version"] for entry in server.get(f"/apis/{group}").json()["versions"]]
    old = [entry["name"] for entry in server.get(f"/apis/{group}/v1alpha1").json()["resources"]]

    assert sorted(found.pop("verbs")) == _VERBS
    assert found == {
        "name": "widgets",
        "singularName": "widget",
        "namespaced": True,
        "kind": "Widget",
        "shortNames": ["wd"],
        "categories": ["contract"],
    }
    assert _resource(server, f"{group}/v1", "widgets/status")["kind"] == "Widget"
    assert versions == ["v1", "v1alpha1"]
    assert old == ["widgets"]


def test_aggregated_discovery(widgets: Widgets) -> None:
    """Everything can be had in two requests."""
    server, group = widgets.server, widgets.group
    core = server.get("/api", accept=AGGREGATED)
    groups = server.get("/apis", accept=AGGREGATED).json()
    own = next(item for item in groups["items"] if item["metadata"]["name"] == group)
    pods = next(entry for entry in core.json()["items"][0]["versions"][0]["resources"] if entry["resource"] == "pods")
    widget = own["versions"][0]["resources"][0]

    assert core.headers["content-type"] == AGGREGATED
    assert core.json()["kind"] == "APIGroupDiscoveryList"
    assert (pods["scope"], pods["responseKind"]["kind"], pods["shortNames"]) == ("Namespaced", "Pod", ["po"])
    assert "status" in [entry["subresource"] for entry in pods["subresources"]]
    assert [version["version"] for version in own["versions"]] == ["v1", "v1alpha1"]
    assert widget["responseKind"] == {"group": group, "version": "v1", "kind": "Widget"}
    assert widget["subresources"][0]["subresource"] == "status"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_health(server: Server, path: str) -> None:
    """A server that answers is well."""
    response = server.get(path)

    assert (response.status_code, response.text) == (200, "ok")


def test_the_version(server: Server) -> None:
    """Clients adapt to the minor version."""
    found = server.get("/version").json()

    assert found["major"] == "1"
    assert int(found["minor"].rstrip("+")) >= 30
    assert found["gitVersion"].startswith("v1.")


def test_openapi_v3_names_its_documents(widgets: Widgets) -> None:
    """The root names a document for each group version, custom ones too."""
    server = widgets.server
    path = f"apis/{widgets.group}/v1"
    server.wait(lambda: path in server.get("/openapi/v3").json()["paths"])
    paths = server.get("/openapi/v3").json()["paths"]

    assert {"api/v1", "apis/apps/v1", path} <= paths.keys()
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")


def _operation(document: Json, verb: str, kind: str) -> Json:
    return next(
        operation
        for verbs in document["paths"].values()
        for name, operation in verbs.items()
        if name == verb and operation.get("x-kubernetes-group-version-kind", {}).get("kind") == kind
    )


def test_openapi_v3_describes_built_in_kinds(server: Server) -> None:
    """Schemas say how lists merge, and operations which parameters they take, as kubectl wants to know."""
    document = server.get("/openapi/v3/api/v1").json()
    spec = document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    parameters = {entry["name"] for entry in _operation(document, "patch", "Pod")["parameters"]}

    assert spec["x-kubernetes-list-map-keys"] == ["name"]
    assert spec["x-kubernetes-patch-merge-key"] == "name"
    assert {"dryRun", "fieldValidation", "fieldManager"} <= parameters


def test_openapi_v3_describes_custom_resources(widgets: Widgets) -> None:
    """The schema of a definition is published under a name made of its group."""
    server = widgets.server
    path = f"/openapi/v3/apis/{widgets.group}/v1"
    server.wait(lambda: server.get(path).status_code == 200)
    schemas = server.get(path).json()["components"]["schemas"]
    name = ".".join([*reversed(widgets.group.split(".")), "v1", "Widget"])

    assert schemas[name]["properties"]["spec"]["properties"]["size"]["maximum"] == 10
    assert schemas[name]["x-kubernetes-group-version-kind"] == [
        {"group": widgets.group, "version": "v1", "kind": "Widget"}
    ]


def test_openapi_v2(server: Server) -> None:
    """Older clients find all definitions in one document."""
    document = server.get("/openapi/v2").json()

    assert document["swagger"] == "2.0"
    assert document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"] == (
        "#/definitions/io.k8s.api.core.v1.PodSpec"
    )
