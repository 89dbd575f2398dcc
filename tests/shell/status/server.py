"""An API server with objects that have statuses, a Lease and a Deployment, and the replicas that follow it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import attrs
import trio
from prometheus_client import CollectorRegistry

from controller.core.cluster import ClusterConfig
from controller.index.status.index import StatusIndex
from controller.index.status.values import StatusKey
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.errors import Absent, Conflicted, KubernetesError
from controller.runtime.lease_metrics import LeaseMetrics
from controller.runtime.workqueue_metrics import WorkQueueMetrics
from controller.status.leadership import Leadership
from controller.status.metrics import StatusMetrics
from controller.status.objects import StatusObjects
from controller.status.writer import StatusWriter
from tests.shell.lease.server import Server as LeaseServer
from tests.shell.lease.server import clock
from tests.statuses import patched

Object = dict[str, Any]
TYPES: dict[type[Resource], ResourceType[Resource]] = {kind.resource.model: kind.resource for kind in WATCHED}
DEPLOYMENT = "/apis/apps/v1/namespaces/linkerd/deployments/linkerd-destination"


def type_of(obj: Object) -> ResourceType[Resource]:
    return next(kind for kind in TYPES.values() if (kind.api_version, kind.kind) == (obj["apiVersion"], obj["kind"]))


def path_of(obj: Object) -> str:
    kind, metadata = type_of(obj), obj["metadata"]
    prefix, _, plural = kind.api_path.rpartition("/")
    return f"{prefix}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"


def key_of(obj: Object) -> StatusKey:
    return StatusKey(type_of(obj).model, ObjectKey(obj["metadata"]["namespace"], obj["metadata"]["name"]))


def applied(obj: Object) -> Applied[Resource]:
    return Applied(type_of(obj).decode(json.dumps(obj).encode()))


@attrs.define(eq=False)
class Server:
    """`patches` are those that were carried out; `attempts` counts all requests about objects by method."""

    lease: LeaseServer = attrs.field(factory=LeaseServer)
    objects: dict[str, Object] = attrs.field(factory=dict[str, Object], init=False)
    deployment: Object | None = attrs.field(factory=lambda: {"metadata": {"uid": "uid-1"}})
    followers: list[Callable[[list[Event]], None]] = attrs.field(factory=list[Any], init=False)
    patches: list[tuple[str, Object]] = attrs.field(factory=list[Any], init=False)
    attempts: dict[str, int] = attrs.field(factory=lambda: {"GET": 0, "PATCH": 0}, init=False)
    latency: float = 0.0  # before a request is carried out
    wait: Callable[[str, str], Awaitable[None]] | None = None  # in place of `latency`
    silent: bool = False  # whether the watches say nothing
    fail: Callable[[str, str], KubernetesError | None] = lambda _method, _path: None
    version: int = attrs.field(default=0, init=False)

    def put(self, *objects: Object) -> None:
        """Write objects as users do: their status stays. Followers are told at once."""
        for obj in objects:
            old = self.objects.get(path_of(obj), {})
            self._store({**({"status": old["status"]} if "status" in old else {}), **obj})

    def _store(self, obj: Object) -> None:
        self.version += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        self.objects[path_of(obj)] = obj
        self._tell(applied(obj))

    def delete(self, obj: Object) -> None:
        del self.objects[path_of(obj)]
        key = key_of(obj)
        self._tell(Deleted(key.model, key.key))

    def _tell(self, event: Event) -> None:
        for follow in () if self.silent else self.followers:
            follow([event])

    def relist(self) -> None:
        """Tell everything anew, as after an outage of the watches."""
        self.silent = False
        for follow in self.followers:
            follow(self.listed())

    def listed(self) -> list[Event]:
        return [
            Reset(model, tuple(applied(obj).resource for obj in self.objects.values() if type_of(obj) is kind))
            for model, kind in TYPES.items()
        ]

    def status(self, obj: Object) -> Object:
        return self.objects[path_of(obj)].get("status", {})

    def written(self) -> list[str]:
        """The names of the objects that were patched, in order."""
        return [path.rpartition("/")[2] for path, _ in self.patches]

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> bytes:
        if "/leases/" in path:
            more = {"params": params, "body": body, "content_type": content_type}
            return await self.lease.request(method, path, **more)
        if path == DEPLOYMENT:
            return await self._get_deployment()
        self.attempts[method] += 1
        if self.wait is None:
            await trio.sleep(self.latency)
        else:
            await self.wait(method, path)
        if (error := self.fail(method, path)) is not None:
            raise error
        return json.dumps(self._carry_out(method, path, params, body, content_type)).encode()

    async def _get_deployment(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if (error := self.fail("GET", DEPLOYMENT)) is not None:
            raise error
        if self.deployment is None:
            raise Absent("deployments.apps not found")
        return json.dumps(self.deployment).encode()

    def _carry_out(
        self, method: str, path: str, params: Mapping[str, str] | None, body: bytes | None, content_type: str
    ) -> Object:
        found = self.objects.get(path.removesuffix("/status"))
        if found is None:
            raise Absent(f"{path} not found")
        if method == "GET":
            return found
        assert (method, path.endswith("/status")) == ("PATCH", True)
        assert (params, content_type) == (
            {"fieldManager": "linkerd.io/policy-controller"},
            "application/merge-patch+json",
        )
        patch = json.loads(body or b"")
        if patch["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise Conflicted(f"{path}: the object has been modified")
        self.patches.append((path.removesuffix("/status"), patch))
        self._store(patched(found, patch))
        return self.objects[path_of(found)]


@attrs.define(eq=False)
class Replica:
    """One controller, as far as it writes."""

    server: Server
    name: str = "pod-1"
    patch_timeout: float = 5.0
    suspended: Callable[[], float] = lambda: 0.0
    registry: CollectorRegistry = attrs.field(factory=CollectorRegistry, init=False)
    writer: StatusWriter = attrs.field(init=False)
    leadership: Leadership = attrs.field(init=False)
    leases: list[Any] = attrs.field(factory=list[Any], init=False)  # what diagnostics know of
    known: trio.Event = attrs.field(factory=trio.Event, init=False)
    stopping: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        now, metrics = clock(suspended=self.suspended), StatusMetrics.register(self.registry)
        objects = StatusObjects(self.server, TYPES, metrics, now, self.patch_timeout)
        queue = WorkQueueMetrics.register(self.registry, "statuses")
        self.writer = StatusWriter(StatusIndex(ClusterConfig()), objects, metrics, now, lambda: 0.5, queue)
        self.leadership = Leadership(
            self.server,
            self.writer,
            now,
            lambda: 0.5,
            "linkerd",
            "linkerd-destination",
            self.name,
            LeaseMetrics.register(self.registry),
            self._register,
        )
        self.server.followers.append(self.writer.apply)
        self.writer.apply(self.server.listed())

    def _register(self, report: Any) -> Callable[[], None]:
        self.leases.append(report)
        return partial(self.leases.remove, report)

    async def run(self) -> None:
        """Stand for election until `stopping`, knowing everything at once unless a test forbids it."""
        await self.leadership.run(self.known.wait, self.stopping.wait)

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"resource_status_{name}")
