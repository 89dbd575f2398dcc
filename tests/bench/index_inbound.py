"""What events and questions cost the inbound index, in microseconds of its own.

World A: 10,000 pods in 20 namespaces under 520 Servers. World B: 10,000 pods in one namespace under 50 Servers.
World C: as B, but some Server mentions a label that each pod has for itself, so that no two pods are alike. In all of
them pods have a template hash of their own, and 5,000 targets are watched.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import attrs
import msgspec

from controller.core.cluster import ClusterConfig
from controller.core.inbound import PortTarget
from controller.index.inbound import InboundIndex
from controller.index.parse.cidr import parse_nets
from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import Resource
from controller.k8s.policy import Server
from tests.builders import authorization_policy, container, mesh_tls, pod, port, ref, selector, server, target

CLUSTER = ClusterConfig(probe_networks=parse_nets("0.0.0.0/0,::/0"))
PODS, TARGETS = 10_000, 5_000
NAMED = {"http": 8080, "metrics": 9090}
# Ports of Servers that govern one target, and a thousand.
ONE, MANY = 7001, 7003


@attrs.define(eq=False)
class World:
    """A cluster, and the targets that proxies watch."""

    name: str
    namespaces: int
    apps: int
    watched: int  # of the namespaces
    pods_differ: bool = False
    pods: list[Pod] = attrs.field(factory=list[Pod], init=False)
    policy: list[Resource] = attrs.field(factory=list[Resource], init=False)
    targets: list[PortTarget] = attrs.field(factory=list[PortTarget], init=False)

    def __attrs_post_init__(self) -> None:
        self.policy.append(mesh_tls("everyone", "seq-0", namespace="ns-0"))
        for n in range(self.namespaces):
            ns = f"ns-{n}"
            self._add_policy(ns)
            pods = [self.pod(ns, i) for i in range(PODS // self.namespaces)]
            self.pods += pods
            if n < self.watched:
                everyone = ref("MeshTLSAuthentication", "everyone", namespace="ns-0")
                self.policy.append(authorization_policy("all", ref("Namespace", ns), everyone, namespace=ns))
                self._watch(pods)
        if self.pods_differ:
            self.policy.append(server("index-0", 1, namespace="ns-0", selects=selector({"pod-index": "0"})))

    def _add_policy(self, ns: str) -> None:
        for name, app in ((f"app-{i}", f"app-{i}") for i in range(self.apps)):
            for number in NAMED:
                required = ref("MeshTLSAuthentication", f"{name}-{number}")
                self.policy.append(server(f"{name}-{number}", number, namespace=ns, selects=selector({"app": app})))
                self.policy.append(mesh_tls(f"{name}-{number}", "a.example", "*.prod.example", namespace=ns))
                about = ref("Server", f"{name}-{number}")
                self.policy.append(authorization_policy(f"{name}-{number}", about, required, namespace=ns))
        self.policy.append(server("one", ONE, namespace=ns, selects=selector({"one": "yes"})))
        self.policy.append(server("many", MANY, namespace=ns, selects=selector({"many": "yes"})))

    def pod(self, ns: str, i: int, **more: str) -> Pod:
        app = f"app-{i % self.apps}"
        labels = {
            "app": app,
            "app.kubernetes.io/instance": "prod",
            "pod-template-hash": f"{i:010x}",
            "pod-index": str(i),
            "linkerd.io/control-plane-ns": "linkerd",
            "linkerd.io/proxy-deployment": app,
            "linkerd.io/workload-ns": ns,
            **({"one": "yes"} if i == 0 else {}),
            **({"many": "yes"} if i < 1_000 else {}),
            **more,
        }
        declared = [port(name, number) for name, number in NAMED.items()]
        main = container(*declared, live=("http", "/live"), ready=(8080, "/ready"))
        return pod(f"{app}-5d8f7c9b4-{i:05}", main, namespace=ns, labels=labels)

    def _watch(self, pods: list[Pod]) -> None:
        def of(p: Pod, number: int) -> PortTarget:
            return target(p.key.name, number, namespace=p.key.namespace)

        special = [of(p, number) for key, number in (("one", ONE), ("many", MANY)) for p in pods if key in p.labels]
        named = [of(p, number) for p in pods for number in NAMED.values()]
        self.targets += [*special, *named][: TARGETS // self.watched]

    def lists(self) -> list[Event]:
        """The first list of every kind, Pods last."""
        kinds = dict.fromkeys(type(resource) for resource in self.policy)
        lists: list[Event] = [Reset(kind, tuple([r for r in self.policy if type(r) is kind])) for kind in kinds]
        return [*lists, Reset(Pod, tuple(self.pods))]


def _again(resources: Iterable[Pod]) -> Iterator[Pod]:
    """Equal pods, decoded anew, as a status event or another list brings them."""
    for resource in resources:
        yield msgspec.json.decode(msgspec.json.encode(resource), type=Pod)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def _each(index: InboundIndex, events: Iterable[Event], reached: int) -> float:
    """What one of these events costs, the median; each must reach as many targets as this."""

    def take_in(event: Event) -> None:
        assert len(index.apply([event])) == reached

    return statistics.median([_timed(lambda event=event: take_in(event)) for event in [*events]])


def _policies(name: str, count: int) -> Iterator[Event]:
    """A policy that lets in somebody else each time."""
    about = ref("Server", name)
    return (Applied(authorization_policy(name, about, ref("ServiceAccount", f"sa-{i}"))) for i in range(count))


def measure(world: World) -> Iterator[tuple[str, float]]:
    index, lists = InboundIndex(CLUSTER), world.lists()
    yield "first lists", _timed(lambda: index.apply(lists))
    yield "begin to watch, each target", _timed(lambda: [index.watch(t) for t in world.targets]) / TARGETS
    yield "pod, status only", _each(index, map(Applied, _again(world.pods[:2_000])), 0)
    fresh = [world.pod("ns-0", PODS + i) for i in range(1_000)]
    yield "pod, come and gone", _each(index, [e for p in fresh for e in (Applied(p), Deleted(Pod, p.key))], 0)
    relist = Reset(Pod, tuple(_again(world.pods)))
    yield "relist, each pod", _timed(lambda: index.apply([relist])) / PODS

    nobody = (Applied(server("nobody", 8080, selects=selector({"app": f"nobody-{i}"}))) for i in range(200))
    yield "Server that selects nothing", _each(index, nobody, 0)
    moving = (Applied(server("one", ONE + i % 2, selects=selector({"one": "yes"}))) for i in range(1, 101))
    yield "Server → 1", _each(index, moving, 1)
    yield "policy → 1", _each(index, _policies("one", 200), 1)
    many = sum(t.port == MANY and t.namespace == "ns-0" for t in world.targets)
    yield f"policy → {many}, each target", _each(index, _policies("many", 100), many) / many
    wide = (Applied(mesh_tls("everyone", f"seq-{i}", namespace="ns-0")) for i in range(1, 51))
    yield f"authentication → {TARGETS}, each target", _each(index, wide, TARGETS) / TARGETS
    yield "answer of a watched target", _timed(lambda: [index.answer(t) for t in world.targets]) / TARGETS
    asked = [target(p.key.name, 1234, namespace=p.key.namespace) for p in world.pods[:2_000]]
    yield "lookup of another target", _timed(lambda: [index.lookup(t) for t in asked]) / len(asked)


def memory(world: World) -> float:
    """Bytes that the index keeps of each pod; it lets go of the wire form."""
    wires = [msgspec.json.encode(p) for p in world.pods]
    index = InboundIndex(CLUSTER)
    gc.collect()
    tracemalloc.start()
    for wire in wires:
        index.apply([Applied(msgspec.json.decode(wire, type=Pod))])
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(wires)


def main() -> None:
    for world in (World("A", 20, 12, 10), World("B", 1, 24, 1), World("C", 1, 24, 1, pods_differ=True)):
        servers = sum(isinstance(resource, Server) for resource in world.policy)
        print(f"World {world.name}: {len(world.pods)} pods, {servers} Servers, {len(world.targets)} watched targets")
        for row, value in measure(world):
            print(f"  {row:38}{value:12.2f} µs")
        print(f"  {'memory for each pod':38}{memory(world):12.0f} bytes")


if __name__ == "__main__":
    main()
