"""Following kinds of a real API server, which is stopped, killed and frozen on the way."""

from __future__ import annotations

import contextlib
import json
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry

from controller.k8s.events import Event
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.access import Wanted, find_endpoint
from controller.runtime.api import KubeApi, PatchType
from controller.runtime.client import KubeClient
from controller.runtime.client_metrics import ClientMetrics
from controller.runtime.clock import system_clock
from controller.runtime.discovery import Discovery
from controller.runtime.errors import Absent, AlreadyExists, Conflicted, Forbidden, Rejected, Unauthenticated
from controller.runtime.freshness import WatchRecord, WatchState
from controller.runtime.list_watch import watch_kind
from controller.runtime.quarantine import Quarantine
from tests.kube import KubeServer
from tests.shell.runtime.scripted import Seen

pytestmark = pytest.mark.cluster


class ConfigMap(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    data: dict[str, str] | None = None


class Gadget(Resource, frozen=True, gc=False, rename="camel", kw_only=True):
    size: int = 0


CONFIG_MAPS = ResourceType(ConfigMap, "", "v1", "configmaps", "ConfigMap", label_selector="followed=yes")
GADGETS = ResourceType(Gadget, "example.com", "v1", "gadgets", "Gadget")
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Gadget", "plural": "gadgets"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def config_map(name: str, **labels: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default", "labels": {"followed": "yes"} | labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


@attrs.define(eq=False)
class World:
    """A kind that is followed, by a client that counts its requests."""

    kube: KubeServer
    client: KubeClient
    registry: CollectorRegistry
    record: WatchRecord
    seen: Seen = attrs.field(factory=Seen)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    async def take(self, batches: trio.MemoryReceiveChannel[Sequence[Event]]) -> None:
        async for batch in batches:
            self.seen.take(batch)
            self._changed.unpark_all()

    async def until(self, condition: Callable[[], bool], seconds: float = 40.0) -> None:
        """Wait until the condition holds; it is looked at when events come, and now and then."""
        with trio.fail_after(seconds):
            while not condition():
                with trio.move_on_after(0.2):
                    await self._changed.park()

    async def kubectl(self, *arguments: str) -> None:
        await trio.to_thread.run_sync(partial(self.kube.kubectl, *arguments))

    async def apply(self, *manifests: dict[str, object]) -> None:
        await trio.to_thread.run_sync(partial(self.kube.apply, *manifests))

    @property
    def requests(self) -> float:
        labels = {"cluster_url": self.kube.url, "method": "GET"}
        return self.registry.get_sample_value("kube_client_requests_total", labels) or 0.0


def client_of(kube: KubeServer, registry: CollectorRegistry, kubeconfig: Path | None = None) -> KubeClient:
    endpoint = find_endpoint(
        Wanted(kubeconfig=kubeconfig or kube.kubeconfig), environment={}, home=Path("/nowhere"), now=trio.current_time
    )
    return KubeClient(endpoint, clock=system_clock(), metrics=ClientMetrics.register(registry, kube.url))


@contextlib.asynccontextmanager
async def following(
    kube: KubeServer, resource_type: ResourceType[Resource] = CONFIG_MAPS, *, optional: bool = False
) -> AsyncIterator[World]:
    registry = CollectorRegistry()
    clock = system_clock()
    send, receive = trio.open_memory_channel[Sequence[Event]](16)
    async with client_of(kube, registry) as client, trio.open_nursery() as nursery:
        world = World(kube, client, registry, WatchRecord(resource_type, clock))
        nursery.start_soon(world.take, receive)
        nursery.start_soon(
            partial(
                watch_kind,
                client,
                resource_type,
                events=send,
                record=world.record,
                quarantine=Quarantine(clock),
                clock=clock,
                jitter=random.random,
                presence=Discovery(client, random.random, interval=1.0),
                optional=optional,
            )
        )
        await world.until(lambda: world.record.synced)
        yield world
        nursery.cancel_scope.cancel()


async def test_changes_arrive(kube: KubeServer) -> None:
    """Objects that are made, changed and deleted are, and those that leave the selection are deleted."""
    # runtime W9, W26
    async with following(kube) as world:
        await world.apply(config_map("one"), config_map("two"))
        await world.until(lambda: {"one", "two"} <= world.seen.names)
        await world.apply(config_map("one", more="labels"))
        key = ObjectKey("default", "one")
        await world.until(lambda: "more" in world.seen.believed[key].labels)
        await world.kubectl("label", "configmap", "one", "followed=no", "--overwrite")
        await world.kubectl("delete", "configmap", "two")
        await world.until(lambda: not world.seen.names & {"one", "two"})
        assert world.record.errors == {}
        await world.kubectl("delete", "configmap", "one")


async def test_a_killed_server(own_kube: KubeServer) -> None:
    """Whatever happened while the server was dead is known soon after it is back, and it is not stormed."""
    # runtime W37
    async with following(own_kube) as world:
        await world.apply(config_map("kept"), config_map("gone"))
        await world.until(lambda: world.seen.names == {"kept", "gone"})
        before = world.requests
        await trio.to_thread.run_sync(partial(own_kube.stop_api_server, kill=True))
        await world.until(lambda: world.record.state is WatchState.BACKING_OFF)
        await trio.sleep(5)
        assert world.requests - before < 8
        await trio.to_thread.run_sync(own_kube.start_api_server)
        await world.kubectl("delete", "configmap", "gone")
        await world.apply(config_map("new"))
        await world.until(lambda: world.seen.names == {"kept", "new"})
        assert world.record.restarts["connect"] >= 1
        assert world.record.statistics().last_error is not None


async def test_a_server_that_stops_in_good_order(own_kube: KubeServer) -> None:
    """A server that says goodbye is waited for like one that does not."""
    async with following(own_kube) as world:
        await trio.to_thread.run_sync(own_kube.stop_api_server)
        await trio.to_thread.run_sync(own_kube.start_api_server)
        await world.apply(config_map("new"))
        await world.until(lambda: world.seen.names == {"new"})


async def test_a_frozen_server(own_kube: KubeServer) -> None:
    """A server that stands still for a while loses us nothing."""
    async with following(own_kube) as world:
        await world.apply(config_map("kept"), config_map("gone"))
        await world.until(lambda: world.seen.names == {"kept", "gone"})
        own_kube.api_server.send_signal(signal.SIGSTOP)
        await trio.sleep(0.5)
        own_kube.api_server.send_signal(signal.SIGCONT)
        await world.kubectl("delete", "configmap", "gone")
        await world.until(lambda: world.seen.names == {"kept"})
        assert world.record.resets == 1


async def test_a_kind_that_comes_and_goes(kube: KubeServer) -> None:
    """A kind that is not there counts as empty, is found when it appears, and is empty when it is gone."""
    # runtime W28
    async with following(kube, GADGETS, optional=True) as world:
        assert world.record.state is WatchState.ABSENT
        await world.apply(CRD)
        await world.until(lambda: world.record.state is WatchState.WATCHING)
        gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "a", "namespace": "default"}}
        await world.apply(gadget)
        bad: dict[str, object] = gadget | {"size": "big", "metadata": {"name": "bad", "namespace": "default"}}
        await world.apply(bad)
        await world.until(lambda: world.seen.names == {"a"} and world.record.quarantined == 1)
        await world.kubectl("delete", "crd", "gadgets.example.com")
        await world.until(lambda: world.record.state is WatchState.ABSENT)
        assert world.seen.names == set()
        assert world.record.quarantined == 0


