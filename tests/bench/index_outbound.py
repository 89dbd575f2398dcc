"""What events cost the outbound index in a large cluster.

Run with `python -m tests.bench.index_outbound`. The world: 5,000 Services, 1,000 routes, 100 EgressNetworks; watched
are 2,000 ports of Services and 500 addresses outside of the cluster.
"""

from __future__ import annotations

import gc
import json
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any

from controller.core.cluster import ClusterConfig
from controller.core.outbound import AddressTarget, OutboundTarget, ServiceTarget
from controller.grpc.outbound import OutboundEncoder
from controller.grpc.outbound_to_proto import OutboundDialect
from controller.index.outbound.index import OutboundIndex
from controller.k8s.events import Applied, Event, Reset
from controller.k8s.kinds import EGRESS_NETWORKS, GATEWAY_HTTP_ROUTES, SERVICES
from controller.k8s.meta import Resource

SERVICES_COUNT, ROUTES_COUNT, EGRESS_COUNT = 5_000, 1_000, 100
NAMESPACES = 50


def _metadata(kind: str, i: int, **more: Any) -> dict[str, Any]:
    return {"name": f"{kind}-{i}", "namespace": f"ns-{i % NAMESPACES}", **more}


def service(i: int, **annotations: str) -> Resource:
    metadata = _metadata("svc", i, annotations=annotations, creationTimestamp="2026-01-01T00:00:00Z")
    ports = [{"port": 80, "name": "http"}, {"port": 8080, "name": "admin"}]
    spec = {"clusterIPs": [str(IPv4Address("10.96.0.0") + i)], "ports": ports}
    return SERVICES.decode(json.dumps({"metadata": metadata, "spec": spec}).encode())


def route(i: int, path: str = "/") -> Resource:
    """A route of every fifth Service, to two others."""
    parent = {"group": "core", "kind": "Service", "name": f"svc-{i * 5}", "namespace": f"ns-{i * 5 % NAMESPACES}"}
    backends = [
        {"name": f"svc-{n}", "namespace": f"ns-{n % NAMESPACES}", "port": 80, "weight": 50}
        for n in (i, i + ROUTES_COUNT)
    ]
    metadata = {"name": f"route-{i}", "namespace": parent["namespace"], "creationTimestamp": "2026-01-01T00:00:00Z"}
    accepted = {"type": "Accepted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "parents": [{"parentRef": parent, "controllerName": "linkerd.io/policy-controller", "conditions": [accepted]}]
    }
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": path}}], "backendRefs": backends}]
    body = {"metadata": metadata, "spec": {"parentRefs": [parent], "rules": rules}, "status": status}
    return GATEWAY_HTTP_ROUTES.decode(json.dumps(body).encode())


def egress_network(i: int, policy: str = "Allow") -> Resource:
    spec = {"trafficPolicy": policy, "networks": [{"cidr": f"198.{i}.0.0/16"}]}
    return EGRESS_NETWORKS.decode(json.dumps({"metadata": _metadata("egress", i), "spec": spec}).encode())


def watched() -> Iterator[OutboundTarget]:
    for i in range(2_000):
        yield ServiceTarget("ns-0", f"ns-{i % NAMESPACES}", f"svc-{i}", 80)
    for i in range(500):
        yield AddressTarget(f"ns-{i % NAMESPACES}", IPv4Address("198.0.0.1") + (i << 16), 443)


def _flipped(i: int) -> Resource:
    return egress_network(i % EGRESS_COUNT, "Allow" if i // EGRESS_COUNT % 2 else "Deny")


def _measure(name: str, resources: Callable[[int], Resource], index: OutboundIndex, rounds: int = 300) -> None:
    prepared = [Applied(resources(i)) for i in range(rounds)]
    changed, durations = 0, list[float]()
    for event in prepared:
        begin = time.perf_counter()
        changed += len(index.apply([event]))
        durations.append((time.perf_counter() - begin) * 1e6)
    cuts = statistics.quantiles(durations, n=100)
    print(f"{name:52} p50 {cuts[49]:8.1f} µs   p99 {cuts[98]:8.1f} µs   {changed / rounds:8.1f} changed")


def main() -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    lists: list[Event] = [
        Reset(type(service(0)), tuple(map(service, range(SERVICES_COUNT)))),
        Reset(type(route(0)), tuple(map(route, range(ROUTES_COUNT)))),
        Reset(type(egress_network(0)), tuple(map(egress_network, range(EGRESS_COUNT)))),
    ]
    index = OutboundIndex(ClusterConfig(default_opaque_ports=frozenset((25, 3306))))
    begin = time.perf_counter()
    index.apply(lists)
    print(f"first lists: {(time.perf_counter() - begin) * 1e3:.0f} ms")

    targets = list(watched())
    begin = time.perf_counter()
    for target in targets:
        index.watch(index.resolve(target))
    print(f"watch: {(time.perf_counter() - begin) / len(targets) * 1e6:.1f} µs each")
    encoder = OutboundEncoder(OutboundDialect("cluster.local"))
    begin = time.perf_counter()
    for target in targets:
        answer = index.answer(index.resolve(target))
        assert answer is not None
        encoder.encode(answer)
    print(f"encode: {(time.perf_counter() - begin) / len(targets) * 1e6:.1f} µs each")
    gc.freeze()

    idle = {"timeout.linkerd.io/idle": "1s"}
    measured: tuple[tuple[str, Callable[[int], Resource]], ...] = (
        ("Service, same as before", service),
        ("Service nobody watches, changed", lambda i: service(4_000 + i, **idle)),
        ("Service watched once, changed", lambda i: service(1_001 + i, **idle)),
        ("route, same as before", route),
        ("route nobody watches, changed", lambda i: route(600 + i, f"/{i}")),
        ("route watched once, changed", lambda i: route(i, f"/{i}")),
        ("EgressNetwork, same as before", lambda i: egress_network(i % EGRESS_COUNT)),
        ("EgressNetwork watched once, changed", _flipped),
    )
    for name, resources in measured:
        _measure(name, resources, index)

    gc.collect()
    tracemalloc.start()
    baseline, _ = tracemalloc.get_traced_memory()
    begin = time.perf_counter()
    for i in range(10_000):
        index.lookup(ServiceTarget(f"ns-{i}", f"unknown-{i}", "svc", 80))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    print(f"10,000 lookups of unknown names leave {after - baseline} bytes")
    tracemalloc.stop()
    begin = time.perf_counter()
    for i in range(10_000):
        answer = index.lookup(ServiceTarget("ns-0", f"ns-{i % NAMESPACES}", f"svc-{i % 5000}", 8080))
        assert answer is not None
        encoder.encode(answer)
    print(f"lookup and encode of an unwatched port: {(time.perf_counter() - begin) / 10_000 * 1e6:.1f} µs")


if __name__ == "__main__":
    main()
