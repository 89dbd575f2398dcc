"""The command as a process: what it prints, what it answers, how it exits."""

from __future__ import annotations

import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import yaml

from controller.k8s.kinds import WATCHED

KINDS = {watched.resource.api_path: watched.resource.kind for watched in WATCHED}
ROOT = Path(__file__).parents[3]
FLAGS = ("--default-opaque-ports=", "--admission-controller-disabled")


class EmptyCluster(http.server.BaseHTTPRequestHandler):
    """An API server that serves every kind and has no objects. Its watches stay open and silent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # named by the base class
        if "watch=" in self.path:
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.server.stopping.wait(60)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        kind = KINDS.get(self.path.partition("?")[0])
        found: dict[str, object] = {"kind": f"{kind}List", "apiVersion": "v1", "items": []}
        found["metadata"] = {"resourceVersion": "1"}
        if kind is None:
            found = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(found).encode()
        self.send_response(200 if kind else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[str]:
    """The URL of an empty cluster."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EmptyCluster) as server:
        server.daemon_threads = True
        server.stopping = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.stopping.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A URL where nobody answers: the port is taken, and not listened on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def kubeconfig(folder: Path, server: str) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": server}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    return f"--kubeconfig={path}"


@attrs.define
class Process:
    popen: subprocess.Popen[str]
    admin: str

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def wait_for(self, path: str, status: int) -> str:
        for _ in range(400):
            try:
                found, body = self.get(path)
            except OSError:
                found, body = 0, ""
            if found == status:
                return body
            assert self.popen.poll() is None, self.popen.communicate()
            time.sleep(0.025)  # another process, which no clock of ours moves
        raise AssertionError(f"{path} never became {status}")

    def end(self, *numbers: signal.Signals) -> tuple[int, str, str]:
        for number in numbers:
            self.popen.send_signal(number)
        output, errors = self.popen.communicate(timeout=20)
        return self.popen.returncode, output, errors


def free_address() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Whatever a test starts is gone after it."""
    started = list[Process]()
    yield started
    for process in started:
        process.popen.kill()
        process.popen.communicate()


def start(processes: list[Process], *arguments: str) -> Process:
    admin = free_address()
    command = [sys.executable, "-m", "controller", "run", *FLAGS, f"--admin-addr={admin}", "--grpc-addr=127.0.0.1:0"]
    popen = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    process = Process(popen, admin)
    processes.append(process)
    return process


def finish(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "controller", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.returncode, done.stdout, done.stderr


# runtime R2, D1, A21
def test_ready_when_every_kind_is_listed(processes: list[Process], cluster: str, tmp_path: Path) -> None:
    """An empty cluster is known at once; a signal ends the process with 0, and its log is JSON throughout."""
    process = start(processes, kubeconfig(tmp_path, cluster), "--log-format=json")

    assert process.wait_for("/ready", 200) == "ready\n"
    assert process.get("/live") == (200, "alive\n")
    freshness = json.loads(process.get("/debug/freshness")[1])
    assert {kind["synced"] for kind in freshness} == {True}
    assert "trio_schedule_delay_seconds_count" in process.get("/metrics")[1]
    code, output, errors = process.end(signal.SIGTERM)

    assert (code, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert {"timestamp", "level", "fields", "target", "spans"} == set().union(*lines)
    messages = [line["fields"]["message"] for line in lines]
    assert (messages[0], messages[-1]) == ("starting", "stopped")
    assert "shutting down" in messages


# runtime R3
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_never_ready_without_an_api_server(
    processes: list[Process], nowhere: str, tmp_path: Path, number: signal.Signals
) -> None:
    """It lives, says what it waits for, and still stops when it is told to."""
    process = start(processes, kubeconfig(tmp_path, nowhere))

    process.wait_for("/ready", 500)
    assert process.get("/live") == (200, "alive\n")
    assert "[-]sync" in process.get("/ready?verbose")[1]
    code, _, errors = process.end(number)

    assert (code, errors) == (0, "")


# runtime A4, R1
def test_a_busy_port_ends_it_with_one_line(nowhere: str, tmp_path: Path) -> None:
    """Exit code 1; standard error says which server wanted which address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = finish("run", *FLAGS, kubeconfig(tmp_path, nowhere), f"--admin-addr={address}")

    assert code == 1
    assert errors == (
        f"trellis: binding the admin server to {address}: Address already in use"
        " (is another process listening there?)\n"
    )


def test_a_bad_kubeconfig_ends_it_with_one_line(tmp_path: Path) -> None:
    """Exit code 1; standard error names the file, and there is no traceback."""
    path = tmp_path / "nothing"
    code, output, errors = finish(
        "run", *FLAGS, f"--kubeconfig={path}", "--admin-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0"
    )

    assert code == 1
    assert errors.count("\n") == 1
    assert str(path) in errors
    assert "Traceback" not in output + errors


def test_a_bad_flag_ends_it_with_one_line() -> None:
    """Exit code 2, before anything is opened or read."""
    assert finish("run") == (
        2,
        "",
        "trellis: --default-opaque-ports must be set; it may be empty, Linkerd's chart has 25,587,3306,4444,5432,…\n",
    )


def test_the_definitions_are_printed() -> None:
    """`crds` prints those of Linkerd's kinds; on request the Gateway API's come too."""
    code, output, errors = finish("crds")
    assert (code, errors) == (0, "")
    linkerds = {crd["metadata"]["name"] for crd in yaml.safe_load_all(output)}

    code, output, errors = finish("crds", "--gateway-api")
    assert (code, errors) == (0, "")
    both = {crd["metadata"]["name"] for crd in yaml.safe_load_all(output)}

    assert "servers.policy.linkerd.io" in linkerds
    assert {name.rpartition(".linkerd.io")[1] for name in linkerds} == {".linkerd.io"}
    assert "httproutes.gateway.networking.k8s.io" in both - linkerds
    assert linkerds < both
