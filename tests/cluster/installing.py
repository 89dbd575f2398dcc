"""An installation without a cluster around it: its objects in a real API server, its command line run here.

What a kubelet would do is done by hand: the controller is started with the arguments of its container and the token of
its ServiceAccount. Only addresses and the folder of the certificate are this machine's.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.cluster.processes import Controller
from tests.kube import KubeServer, free_port, kube_server

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@attrs.frozen(order=True)
class Right:
    """A verb on a resource; the empty group is the core group."""

    group: str
    resource: str  # with its subresource, as in `pods/status`
    verb: str
    namespace: str = ""  # empty: everywhere
    name: str = ""  # empty: of any name


@attrs.frozen
class AuditedKube:
    """An API server that writes down who asked for what."""

    kube: KubeServer
    _log: Path

    def events(self, user: str) -> list[dict[str, Any]]:
        """Every request of the user that has been answered, or has begun to be."""
        lines = self._log.read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["user"]["username"] == user]

    def denied(self, user: str) -> list[str]:
        """What the user was not allowed to do, in the order in which it was tried."""
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in self.events(user)
            if event["annotations"].get("authorization.k8s.io/decision") != "allow"
            or event.get("responseStatus", {}).get("code") == 403
        ]

    def used(self, user: str) -> frozenset[Right]:
        """Which rights the user's requests for resources needed, names and namespaces left out."""
        return frozenset(
            Right(
                ref.get("apiGroup", ""),
                "/".join(filter(None, (ref["resource"], ref.get("subresource")))),
                event["verb"],
            )
            for event in self.events(user)
            if (ref := event.get("objectRef")) and "resource" in ref
        )


@contextlib.contextmanager
def audited_kube(assets: Path, folder: Path, *extra: str) -> Iterator[AuditedKube]:
    policy, log = folder / "audit-policy.json", folder / "audit.log"
    policy.write_text(json.dumps(_AUDIT_POLICY))
    log.touch()
    with kube_server(assets, f"--audit-policy-file={policy}", f"--audit-log-path={log}", *extra) as kube:
        yield AuditedKube(kube, log)


def manifests(*arguments: str) -> str:
    """The output of `trellis manifests`."""
    command = [sys.executable, "-m", "controller", "manifests", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write_kubeconfig(kube: KubeServer, folder: Path, namespace: str, account: str) -> Path:
    """A kubeconfig with a token of the ServiceAccount, as its pod would have one."""
    token = kube.kubectl("-n", namespace, "create", "token", account).strip()
    path = folder / "account-kubeconfig"
    path.write_text(json.dumps(kube.kubeconfig_of(token)))
    return path


def container(deployment: Mapping[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == name]
    return dict(found)


def write_secret(secret: Mapping[str, Any], folder: Path) -> None:
    """Lay a Secret's values down as files, as a volume would have them."""
    folder.mkdir()
    for name, value in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(value))


@contextlib.contextmanager
def running(
    arguments: Sequence[str],
    kubeconfig: Path,
    folder: Path,
    *,
    host: str = "127.0.0.1",
    grpc_port: int | None = None,
) -> Iterator[RunningInstallation]:
    """Run the image's entry point with a container's arguments; the certificate lies in `folder/tls`."""
    ports = {name: free_port() for name in ("--admin-addr", "--grpc-addr", "--server-addr")}
    if grpc_port is not None:
        ports["--grpc-addr"] = grpc_port
    local = [f"--kubeconfig={kubeconfig}"]
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name in ports:
            value = f"{host}:{ports[name]}"
        if name.startswith("--server-tls"):
            value = str(folder / "tls" / Path(value).name)
        local.append(f"{name}={value}" if value else name)
    if arguments[0] == "run":
        local = ["run", *(argument for argument in local if argument != "run")]
    log = folder / "trellis.log"
    code = "from controller.__main__ import policy_controller; policy_controller()"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *local], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    addresses = {name: f"{host}:{port}" for name, port in ports.items()}
    try:
        yield RunningInstallation(
            process, addresses["--admin-addr"], addresses["--grpc-addr"], log, addresses["--server-addr"]
        )
    finally:
        process.kill()
        process.wait()


@attrs.define(eq=False)
class RunningInstallation(Controller):
    """A controller that runs as installed."""

    webhook: str

    def open_metrics(self) -> str:
        """The metrics in the form that Prometheus asks for."""
        request = urllib.request.Request(
            f"http://{self.admin}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(response.read().decode())
