"""Outbound policy in a real cluster: `trellis run` against a real API server, asked through grpcurl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import OUTBOUND, Controller, Grpcurl, controller, eventually
from tests.destinations import Object, egress_network, egress_ref, route, service, service_ref
from tests.kube import KubeServer

pytestmark = pytest.mark.cluster

OUTSIDE = "198.51.100.7"


@pytest.fixture
def trellis(policy_kube: KubeServer, tmp_path: Path) -> Iterator[Controller]:
    policy_kube.kubectl("create", "namespace", "linkerd", check=False)  # that of the Lease: it writes statuses
    with controller(policy_kube, tmp_path) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def grpcurl(trellis: Controller, assets: Path) -> Grpcurl:
    return Grpcurl(assets / "grpcurl", trellis.grpc)


def new(obj: Object) -> Object:
    """The object as a user would apply it: the API server dates it, and the controller writes its status."""
    kept = {key: value for key, value in obj.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "creationTimestamp"}
    return kept


def new_service(name: str, namespace: str, **fields: Any) -> Object:
    """A Service whose address the API server chooses."""
    made = new(service(name, namespace, **fields))
    ports = [{"name": f"port-{port}", "port": port} for port in (4191, 9999)]
    return {**made, "spec": {"type": "ClusterIP", "ports": ports}}


def routes(message: Any) -> list[str]:
    """The names of the HTTP routes, in order."""
    shown = message["protocol"]["detect"]["http1"]["routes"]
    return [r["metadata"].get("default") or r["metadata"]["resource"]["name"] for r in shown]


def backend(message: Any) -> Any:
    """The first backend of the first HTTP route."""
    (rule,) = message["protocol"]["detect"]["http1"]["routes"][0]["rules"]
    return rule["backends"]["randomAvailable"]["backends"][0]["backend"]


def test_each_change_reaches_a_client_once(policy_kube: KubeServer, namespace: str, grpcurl: Grpcurl) -> None:
    """A Service, a route with its status, and the backend that it lacked at first."""
    # outbound 109, 111, 114, 153, 193
    policy_kube.apply(new_service("web", namespace))
    address = policy_kube.kubectl("-n", namespace, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    source = f"{namespace}:client"
    eventually(lambda: answers(grpcurl, source, address, 4191), "the Service is known")

    with grpcurl.watch_address(source, address, 4191) as client:
        first = client.next()
        assert first["metadata"]["resource"]["name"] == "web"
        assert routes(first) == ["http"]

        policy_kube.apply(new_service("web", namespace, annotations={"timeout.linkerd.io/request": "2s"}))
        tuned = client.next()
        (rule,) = tuned["protocol"]["detect"]["http1"]["routes"][0]["rules"]
        assert rule["timeouts"]["request"] == "2s"

        # The controller itself accepts the route; what it writes is no further message.
        parents, backends = [service_ref("web", port=4191)], [service_ref("v2", port=8080)]
        policy_kube.apply(new(route("L", "canary", namespace, parents=parents, backends=backends)))
        routed = client.next()
        assert routes(routed) == ["canary"]
        failing = backend(routed)
        assert "balancer" not in failing["backend"]
        assert failing["filters"][0]["failureInjector"]["message"] == "Service not found v2"

        policy_kube.apply(new_service("v2", namespace))
        path = backend(client.next())["backend"]["balancer"]["discovery"]["dst"]["path"]
        assert path == f"v2.{namespace}.svc.cluster.local:8080"

        policy_kube.kubectl("-n", namespace, "delete", "httproutes.policy.linkerd.io", "canary")
        assert client.next() == tuned
        policy_kube.kubectl("-n", namespace, "delete", "service", "v2")
        policy_kube.apply(new_service("web", namespace))
        assert client.next() == first
        assert client.quiet


def answers(grpcurl: Grpcurl, source: str, address: str, port: int) -> bool:
    """Whether an address of the cluster is answered for."""
    with grpcurl.watch_address(source, address, port) as client:
        try:
            client.next(within=0.5)
        except Exception:  # noqa: BLE001  # `queue.Empty`, or an end
            return False
        return True


def test_streams_end_only_where_the_answer_is_another(
    policy_kube: KubeServer, namespace: str, grpcurl: Grpcurl
) -> None:
    """An EgressNetwork concerns the callers of its namespace; while it is the right one it is told, and not ended."""
    # outbound 162, 163, 222
    stranger = "elsewhere:client"
    with (
        grpcurl.watch_address(f"{namespace}:client", OUTSIDE, 80) as here,
        grpcurl.watch_address(stranger, OUTSIDE, 80) as there,
    ):
        assert here.next()["metadata"] == there.next()["metadata"] == {"default": "egress-fallback"}
        policy_kube.apply(new(egress_network("out", namespace)))
        assert here.wait_ended() == (0, "")

        with grpcurl.watch_address(f"{namespace}:client", OUTSIDE, 80) as again:
            governed = again.next()
            assert governed["metadata"]["resource"]["kind"] == "EgressNetwork"
            assert routes(governed) == ["http-egress-allow"]

            accepted = "-o", "jsonpath={.status.conditions[0].status}"
            where = ("-n", namespace, "get", "egressnetworks", "out")
            eventually(lambda: policy_kube.kubectl(*where, *accepted) == "True", "the EgressNetwork is accepted")
            policy_kube.apply(new(egress_network("out", namespace, policy="Deny")))
            assert routes(again.next()) == ["http-egress-deny"]

            policy_kube.apply(new(route("G", "allowed", namespace, parents=[egress_ref("out", port=80)])))
            assert routes(again.next()) == ["allowed", "http-egress-deny"]

            policy_kube.kubectl("-n", namespace, "delete", "egressnetworks", "out")
            assert again.wait_ended() == (0, "")
            assert again.quiet
        assert there.quiet
        assert there.process.poll() is None


def test_codes_and_metrics(namespace: str, trellis: Controller, grpcurl: Grpcurl) -> None:
    """What is not found and what is never right get their codes, and sizes are shown under upstream's names."""
    # outbound 108, 186, 188
    method = f"{OUTBOUND}/Get"
    unused = {"sourceWorkload": "a:b", "addr": {"ip": {"ipv4": 0x0A08FFFF}, "port": 4191}}
    assert "Message: No such service" in grpcurl.refused(method, unused)
    assert "invalid authority" in grpcurl.refused(method, {"sourceWorkload": "a:b", "authority": "a b"})
    with grpcurl.watch_authority("a:b", f"nosuch.{namespace}.svc") as client:
        assert client.next()["metadata"]["resource"]["name"] == "nosuch"
        assert trellis.metric(f'outbound_index_service_port_route_index_size{{namespace="{namespace}"}}') == 1
    assert trellis.metric("outbound_index_service_info_index_size") >= 1
    counted = f'grpc_server_handled_total{{grpc_code="NOT_FOUND",grpc_method="Get",grpc_service="{OUTBOUND}"'
    assert trellis.metric(counted) == 1
