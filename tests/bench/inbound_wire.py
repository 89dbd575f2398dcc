"""What the inbound API costs without sockets, in microseconds: `python -m tests.bench.inbound_wire`.

Rows of "each" are for one of 5,000 streams that one change concerns; what the transport adds is measured elsewhere.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

from controller.grpc.gen.linkerd import inbound_pb2 as pb
from controller.grpc.workload import parse_workload
from tests.manifests import accepted as accepted_route
from tests.manifests import (
    authorization_policy,
    http_route,
    network_authentication,
    network_ref,
    pod,
    server,
    server_ref,
)
from tests.policy_cluster import PolicyCluster

STREAMS = 5_000
TOKEN = '{"ns":"ns", "pod":"web", "nodeName":"node-7.example.com"}\n'


class Stream:
    """Takes what is published, and does as little as can be done with it."""

    __slots__ = ("message",)

    def publish(self, message: bytes) -> None:
        self.message = message

    def end(self, status: object) -> None:
        raise AssertionError(status)


def cpu(work: Callable[[], object], times: int = 1) -> float:
    """Microseconds of CPU for one call."""
    begin = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begin) / times * 1e6


def row(what: str, microseconds: float) -> None:
    print(f"{what:48}{microseconds:10.2f} µs")


def main() -> None:
    cluster = PolicyCluster()
    cluster.sync()
    cluster.apply(pod(port=8080, probes=("/live", "/ready")), network_authentication("all"))
    cluster.apply(server("web", port=8080), accepted_route(http_route("metrics", "web", "/metrics")))
    service, request = cluster.service, pb.PortSpec(workload=TOKEN, port=8080).SerializeToString()

    row("token of an injected proxy", cpu(lambda: parse_workload(TOKEN), 20_000))
    row("GetPort, from request to bytes", cpu(lambda: service.get_port(pb.PortSpec.FromString(request)), 20_000))

    streams = [Stream() for _ in range(STREAMS)]
    decoded = pb.PortSpec.FromString(request)
    row("WatchPort, each", cpu(lambda: [service.watch_port(decoded, stream) for stream in streams]) / STREAMS)
    gc.freeze()
    for number in range(3):
        policy = authorization_policy(f"policy-{number}", server_ref("web"), network_ref("all"))
        before = streams[0].message
        spent = cpu(lambda policy=policy: cluster.apply(policy))
        assert all(stream.message is streams[0].message is not before for stream in streams)
        row(f"policy → {STREAMS:,} streams, each ({len(streams[0].message)} bytes)", spent / STREAMS)
    unheard = [server(f"other-{number}", port=1 + number, namespace="elsewhere") for number in range(500)]
    row("Server that selects nothing", cpu(lambda: cluster.apply(*unheard)) / len(unheard))


if __name__ == "__main__":
    main()