async def test_strangers(kube: KubeServer, tmp_path: Path) -> None:
    """A server that does not know us, and one that does not let us, are told apart."""
    registry = CollectorRegistry()
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kube.kubeconfig_of("wrong")))
    async with client_of(kube, registry, path) as client:
        with pytest.raises(Unauthenticated):
            await client.get("/api/v1/pods")
    path.write_text(json.dumps(kube.kubeconfig_of("")))
    async with client_of(kube, CollectorRegistry(), path) as client:
        with pytest.raises(Forbidden):
            await client.get("/api/v1/pods")


async def test_single_objects(kube: KubeServer) -> None:
    """Objects can be made, read, changed in every way, and deleted; what goes wrong has its own name."""
    # runtime C22, C24
    async with client_of(kube, CollectorRegistry()) as client:
        api = KubeApi(client, random.random)
        key = ObjectKey("default", "single")
        made = await api.create(CONFIG_MAPS, config_map("single") | {"data": {"a": "1"}}, namespace="default")
        assert made.key == key
        with pytest.raises(AlreadyExists):
            await api.create(CONFIG_MAPS, config_map("single"), namespace="default")
        merged = await api.patch(CONFIG_MAPS, key, {"data": {"b": "2"}}, PatchType.MERGE, field_manager="test")
        assert merged.data == {"a": "1", "b": "2"}
        operations = [{"op": "replace", "path": "/data/a", "value": "3"}]
        assert (await api.patch(CONFIG_MAPS, key, operations, PatchType.JSON)).data == {"a": "3", "b": "2"}
        strategic = await api.patch(CONFIG_MAPS, key, {"data": {"b": None}}, PatchType.STRATEGIC)
        assert strategic.data == {"a": "3"}
        applied = config_map("single") | {"data": {"a": "4"}}
        with pytest.raises(Conflicted):
            await api.patch(CONFIG_MAPS, key, applied, PatchType.APPLY, field_manager="other")
        forced = await api.patch(CONFIG_MAPS, key, applied, PatchType.APPLY, field_manager="other", force=True)
        assert forced.data == {"a": "4"}
        stale = config_map("single") | {"data": {"a": "5"}}
        stale["metadata"] = {
            "name": "single",
            "namespace": "default",
            "resourceVersion": made.metadata.resource_version,
        }
        with pytest.raises(Conflicted):
            await api.put(CONFIG_MAPS, key, stale)
        with pytest.raises(Rejected):
            await api.patch(CONFIG_MAPS, key, {"data": {"not a key": "x"}}, PatchType.MERGE)
        assert (await api.get(CONFIG_MAPS, key)).data == {"a": "4"}
        assert [found.key for found in await api.list(CONFIG_MAPS, namespace="default")] == [key]
        with pytest.raises(Conflicted):
            await api.delete(CONFIG_MAPS, key, uid="another")
        await api.delete(CONFIG_MAPS, key, uid=forced.metadata.uid)
        with pytest.raises(Absent):
            await api.get(CONFIG_MAPS, key)
