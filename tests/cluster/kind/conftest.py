"""A kind cluster with Trellis in it, which `nox -s kind` makes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

NAMESPACE = "trellis"
KUBECONFIG = "TRELLIS_KIND_KUBECONFIG"


@attrs.frozen
class KindCluster:
    """kubectl, as the cluster's administrator."""

    kubeconfig: str

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it printed; what it complained of where it may fail."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout if done.returncode == 0 else done.stderr

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, *manifests: object) -> None:
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))

    def pods(self) -> list[Any]:
        """Trellis's own that are not on their way out."""
        listed = self.get("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/name=trellis")["items"]
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    @contextlib.contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[str]:
        """A local address that leads to a port of a pod or Service of Trellis."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", "-n", NAMESPACE, "port-forward", what, f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            match = re.search(r"127\.0\.0\.1:\d+", line)
            assert match is not None, f"kubectl port-forward said {line!r}"
            yield match[0]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture(scope="session")
def cluster() -> KindCluster:
    path = os.environ.get(KUBECONFIG)
    if not path:
        pytest.skip("needs a kind cluster: nox -s kind makes one and runs these tests")
    assert Path(path).exists()
    return KindCluster(path)


@pytest.fixture(scope="session")
def app(cluster: KindCluster) -> Iterator[str]:
    """A namespace with a pod that counts as meshed; nothing in it has to run."""
    name = "kind-app"
    cluster.kubectl("create", "namespace", name)
    labels = {"app": "web", "linkerd.io/control-plane-ns": "linkerd"}
    container = {"name": "web", "image": "registry.k8s.io/pause:3.10", "ports": [{"containerPort": 80}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": name, "labels": labels}}
    cluster.apply(pod | {"spec": {"containers": [container]}})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")
