"""Everything the demo is played with: API server, controller, connections."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import socket
import time
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, cast

import attrs
import msgspec
import trio

from controller.apiserver.serving import ApiServer, serve
from controller.app_config import ClusterAccess, RunConfig
from controller.cli.demo import application
from controller.cli.demo.grpc_client import Channel, connect
from controller.core.cluster import ClusterConfig
from controller.k8s.crds import crds_yaml
from controller.runtime.access import Wanted, find_endpoint
from controller.runtime.api import KubeApi, PatchType
from controller.runtime.client import KubeClient
from controller.runtime.clock import system_clock
from controller.runtime.listen import SocketAddress

BOOKMARKS = 0.5  # seconds between two; a real API server's minute would make silence hard to see
HEARTBEAT = 0.25  # seconds between what a node writes
MAX_STALENESS = 1.5  # seconds
_READ = 64 * 1024
_PATIENCE = 15.0  # seconds until everything has to be up


@attrs.frozen(eq=False)
class Stage:
    """What acts use: the API server as a client and as the one who can break it, the controller as a proxy."""

    server: ApiServer
    api: KubeApi
    channel: Channel
    url: str
    grpc: SocketAddress
    admin: SocketAddress
    kubeconfig: Path
    listed_after: float  # seconds from the controller's start until it knew everything

    async def freshness(self) -> list[dict[str, Any]]:
        """Ask the controller what it knows of each kind, and how old that is."""
        _, body = await http_get(self.admin, "/debug/freshness")
        return cast("list[dict[str, Any]]", msgspec.json.decode(body))


async def open_stage(
    folder: Path, outer: trio.Nursery, inner: trio.Nursery, run_controller: Callable[[RunConfig], Awaitable[None]]
) -> Stage:
    """Start everything: in the inner nursery those who need the others to take their leave, and those in the outer."""
    server = ApiServer(bookmark_interval=BOOKMARKS)
    server.seed(crds_yaml(gateway_api=True))
    server.seed(application.manifests())
    url = cast("str", await outer.start(partial(serve, server)))
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig")
    with reserved_address() as grpc, reserved_address() as admin:
        started = trio.current_time()
        inner.start_soon(run_controller, _config(kubeconfig, grpc, admin))
        with trio.fail_after(_PATIENCE):
            await _wait_ready(admin)
    listed_after = trio.current_time() - started
    endpoint = find_endpoint(Wanted(kubeconfig=kubeconfig), environment={}, home=folder, now=time.monotonic)
    client = KubeClient(endpoint, clock=system_clock(), user_agent="trellis-demo")
    outer.start_soon(_close_at_end, client)
    api = KubeApi(client, random.random)
    inner.start_soon(_live, api)
    channel = await connect(str(grpc.host), grpc.port)
    inner.start_soon(channel.run)
    return Stage(server, api, channel, url, grpc, admin, kubeconfig, listed_after)


def _config(kubeconfig: Path, grpc: SocketAddress, admin: SocketAddress) -> RunConfig:
    return RunConfig(
        cluster=ClusterConfig(),
        access=ClusterAccess(kubeconfig=kubeconfig),
        grpc_address=grpc,
        admin_address=admin,
        hostname="trellis-demo",
        max_staleness=MAX_STALENESS,
    )


@contextlib.contextmanager
def reserved_address() -> Generator[SocketAddress]:
    """A free address on loopback that stays free until the end of the block, but for whoever reuses addresses."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield SocketAddress.of(*sock.getsockname())


async def _wait_ready(admin: SocketAddress) -> None:
    while True:
        try:
            status, _ = await http_get(admin, "/ready")
        except OSError:
            status = 0
        if status == 200:
            return
        await trio.sleep(0.01)


async def http_get(address: SocketAddress, path: str) -> tuple[int, bytes]:
    """Ask once, as curl would, and return status and body."""
    async with await trio.open_tcp_stream(str(address.host), address.port) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while data := await stream.receive_some(_READ):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


async def _live(api: KubeApi) -> None:
    """Write now and then, as a cluster's nodes do: without that, an API server has nothing to say in bookmarks."""
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
    lease: dict[str, Any] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "node-1"}}
    while True:
        lease["spec"] = {"holderIdentity": "node-1", "renewTime": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
        body = msgspec.json.encode(lease)
        await api.request(
            "PATCH", path, params={"fieldManager": "node-1"}, body=body, content_type=PatchType.APPLY.value
        )
        await trio.sleep(HEARTBEAT)


async def _close_at_end(client: KubeClient) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await client.aclose()
