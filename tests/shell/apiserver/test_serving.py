"""Serving on a socket, filling without HTTP, and the kubeconfig."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trio

from controller.apiserver.serving import ApiServer, open_api_server, serve
from controller.apiserver.status import Refused
from tests.shell.apiserver.asgi import POD, Json

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, **change: Json) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **change}, "spec": POD["spec"]}


async def test_in_the_callers_nursery() -> None:
    """It tells its address when it can be asked, and stops when it is cancelled."""
    server = ApiServer()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, server)
        assert server.url == url
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/readyz")).text == "ok"
        nursery.cancel_scope.cancel()

    assert server.url == ""
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/readyz")


async def test_a_port_that_is_taken() -> None:
    """A port that somebody else has is an error at the start, not a server that nobody hears."""
    async with open_api_server() as server:
        with pytest.RaisesGroup(OSError, flatten_subgroups=True):
            async with open_api_server(port=httpx.URL(server.url).port or 0):
                pytest.fail("two servers on one port")


async def test_served_again() -> None:
    """What is stored outlives the socket: the same server can be served again, elsewhere."""
    server = ApiServer()
    async with open_api_server(server), httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.post(PODS, json=pod("a"))).status_code == 201
    async with open_api_server(server), httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get(f"{PODS}/a")).status_code == 200


async def test_cut_connections() -> None:
    """A fault that cuts an answer drops the connection, so that clients do not wait for the rest."""
    async with open_api_server() as server, httpx.AsyncClient(base_url=server.url, timeout=5) as http:
        server.faults.add("cut", "list")
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(PODS)
        server.faults.add("cut", "create")
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(PODS, json=pod("a"))
        async with http.stream("GET", f"{PODS}?watch=1") as response:
            lines = response.aiter_lines()
            assert json.loads(await anext(lines))["object"]["metadata"]["name"] == "a"
            server.faults.add("cut", "watch")
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in lines:
                    pass


async def test_the_kubeconfig(tmp_path: Path) -> None:
    """A kubeconfig leads to the server while it listens; before that there is none to write."""
    server = ApiServer()
    with pytest.raises(RuntimeError, match="does not listen"):
        server.write_kubeconfig(tmp_path / "config")

    async with open_api_server(server):
        written = json.loads(server.write_kubeconfig(tmp_path / "config").read_text())

        (cluster,) = written["clusters"]
        (context,) = written["contexts"]
        assert cluster["cluster"]["server"] == server.url
        assert (written["current-context"], context["context"]["cluster"]) == (context["name"], cluster["name"])


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([pod("a"), pod("b")]),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod("a"), pod("b")]}),
        json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [pod("a"), pod("b")]}).encode(),
        "---\n" + json.dumps(pod("a")) + "\n---\n" + json.dumps(pod("b")) + "\n---\n",
        """
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers: [{name: c, image: i}]
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec:
  containers: [{name: c, image: i}]
""",
    ],
)
def test_manifests_as_text(text: str | bytes) -> None:
    """Manifests are JSON or YAML: one, several documents, or lists of them."""
    server = ApiServer()
    before = server.store.revision

    assert server.seed(text) == 2
    assert server.store.revision == before + 2


def test_a_seeded_object_is_stored_as_it_is() -> None:
    """It keeps its status, uid and time, and gets what it lacks."""
    server = ApiServer()
    given = pod("a", uid="1-2-3", creationTimestamp="2020-01-01T00:00:00Z", labels={"x": "y"})
    server.seed([{**given, "status": {"phase": "Running", "podIP": "10.0.0.1"}}, pod("b", namespace="kube-system")])

    kind = server.api.catalog.by_kind("", "Pod")
    assert kind is not None
    one, other = (stored.to_object() for stored in server.store.scan(kind.resource))
    assert one["metadata"].items() >= {**given["metadata"], "namespace": "default"}.items()
    assert one["status"] == {"phase": "Running", "podIP": "10.0.0.1"}
    assert one["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert (other["metadata"]["namespace"], other["status"]["phase"]) == ("kube-system", "Pending")
    assert other["metadata"]["uid"]


def test_definitions_and_their_objects_in_one_go() -> None:
    """An object can follow its definition at once."""
    server = ApiServer()
    server.seed(
        """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer, default: 3, maximum: 5}}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: a}
spec: {other: 1}
"""
    )
    kind = server.api.catalog.by_kind("example.com", "Thing")
    assert kind is not None
    assert [stored.to_object()["spec"] for stored in server.store.scan(kind.resource)] == [{"size": 3}]
    with pytest.raises(Refused, match=r"spec\.size: Invalid value: 6: spec\.size in body should be less than"):
        server.seed([{"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "b"}, "spec": {"size": 6}}])


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ({"apiVersion": "v1", "kind": "Nothing", "metadata": {"name": "a"}}, "seeding Nothing: v1 is not served"),
        ({"apiVersion": "apps/v1beta1", "kind": "Deployment"}, "seeding Deployment: apps/v1beta1 is not served"),
        (pod("a", namespace="nowhere"), 'namespaces "nowhere" not found'),
        (pod("A"), 'Pod "A" is invalid'),
    ],
)
def test_manifests_that_cannot_be_stored(manifest: Json, text: str) -> None:
    """What the server would refuse is refused, by name."""
    with pytest.raises((ValueError, Refused), match=text):
        ApiServer().seed([manifest])


def test_as_a_program(tmp_path: Path) -> None:
    """`python -m controller.apiserver` serves manifests, says where, and ends in peace when asked to."""
    manifests, kubeconfig = tmp_path / "pods.json", tmp_path / "config"
    manifests.write_text(json.dumps(pod("a")))
    command = [sys.executable, "-m", "controller.apiserver", "--kubeconfig", str(kubeconfig), str(manifests)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert httpx.get(f"{url}{PODS}/a").status_code == 200
            assert url in kubeconfig.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
