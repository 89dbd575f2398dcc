"""Controllers are replaced one by one, as a Deployment does it, and nobody who asks goes without an answer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.installing import running
from tests.cluster.processes import Grpcurl, eventually
from tests.kube import KubeServer, free_port
from tests.manifests import pod

pytestmark = pytest.mark.cluster

ASKER = Path(__file__).parent / "kind" / "asker.py"
ARGUMENTS = (
    "run",
    "--admin-addr=0.0.0.0:9990",
    "--grpc-addr=0.0.0.0:8090",
    "--admission-controller-disabled",
    "--default-opaque-ports=25",
    "--shutdown-delay=1s",
)


@contextlib.contextmanager
def asking(ports: list[int], workload: str, seconds: float) -> Iterator[subprocess.Popen[str]]:
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    command = [sys.executable, str(ASKER), addresses, workload, "80", str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "asking\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def told(process: subprocess.Popen[str]) -> Any:
    output, _ = process.communicate(timeout=60)
    return json.loads(output)


def test_a_rolling_restart_costs_no_answer(
    policy_kube: KubeServer, namespace: str, assets: Path, tmp_path: Path
) -> None:
    """The new one is ready before an old one is told to go, and that one answers until it has gone."""
    policy_kube.apply(pod(namespace=namespace, port=80))
    ports = [free_port() for _ in range(3)]
    workload = f"{namespace}:web"

    def start(number: int) -> Any:
        folder = tmp_path / str(number)
        folder.mkdir()
        controller = stack.enter_context(running(ARGUMENTS, policy_kube.kubeconfig, folder, grpc_port=ports[number]))
        controller.wait_ready()
        grpcurl = Grpcurl(assets / "grpcurl", controller.grpc)
        eventually(lambda: grpcurl.knows(workload), "the pod is known")
        return controller

    with contextlib.ExitStack() as stack:
        old, other = start(0), start(1)
        asker = stack.enter_context(asking(ports, workload, 12))
        new = start(2)
        assert old.terminate() == 0
        assert other.terminate() == 0
        result = told(asker)
        assert new.process.poll() is None

    assert result["failures"] == []
    assert result["asked"] > 100


def test_the_asker_notices(policy_kube: KubeServer, namespace: str, tmp_path: Path) -> None:
    """Where nobody is there to answer, or the answer is no, that is counted."""
    (port,) = [free_port()]

    with asking([port], f"{namespace}:web", 0.2) as asker:
        assert "refused" in told(asker)["failures"][0].lower()
    with running(ARGUMENTS, policy_kube.kubeconfig, tmp_path, grpc_port=port) as controller:
        controller.wait_ready()
        with asking([port], f"{namespace}:web", 0.2) as asker:
            assert "NOT_FOUND" in told(asker)["failures"][0]
