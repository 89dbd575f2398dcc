"""A real Kubernetes API server for tests: where its programs are, and how it starts and stops.

The programs (etcd, kube-apiserver, kubectl, grpcurl, h2spec) are found in this order: the folder that
`$KUBEBUILDER_ASSETS` names; an archive `shared/assets/bin.tar.xz` beside the checkout, unpacked once into a cache
folder; a cache folder into which they are built once, from the Go modules pinned in `tests/cluster/assets`, where `go`
exists.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "grpcurl", "h2spec")
HOW_TO = (
    "Set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kubectl, grpcurl and h2spec, or install Go 1.26 or "
    "newer: the tests then build them once (about five minutes) from tests/cluster/assets."
)

START_SECONDS = 60.0
STOP_SECONDS = 10.0
# The order of the P-256 group (SEC 2): a private key is a number between 1 and it.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class NoAssets(Exception):
    """The programs are not to be had here; the text says what was tried."""


def find_assets() -> Path:
    """The folder with the programs. The first call on a machine may take minutes: it builds them."""
    tried: list[str] = []
    for source in (_from_environment, _from_archive, _from_modules):
        folder = source(tried)
        if folder is not None:
            return folder
    raise NoAssets("; ".join(tried))


def _complete(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def _from_environment(tried: list[str]) -> Path | None:
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if not named:
        tried.append("KUBEBUILDER_ASSETS is not set")
        return None
    if not _complete(Path(named)):
        tried.append(f"KUBEBUILDER_ASSETS={named} lacks one of {', '.join(PROGRAMS)}")
        return None
    return Path(named)


def _cache(name: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trellis"
    root.mkdir(parents=True, exist_ok=True)
    return root / name


def _install(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a new folder and move it into place at once, so that nobody ever sees half of it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second test run waits for the first one's work
        if not _complete(folder):
            with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
                fill(Path(fresh))
                (Path(fresh) / "bin").rename(folder)
    return folder


def _from_archive(tried: list[str]) -> Path | None:
    archive = HERE.parent.parent / "shared" / "assets" / "bin.tar.xz"
    if not archive.exists():
        tried.append("no shared/assets/bin.tar.xz beside the checkout")
        return None
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]

    def unpack(fresh: Path) -> None:
        with tarfile.open(archive) as tar:
            tar.extractall(fresh / "bin", filter="data")

    return _install(_cache(f"assets-{digest}"), unpack)


def _from_modules(tried: list[str]) -> Path | None:
    if shutil.which("go") is None:
        tried.append("no go to build them with")
        return None
    sources = HERE / "cluster" / "assets"
    digest = hashlib.sha256((sources / "go.sum").read_bytes()).hexdigest()[:12]

    def build(fresh: Path) -> None:
        print("building etcd, kube-apiserver, kubectl, grpcurl and h2spec (about five minutes, once)", flush=True)
        copy = shutil.copytree(sources, fresh / "src")  # the build writes beside go.mod
        subprocess.run(["bash", str(copy / "build"), str(fresh / "bin")], check=True)

    try:
        return _install(_cache(f"built-{digest}"), build)
    except subprocess.CalledProcessError as error:
        tried.append(f"building them with go failed with status {error.returncode}")
        return None


def free_port() -> int:
    """An unused loopback port below the kernel's ephemeral range, so that no client socket races for it."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free loopback port between 20000 and 32000")


def _die_with_parent() -> None:
    """In the child: a process group of its own, and SIGKILL when the test process is gone."""
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _service_account_key() -> bytes:
    """A new P-256 key as SEC 1 PEM. The public point may be left out; Go derives it."""
    scalar = (secrets.randbelow(P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = b"\x02\x01\x01\x04\x20" + scalar + bytes.fromhex("a00a06082a8648ce3d030107")
    text = base64.encodebytes(b"\x30" + bytes([len(body)]) + body)
    return b"-----BEGIN EC PRIVATE KEY-----\n" + text + b"-----END EC PRIVATE KEY-----\n"


@attrs.define(eq=False)
class KubeServer:
    """etcd and kube-apiserver on loopback: RBAC, own certificates, one admin token.

    There is no controller manager: a Namespace that is deleted stays `Terminating`, and nothing is garbage-collected.
    """

    assets: Path
    folder: Path
    token: str = attrs.field(factory=lambda: secrets.token_hex(16), init=False, repr=False)
    port: int = attrs.field(factory=free_port, init=False)
    etcd_port: int = attrs.field(factory=free_port, init=False)
    _peer_port: int = attrs.field(factory=free_port, init=False)
    _running: dict[str, subprocess.Popen[bytes]] = attrs.field(factory=dict[str, "subprocess.Popen[bytes]"], init=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "apiserver.crt"  # self-signed by the server itself; it is its own CA

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def api_server(self) -> subprocess.Popen[bytes]:
        """The API server's process, for tests that stop, kill or freeze it."""
        return self._running["kube-apiserver"]

    def start(self, *extra: str) -> None:
        """Start both, kube-apiserver with the extra flags."""
        (self.folder / "tokens.csv").write_text(f"{self.token},admin,admin,system:masters\n")
        (self.folder / "service-account.key").write_bytes(_service_account_key())
        self.kubeconfig.write_text(json.dumps(self.kubeconfig_of(self.token)))
        self.start_etcd()
        self.start_api_server(*extra)

    def start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._spawn(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def start_api_server(self, *extra: str) -> None:
        """Start kube-apiserver and wait until it is ready; also after `stop_api_server`, with the same address."""
        key = self.folder / "service-account.key"
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.ca.parent}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            # Nothing here creates default ServiceAccounts, without which that plugin refuses every pod.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            "--shutdown-delay-duration=0s",
            *extra,
        )
        self._wait_ready()

    def stop_api_server(self, *, kill: bool = False) -> None:
        self._end("kube-apiserver", kill=kill)

    def stop(self) -> None:
        """The API server first: without etcd it would only hang."""
        for name in ("kube-apiserver", "etcd"):
            if name in self._running:
                self._end(name)

    def kubeconfig_of(self, token: str) -> dict[str, object]:
        """A kubeconfig for whoever holds the token."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl and return what it printed; on failure its error text is raised."""
        done = subprocess.run(
            [str(self.assets / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)} exited with {done.returncode}: {done.stderr}")
        return done.stdout if done.returncode == 0 else done.stderr

    def apply(self, *manifests: dict[str, object]) -> None:
        """`kubectl apply` of these objects, in order."""
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))

    def patch_status(self, resource: str, manifest: dict[str, Any]) -> None:
        """Write the manifest's status, as a controller would."""
        metadata = manifest["metadata"]
        patch = json.dumps({"status": manifest["status"]})
        where = ("-n", metadata["namespace"], "patch", resource, metadata["name"])
        self.kubectl(*where, "--subresource=status", "--type=merge", "-p", patch)

    def _spawn(self, name: str, *flags: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self.assets / name), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  # two system calls and no lock: safe between fork and exec
            )

    def _end(self, name: str, *, kill: bool = False) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGCONT)  # a frozen process would not notice that it is told to end
        process.kill() if kill else process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_ready(self) -> None:
        pause = threading.Event()
        for _ in range(int(START_SECONDS / 0.05)):
            if self._is_ready():
                return
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} exited with {process.returncode}:\n{self._last_lines(name)}")
            pause.wait(0.05)
        raise RuntimeError(f"not ready after {START_SECONDS:.0f} s:\n{self._last_lines('kube-apiserver')}")

    def _is_ready(self) -> bool:
        if not self.ca.exists():
            return False
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self.token}"})
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            with urllib.request.urlopen(request, context=context, timeout=2) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _last_lines(self, name: str) -> str:
        return "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-12:])


@contextlib.contextmanager
def kube_server(assets: Path, *extra: str) -> Iterator[KubeServer]:
    """Start an API server in a folder of its own; stop it and delete the folder afterwards."""
    with tempfile.TemporaryDirectory(prefix="kube-", ignore_cleanup_errors=True) as folder:
        server = KubeServer(assets, Path(folder))
        try:
            server.start(*extra)
            yield server
        finally:
            server.stop()
