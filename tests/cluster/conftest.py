"""Policy resources in a real API server."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from tests.kube import KubeServer


def apply_crds(kube: KubeServer) -> None:
    """Teach the API server the kinds that the controller reads."""
    command = [sys.executable, "-m", "controller", "crds", "--gateway-api"]
    crds = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kube.kubectl("apply", "--server-side", "-f", "-", stdin=crds)
    kube.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@pytest.fixture(scope="session")
def policy_kube(kube: KubeServer) -> KubeServer:
    """The shared API server, with the policy kinds."""
    apply_crds(kube)
    return kube


_numbers = itertools.count()


@pytest.fixture
def namespace(policy_kube: KubeServer) -> str:
    """A namespace of the test's own."""
    name = f"ns-{next(_numbers)}"
    policy_kube.kubectl("create", "namespace", name)
    return name
