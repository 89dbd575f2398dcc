"""The API servers that the contract holds for, as a test sees them."""

from __future__ import annotations

import contextlib
import itertools
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from controller.apiserver.serving import ApiServer, serve
from tests.kube import KubeServer

Json = Any
NAMESPACES = "/api/v1/namespaces"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
_numbers = itertools.count()


def unique(prefix: str) -> str:
    """A name that no other test of this run uses."""
    return f"{prefix}-{next(_numbers)}"


@attrs.frozen(eq=False)
class Server:
    """One API server: where it is, and how to make it forget its history."""

    name: str
    http: httpx.Client
    kubeconfig: Path
    forget: Callable[[int], None]

    @property
    def is_real(self) -> bool:
        return self.name == "real"

    def get(self, path: str, *, accept: str = "application/json") -> httpx.Response:
        return self.http.get(path, headers={"accept": accept})

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=headers)

    def put(self, path: str, body: Json) -> httpx.Response:
        return self.http.put(path, json=body)

    def patch(self, path: str, body: Json, content_type: str = MERGE) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.patch(path, content=content, headers={"content-type": content_type})

    def delete(self, path: str, body: Json = None) -> httpx.Response:
        if body is None:
            return self.http.delete(path)
        return self.http.request("DELETE", path, json=body)

    def create(self, path: str, body: Json) -> Json:
        """Create an object that must be accepted; the object as it is then."""
        response = self.post(path, body)
        assert response.status_code == 201, response.text
        return response.json()

    def namespace(self) -> str:
        """A new namespace."""
        name = unique("contract")
        self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def define(self, definition: Json) -> str:
        """Define a custom resource and wait until it is served; the group it got for itself."""
        group = f"{unique('group')}.trellis.test"
        definition = json.loads(json.dumps(definition).replace("GROUP", group))
        plural = definition["spec"]["names"]["plural"]
        self.create(CRDS, definition)
        version = definition["spec"]["versions"][0]["name"]
        self.wait(lambda: self.get(f"/apis/{group}/{version}/{plural}").status_code == 200)
        self.wait(lambda: self.is_writable(group, version, plural))
        return group

    def is_writable(self, group: str, version: str, plural: str) -> bool:
        """Whether the server has stopped preparing a kind: its discovery shows it then."""
        response = self.get(f"/apis/{group}/{version}")
        return response.status_code == 200 and any(entry["name"] == plural for entry in response.json()["resources"])

    def wait(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something holds that the server needs a moment for."""
        pause = threading.Event()
        for _ in range(int(seconds / 0.05)):
            if holds():
                return
            pause.wait(0.05)
        raise AssertionError("it did not come to hold in time")

    def watch(self, path: str, *, seconds: int = 1) -> list[Json]:
        """The events of a watch until the server ends it."""
        separator = "&" if "?" in path else "?"
        response = self.get(f"{path}{separator}watch=1&timeoutSeconds={seconds}")
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]

    @contextlib.contextmanager
    def watching(self, path: str) -> Iterator[Iterator[Json]]:
        """The events of an open watch, one after the other; waiting too long for one fails."""
        separator = "&" if "?" in path else "?"
        url = f"{path}{separator}watch=1&timeoutSeconds=30"
        with self.http.stream("GET", url, timeout=10) as response:
            assert response.status_code == 200
            yield map(json.loads, response.iter_lines())


def told(response: httpx.Response) -> tuple[int, str, list[str]]:
    """What a refusal says to a program: code, reason and the fields that are wrong."""
    body = response.json()
    assert body["kind"] == "Status"
    assert body["status"] == "Failure"
    assert body["code"] == response.status_code
    causes = (body.get("details") or {}).get("causes") or []
    fields = sorted({cause["field"] for cause in causes if "field" in cause})
    return response.status_code, body.get("reason", ""), fields


def warnings(response: httpx.Response) -> list[str]:
    """The texts of a response's warnings."""
    return [
        text.partition(' - "')[2].removesuffix('"').replace('\\"', '"') for text in response.headers.get_list("warning")
    ]


def names(response: httpx.Response) -> list[str]:
    """The names of the objects in a list."""
    assert response.status_code == 200, response.text
    return [item["metadata"]["name"] for item in response.json()["items"]]


# --- the embedded one


@contextlib.contextmanager
def embedded_server(folder: Path, server: ApiServer | None = None) -> Iterator[Server]:
    """The embedded API server, running in a thread of its own."""
    chosen = server or ApiServer(controllers=False)
    started = threading.Event()
    stop: list[Callable[[], None]] = []

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: serve(chosen, task_status=task_status))
            token = trio.lowlevel.current_trio_token()
            stop.append(lambda: token.run_sync_soon(nursery.cancel_scope.cancel))
            started.set()

    thread = threading.Thread(target=trio.run, args=(run,), daemon=True)
    thread.start()
    assert started.wait(10)
    kubeconfig = chosen.write_kubeconfig(folder / "embedded.kubeconfig")
    try:
        with httpx.Client(base_url=chosen.url, headers={"user-agent": "contract/1"}, timeout=30) as http:
            yield Server("embedded", http, kubeconfig, chosen.store.compact)
    finally:
        stop[0]()
        thread.join(10)


# --- the real one


@contextlib.contextmanager
def real_server(kube: KubeServer) -> Iterator[Server]:
    """A running kube-apiserver."""
    context = ssl.create_default_context(cafile=str(kube.ca))
    headers = {"authorization": f"Bearer {kube.token}", "user-agent": "contract/1"}

    def forget(revision: int) -> None:
        """Compact etcd, and restart the API server, whose caches would otherwise remember."""
        url = f"http://127.0.0.1:{kube.etcd_port}/v3/kv/compaction"
        httpx.post(url, json={"revision": revision, "physical": True}).raise_for_status()
        kube.stop_api_server()
        kube.start_api_server()

    with httpx.Client(base_url=kube.url, verify=context, headers=headers, timeout=70) as http:
        yield Server("real", http, kube.kubeconfig, forget)


# --- objects


def pod(name: str, **metadata: Any) -> Json:
    spec = {"containers": [{"name": "main", "image": "image:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def config_map(name: str, data: dict[str, str] | None = None, **metadata: Any) -> Json:
    found: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return found if data is None else {**found, "data": data}


def service(name: str, **spec: Any) -> Json:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def deployment(name: str, *containers: Json, **spec: Any) -> Json:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }
