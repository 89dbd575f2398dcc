"""What the embedded API server can do: fill, list, create, patch and watch, over real HTTP.

The server is a process of its own, so that a client's work is not counted as its. World: 10,000 pods of 3.5 KB in 20
namespaces. Rates are by the server's own CPU time; behind them is what one client saw on this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import trio

from controller.apiserver.serving import ApiServer

PODS, WRITES, EVENTS = 10_000, 1_000, 5_000
JSON = {"content-type": "application/json"}
MERGE = {"content-type": "application/merge-patch+json"}


def pod(number: int) -> dict[str, Any]:
    """A pod as one of a mesh looks like to the API server."""
    proxy = {
        "name": "linkerd-proxy",
        "image": "proxy:1",
        "ports": [{"containerPort": 4143, "name": "linkerd-proxy"}, {"containerPort": 4191, "name": "linkerd-admin"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 4191}},
        "env": [{"name": f"VARIABLE_{name}", "value": "value" * 8} for name in range(20)],
    }
    main = {"name": "main", "image": "main:1", "ports": [{"containerPort": 8080, "name": "http"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{number:05}",
            "namespace": f"ns-{number % 20}",
            "labels": {"app": f"app-{number % 100}", "pod-template-hash": f"{number:010x}"},
            "annotations": {f"annotation.test/{name}": "text " * 20 for name in range(11)},
        },
        "spec": {"nodeName": f"node-{number % 50}", "containers": [main, proxy]},
        "status": {"phase": "Running", "podIP": f"10.0.{number // 256 % 256}.{number % 256}"},
    }


def namespaces() -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"ns-{number}"}} for number in range(20)]


class Process:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        manifests = folder / "pods.json"
        manifests.write_text(json.dumps([*namespaces(), *map(pod, range(PODS))]))
        command = [sys.executable, "-m", "controller.apiserver", "--bare", str(manifests)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def cpu(self) -> float:
        """The CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running() -> Iterator[Process]:
    with tempfile.TemporaryDirectory() as folder:
        found = Process(Path(folder))
        try:
            yield found
        finally:
            found.process.terminate()
            found.process.wait()


def show(what: str, value: str) -> None:
    print(f"{what:<44} {value}", flush=True)


def seed() -> None:
    text = json.dumps([pod(number) for number in range(PODS)])
    server = ApiServer(controllers=False)
    server.seed(namespaces())
    begin, cpu = time.perf_counter(), time.process_time()
    server.seed(text)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
    show(f"seed {PODS} pods of {len(text) // PODS} bytes", f"{cpu:.2f} s of CPU, {wall:.2f} s")


def reads(http: httpx.Client, server: Process) -> None:
    for encoding in ("identity", "gzip"):
        begin, cpu = time.perf_counter(), server.cpu()
        found = http.get("/api/v1/pods", headers={"accept-encoding": encoding})
        wall, used = time.perf_counter() - begin, server.cpu() - cpu
        show(f"list all pods, {encoding}", f"{wall:.2f} s, {used:.2f} s of CPU, {len(found.content) / 1e6:.0f} MB")
    begin, more, pages = time.perf_counter(), "", 0
    while pages == 0 or more:
        page = http.get("/api/v1/pods", params={"limit": 500} | ({"continue": more} if more else {})).json()
        more, pages = page["metadata"].get("continue", ""), pages + 1
    show(f"list all pods in {pages} pages", f"{time.perf_counter() - begin:.2f} s")


def repeated(what: str, server: Process, act: Callable[[int], httpx.Response]) -> None:
    act(0)
    begin, cpu = time.perf_counter(), server.cpu()
    for number in range(1, WRITES + 1):
        act(number).raise_for_status()
    wall, used = time.perf_counter() - begin, server.cpu() - cpu
    show(what, f"{WRITES / used:.0f}/s by CPU, {WRITES / wall:.0f}/s seen by one client")


def writes(http: httpx.Client, server: Process) -> None:
    path = "/api/v1/namespaces/ns-1"

    def create_pod(number: int) -> httpx.Response:
        value = pod(number)
        value["metadata"] |= {"name": f"new-{number}", "namespace": "ns-1"}
        return http.post(f"{path}/pods", content=json.dumps(value), headers=JSON)

    def create_config(number: int) -> httpx.Response:
        value = {"metadata": {"name": f"map-{number}"}, "data": {"key": "value"}}
        return http.post(f"{path}/configmaps", content=json.dumps(value), headers=JSON)

    def patch(number: int) -> httpx.Response:
        value = {"status": {"message": f"patch {number}"}}
        return http.patch(f"{path}/pods/new-{number}/status", content=json.dumps(value), headers=MERGE)

    repeated("create pods", server, create_pod)
    repeated("create configmaps", server, create_config)
    repeated("patch the status of pods", server, patch)
    repeated("get a pod", server, lambda _: http.get(f"{path}/pods/new-1"))


async def watches(url: str, server: Process) -> None:
    """Ten watches are told of writes as fast as they come."""
    begin, cpu = 0.0, 0.0
    async with httpx.AsyncClient(base_url=url, timeout=60) as http, trio.open_nursery() as nursery:
        revision = (await http.get("/api/v1/pods", params={"limit": 1})).json()["metadata"]["resourceVersion"]

        async def follow(*, task_status: trio.TaskStatus[None]) -> None:
            query = {"watch": "1", "resourceVersion": revision}
            async with http.stream("GET", "/api/v1/configmaps", params=query) as response:
                task_status.started()
                count = 0
                async for _ in response.aiter_lines():
                    count += 1
                    if count == EVENTS:
                        return

        for _ in range(10):
            await nursery.start(follow)
        begin, cpu = time.perf_counter(), server.cpu()
        nursery.start_soon(trio.to_thread.run_sync, _write, url)
    wall, used = time.perf_counter() - begin, server.cpu() - cpu
    show(f"{EVENTS} events to each of 10 watches", f"{wall:.1f} s, {used:.1f} s of CPU with the writes")


def _write(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as http:
        path = "/api/v1/namespaces/ns-2/configmaps"
        for number in range(EVENTS):
            http.post(path, json={"metadata": {"name": f"event-{number}"}}).raise_for_status()


def main() -> None:
    seed()
    with running() as server, httpx.Client(base_url=server.url, timeout=60) as http:
        reads(http, server)
        writes(http, server)
        trio.run(watches, server.url, server)


if __name__ == "__main__":
    main()
