"""`trellis demo --keep`: kubectl, grpcurl and others work with what stays up."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from controller.k8s.kinds import WATCHED
from controller.k8s.resource import ResourceType
from tests.destinations import egress_network, egress_ref, route, service, service_ref
from tests.manifests import (
    Manifest,
    authorization_policy,
    external_workload,
    http_route,
    named,
    network_authentication,
    network_ref,
    pod,
    rate_limit,
    server,
    server_authorization,
    server_ref,
)
from tests.shell.demo.conftest import Demo, running

pytestmark = pytest.mark.cluster

NAMESPACE = "default"
NAME = "of-a-test"
PORT = service_ref("web", port=8080)


def _without_status(manifest: Manifest) -> Manifest:
    return {name: value for name, value in manifest.items() if name != "status"}


def _manifests() -> dict[str, Manifest]:
    """One object of every kind that the controller reads, by API path."""
    client = {"unauthenticated": True}
    in_namespace = {"namespace": NAMESPACE}
    identities = {"identities": ["*"]}
    made = [
        pod(NAME, **in_namespace),
        external_workload(NAME, **in_namespace),
        server(NAME, **in_namespace),
        server_authorization(NAME, "web", client=client, **in_namespace),
        authorization_policy(NAME, server_ref("web"), network_ref("all"), **in_namespace),
        named("MeshTLSAuthentication", "policy.linkerd.io/v1alpha1", NAME, **in_namespace, spec=identities),
        network_authentication(NAME, **in_namespace),
        {**rate_limit(NAME, "web", total={"requestsPerSecond": 5}), "metadata": {"name": NAME, **in_namespace}},
        http_route(NAME, "web", "/metrics", **in_namespace),
        route("G", NAME, NAMESPACE, parents=[PORT]),
        route("R", NAME, NAMESPACE, parents=[PORT]),
        route("T", NAME, NAMESPACE, parents=[PORT], hostnames=["a.example"], backends=[PORT]),
        route("C", NAME, NAMESPACE, parents=[egress_ref(port=443)], backends=[PORT]),
        service(NAME, NAMESPACE, ips=("10.96.7.7",), ports=[80]),
        egress_network(NAME, NAMESPACE),
    ]
    types = {(kind.resource.api_version, kind.resource.kind): kind.resource.api_path for kind in WATCHED}
    return {types[manifest["apiVersion"], manifest["kind"]]: _without_status(manifest) for manifest in made}


MANIFESTS = _manifests()


@attrs.frozen
class Kept:
    """A demo that stays up, and the programs beside it."""

    demo: Demo
    assets: Path
    hints: tuple[str, ...]

    @property
    def kubeconfig(self) -> str:
        [hint] = [hint for hint in self.hints if hint.startswith("export KUBECONFIG=")]
        return hint.partition("=")[2]

    def run(self, *command: str, stdin: Manifest | None = None) -> tuple[int, str, str]:
        """Exit code, output and complaints of a program of the assets."""
        done = subprocess.run(
            self._command(*command), input=json.dumps(stdin), capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def kubectl(self, *arguments: str, stdin: Manifest | None = None) -> str:
        code, output, errors = self.run("kubectl", "-n", NAMESPACE, *arguments, stdin=stdin)
        assert code == 0, errors
        return output

    @contextlib.contextmanager
    def streaming(self, *command: str) -> Iterator[Iterator[str]]:
        """The lines of a program that goes on and on."""
        process = subprocess.Popen(
            self._command(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()
            process.communicate()

    def _command(self, name: str, *arguments: str) -> list[str]:
        flags = [f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.demo.folder}"] if name == "kubectl" else []
        return [str(self.assets / name), *flags, *arguments]


@pytest.fixture(scope="module")
def kept(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """A demo whose acts are over."""
    with running(tmp_path_factory.mktemp("keep"), "-m", "controller", "demo", "--keep") as demo:
        demo.read_until("curl -X DELETE")
        hints = [line.strip() for line in demo.lines if re.match(r" {5}(export|kubectl|grpcurl|curl) ", line)]
        yield Kept(demo, assets, tuple(hints))


def test_there_is_a_manifest_of_every_kind() -> None:
    """So that no kind is forgotten below."""
    assert MANIFESTS.keys() == {kind.resource.api_path for kind in WATCHED}


@pytest.mark.parametrize(
    "resource", [kind.resource for kind in WATCHED], ids=lambda resource: f"{resource.kind}.{resource.group}"
)
def test_kubectl_works_on(resource: ResourceType, kept: Kept) -> None:  # type: ignore[type-arg]  # of any kind
    """Apply on either side, get, describe, get -w, label, wait and delete."""
    manifest = MANIFESTS[resource.api_path]
    kind = f"{resource.plural}.{resource.version}.{resource.group}" if resource.group else resource.plural
    shown = f"{resource.kind.lower()}{resource.group and '.' + resource.group}/{NAME}"

    assert kept.kubectl("apply", "-f", "-", stdin=manifest) == f"{shown} created\n"
    with kept.streaming("kubectl", "-n", NAMESPACE, "get", kind, "-w", "--no-headers", "-l", "kept!=no") as lines:
        assert any(line.startswith(NAME) for line in lines)
        # Fields with defaults in a list that is one value belong to who applied before, on any API server.
        applied = kept.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
        assert applied == f"{shown} serverside-applied\n"
        kept.kubectl("label", kind, NAME, "seen=yes")
        assert next(lines).startswith(NAME)
        kept.kubectl("wait", kind, NAME, "--for=jsonpath={.metadata.labels.seen}=yes", "--timeout=10s")
    assert re.search(rf"^{NAME} ", kept.kubectl("get", kind), re.MULTILINE)
    described = kept.kubectl("describe", kind, NAME)
    assert re.search(rf"^Name: +{NAME}$", described, re.MULTILINE)
    assert re.search(r"^Labels: .*seen=yes$", described, re.MULTILINE | re.DOTALL)
    assert "deleted" in kept.kubectl("delete", kind, NAME, "--wait=false")
    kept.kubectl("wait", kind, NAME, "--for=delete", "--timeout=10s")
    assert "NotFound" in kept.run("kubectl", "-n", NAMESPACE, "get", kind, NAME)[2]


def test_pods_are_ready(kept: Kept) -> None:
    """The pods of the application look as if a kubelet cared for them."""
    kept.kubectl("wait", "pods", "--all", "-n", "payments", "--for=condition=Ready", "--timeout=10s")


def test_the_hints_work(kept: Kept) -> None:
    """Each command that is suggested does something, as it stands there."""
    for hint in kept.hints:
        name, *arguments = shlex.split(hint, comments=True)
        if name == "kubectl" and not {"-w", "delete"} & set(arguments):
            code, output, errors = kept.run(name, *arguments)
            assert (code, errors) == (0, "")
            assert output
        elif name == "grpcurl":
            with kept.streaming(name, *arguments) as lines:
                assert next(lines) == "{\n"
        elif name == "curl" and len(arguments) == 1:
            with urllib.request.urlopen(f"http://{arguments[0]}", timeout=10) as answer:
                assert answer.status == 200
    assert {"kubectl", "grpcurl", "curl"} <= {hint.split()[0] for hint in kept.hints}


def test_changes_appear_and_ctrl_c_ends_it(assets: Path, tmp_path: Path) -> None:
    """What the proxies are told is printed while it stays up; it exits with 0 and takes its files with it."""
    with running(tmp_path, "-m", "controller", "demo", "--keep") as demo:
        demo.read_until("curl -X DELETE")
        [hint] = [line.strip() for line in demo.lines if "delete authorizationpolicy" in line]
        [kubeconfig] = [line.partition("=")[2] for line in demo.lines if "export KUBECONFIG=" in line]
        command = [str(assets / "kubectl"), f"--kubeconfig={kubeconfig}", *shlex.split(hint)[1:]]
        subprocess.run([*command, f"--cache-dir={tmp_path / 'cache'}"], check=True, capture_output=True, timeout=30)
        demo.read_until("→")
        demo.read_until("may call    nobody")
        demo.process.send_signal(signal.SIGINT)
        assert demo.read_rest() == (0, "")

    assert demo.lines[-1] == "Ended."
    assert demo.left_behind == ["cache"]
