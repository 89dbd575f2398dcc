"""Policy changes in a real cluster reach proxies: `trellis run` against a real API server, asked through grpcurl."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import apply_crds
from tests.cluster.processes import INBOUND, Controller, Grpcurl, controller, eventually
from tests.kube import KubeServer
from tests.manifests import (
    accepted,
    authorization_policy,
    http_route,
    network_authentication,
    network_ref,
    pod,
    server,
    server_ref,
)

pytestmark = pytest.mark.cluster

# In the seconds that a restart takes, with pauses that begin at about half a second and double.
MOST_ERRORS = 12


@pytest.fixture
def trellis(policy_kube: KubeServer, tmp_path: Path) -> Iterator[Controller]:
    with controller(policy_kube, tmp_path) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def grpcurl(trellis: Controller, assets: Path) -> Grpcurl:
    return Grpcurl(assets / "grpcurl", trellis.grpc)


def test_policy_reaches_a_proxy(policy_kube: KubeServer, namespace: str, grpcurl: Grpcurl) -> None:
    """Each change of a Server, its policies and its routes is on the stream of the port that it concerns."""
    # inbound 45-49, 53-55
    policy_kube.apply(pod(namespace=namespace, port=8080))
    eventually(lambda: grpcurl.knows(f"{namespace}:web"), "the pod is known")

    with grpcurl.watch_port(f"{namespace}:web", 8080) as proxy:
        first = proxy.next()
        assert first["labels"] == {"group": "", "kind": "default", "name": "all-unauthenticated"}

        policy_kube.apply(server("web-http", namespace=namespace, port=8080))
        governed = proxy.next()
        assert governed["labels"]["name"] == "web-http"
        assert "authorizations" not in governed

        policy_kube.apply(
            network_authentication("all", namespace=namespace),
            authorization_policy("anyone", server_ref("web-http"), network_ref("all"), namespace=namespace),
        )
        [authorization] = proxy.next()["authorizations"]
        assert authorization["labels"]["name"] == "anyone"

        route = accepted(http_route("metrics", "web-http", "/metrics", namespace=namespace))
        policy_kube.apply(route)
        policy_kube.patch_status("httproutes.policy.linkerd.io", route)
        [shown] = proxy.next()["protocol"]["http1"]["routes"]
        assert shown["metadata"]["resource"]["name"] == "metrics"

        policy_kube.kubectl("-n", namespace, "delete", "servers", "web-http")
        assert proxy.next() == first

        policy_kube.kubectl("-n", namespace, "delete", "pods", "web", "--grace-period=0", "--force")
        assert proxy.wait_ended() == (0, "")
        assert proxy.quiet


def test_reflection_and_health(trellis: Controller, grpcurl: Grpcurl) -> None:
    """Tools that know no definition of ours can list the services, describe them and ask for their health."""
    services = grpcurl.call(grpcurl.address, "list").split()

    assert {INBOUND, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"} <= set(services)
    assert "rpc WatchPort" in grpcurl.call(grpcurl.address, "describe", INBOUND)
    assert "SERVING" in grpcurl.call(grpcurl.address, "grpc.health.v1.Health/Check")


def test_codes(trellis: Controller, grpcurl: Grpcurl) -> None:
    """Requests that can never be right and workloads that do not exist get their codes, and are counted by them."""
    # inbound 89, 90, 121
    method = f"{INBOUND}/GetPort"

    assert "Invalid workload: nobody" in grpcurl.refused(method, {"workload": "nobody", "port": 0})
    assert "Invalid port: 65536" in grpcurl.refused(method, {"workload": "a:b", "port": 65536})
    text = grpcurl.refused(method, {"workload": "a:b", "port": 80})
    assert "Code: NotFound" in text
    assert "Message: unknown server" in text

    counted = f'grpc_server_handled_total{{grpc_code="INVALID_ARGUMENT",grpc_method="GetPort",grpc_service="{INBOUND}"'
    assert trellis.metric(counted) == 2
    assert trellis.metric(counted.replace("INVALID_ARGUMENT", "NOT_FOUND")) == 1


def test_it_ends_politely(policy_kube: KubeServer, namespace: str, trellis: Controller, grpcurl: Grpcurl) -> None:
    """On SIGTERM streams end with OK and the process with 0."""
    # inbound 94
    policy_kube.apply(pod(namespace=namespace, port=8080))
    eventually(lambda: grpcurl.knows(f"{namespace}:web"), "the pod is known")

    with grpcurl.watch_port(f"{namespace}:web", 8080) as proxy:
        proxy.next()
        assert trellis.terminate() == 0, trellis.log.read_text()
        assert proxy.wait_ended() == (0, "")


def test_ready_means_that_everything_was_listed(own_kube: KubeServer, assets: Path, tmp_path: Path) -> None:
    """Before every list is complete it is not ready and says nothing about anybody; afterwards it is and does."""
    apply_crds(own_kube)
    own_kube.api_server.send_signal(signal.SIGSTOP)
    with controller(own_kube, tmp_path) as trellis:
        grpcurl = Grpcurl(assets / "grpcurl", trellis.grpc)
        eventually(lambda: trellis.get("/live")[0] == 200, "it lives")

        assert trellis.get("/ready")[0] == 500
        refused = grpcurl.refused(f"{INBOUND}/GetPort", {"workload": "a:b", "port": 80})
        assert "Code: Unavailable" in refused

        own_kube.api_server.send_signal(signal.SIGCONT)
        trellis.wait_ready()
        refused = grpcurl.refused(f"{INBOUND}/GetPort", {"workload": "a:b", "port": 80})
        assert "Code: NotFound" in refused


def test_an_api_server_that_is_killed_and_comes_back(own_kube: KubeServer, assets: Path, tmp_path: Path) -> None:
    """Streams stay open while the API server is away, nobody hammers it, and what was deleted meanwhile is gone."""
    apply_crds(own_kube)
    own_kube.apply(pod(namespace="default", port=8080), server("web", namespace="default", port=8080))
    with controller(own_kube, tmp_path) as trellis:
        trellis.wait_ready()
        grpcurl = Grpcurl(assets / "grpcurl", trellis.grpc)
        with grpcurl.watch_port("default:web", 8080) as proxy:
            assert proxy.next()["labels"]["name"] == "web"

            own_kube.stop_api_server(kill=True)
            eventually(lambda: all(kind.get("lastError") for kind in _watches(trellis)), "every kind shows the outage")
            assert grpcurl.get_port("default:web", 8080)["labels"]["name"] == "web"
            trellis.process.send_signal(signal.SIGSTOP)  # it shall not see the deletion happen
            own_kube.start_api_server()
            own_kube.kubectl("-n", "default", "delete", "servers", "web")
            trellis.process.send_signal(signal.SIGCONT)

            gone = proxy.until(lambda message: message["labels"]["kind"] == "default", within=60)
            assert gone["labels"]["name"] == "all-unauthenticated"
            assert trellis.process.poll() is None
        for kind in _watches(trellis):
            assert kind["errors"] <= MOST_ERRORS, kind


def _watches(trellis: Controller) -> list[Any]:
    watches: list[Any] = json.loads(trellis.get("/kubert.json")[1])["watches"]
    return watches
