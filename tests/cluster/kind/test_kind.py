"""Trellis in a real cluster: scheduled, probed, asked through its Service, and restarted while it is asked."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kind.conftest import NAMESPACE, KindCluster
from tests.cluster.processes import Grpcurl, eventually
from tests.manifests import accepted, http_route, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # a cluster takes its time

IMAGE = "trellis:kind"
ASKER = (Path(__file__).parent / "asker.py").read_text()
SECONDS = 60


def test_the_pods_are_well(cluster: KindCluster) -> None:
    """Two of them, on two nodes, ready, and none was ever killed by its liveness probe."""
    pods = cluster.pods()

    assert len({pod["spec"]["nodeName"] for pod in pods}) == len(pods) == 2
    for pod in pods:
        [status] = pod["status"]["containerStatuses"]
        assert status["ready"]
        assert status["restartCount"] == 0


def test_the_probes_are_answered(cluster: KindCluster) -> None:
    """The pages that the kubelet asks for, and what Prometheus would."""
    name = cluster.pods()[0]["metadata"]["name"]
    with cluster.forwarded(f"pod/{name}", 9990) as address:

        def page(path: str) -> str:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as response:
                return str(response.read().decode())

        assert page("/live") == "alive\n"
        assert page("/ready") == "ready\n"
        assert "resource_status_patches" in page("/metrics")


def test_policy_reaches_a_proxy(cluster: KindCluster, app: str, assets: Path) -> None:
    """A Server that is applied is on the stream of the port that it selects."""
    with cluster.forwarded("service/trellis", 8090) as address:
        grpcurl = Grpcurl(assets / "grpcurl", address)
        eventually(lambda: grpcurl.knows(f"{app}:web"), "the pod is known")
        with grpcurl.watch_port(f"{app}:web", 80) as proxy:
            assert proxy.next()["labels"]["kind"] == "default"

            cluster.apply(server("web", namespace=app, port=80))

            assert proxy.next()["labels"]["name"] == "web"


def test_statuses_are_written(cluster: KindCluster, app: str) -> None:
    """Whoever holds the Lease says of a route that it is followed."""
    route = http_route("route", "web", "/", namespace=app)
    cluster.apply(server("web", namespace=app, port=80), route)

    def conditions() -> Any:
        shown = cluster.get("-n", app, "httproutes.policy.linkerd.io", "route").get("status", {})
        return [each["reason"] for parent in shown.get("parents", ()) for each in parent["conditions"]]

    wanted = [each["reason"] for parent in accepted(route)["status"]["parents"] for each in parent["conditions"]]
    eventually(lambda: conditions() == wanted, "the route is accepted", within=60)


def test_the_webhook_refuses(cluster: KindCluster, app: str) -> None:
    """A manifest that no proxy could follow is refused by the API server, in words of ours."""
    bad = server("bad", namespace=app, access_policy="foobar")

    said = cluster.kubectl("apply", "-f", "-", stdin=json.dumps(bad), check=False)

    assert "denied the request" in said
    assert "foobar" in said


def test_a_rolling_restart_costs_no_answer(cluster: KindCluster, app: str) -> None:
    """Whoever asks, through the Service's name, while every pod is replaced, is answered every time."""
    before = {pod["metadata"]["name"] for pod in cluster.pods()}
    arguments = [f"trellis.{NAMESPACE}.svc.cluster.local:8090", f"{app}:web", "80", str(SECONDS)]
    cluster.kubectl("-n", app, "delete", "pod", "asker", "--ignore-not-found")
    cluster.kubectl(
        "-n", app, "run", "asker", f"--image={IMAGE}", "--image-pull-policy=Never", "--restart=Never",
        "--command", "--", "python", "-c", ASKER, *arguments,
    )  # fmt: skip
    eventually(lambda: "asking" in cluster.kubectl("-n", app, "logs", "asker", check=False), "it asks", within=60)

    cluster.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/trellis")
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/trellis", "--timeout=120s")
    cluster.kubectl(
        "-n", app, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asker", f"--timeout={SECONDS * 2}s"
    )

    result = json.loads(cluster.kubectl("-n", app, "logs", "asker").splitlines()[-1])
    assert not before & {pod["metadata"]["name"] for pod in cluster.pods()}
    assert result["failures"] == []
    assert result["asked"] > 100


def test_a_pod_that_ends_ends_its_streams(cluster: KindCluster, app: str, assets: Path) -> None:
    """SIGTERM: a proxy's stream ends with OK, and not in the middle of something."""
    name = cluster.pods()[0]["metadata"]["name"]
    with (
        cluster.forwarded(f"pod/{name}", 8090) as address,
        Grpcurl(assets / "grpcurl", address).watch_port(f"{app}:web", 80) as proxy,
    ):
        proxy.next()

        cluster.kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=false")

        assert proxy.wait_ended() == (0, "")
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/trellis", "--timeout=120s")
