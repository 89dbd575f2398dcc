"""The webhook of the command: flags, complaints, answers, the end."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.shell.runtime_ops.certificates import RSA, Folder, certificate, pem
from tests.unit.admission.reviews import review

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "controller", "run", "--default-opaque-ports=")


def free_address() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "tls")
    folder.path.mkdir()
    folder.put(pem(RSA), certificate(RSA))
    return folder


@pytest.fixture
def flags(tmp_path: Path, folder: Folder) -> list[str]:
    """Flags for a cluster that cannot be reached: the webhook asks it nothing."""
    kubeconfig = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://{free_address()}"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    return [
        f"--kubeconfig={tmp_path / 'kubeconfig'}",
        "--admin-addr=127.0.0.1:0",
        "--grpc-addr=127.0.0.1:0",
        f"--server-tls-key={folder.key}",
        f"--server-tls-certs={folder.certs}",
    ]


def finish(*arguments: str) -> tuple[int, str]:
    """Exit code and error text of a command that ends by itself."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stderr


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def post(address: str, body: Any) -> Any:
    """Post a review, as soon as somebody listens."""
    host, _, number = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pause = threading.Event()
    for _ in range(600):
        with contextlib.closing(http.client.HTTPSConnection(host, int(number), context=context, timeout=30)) as client:
            try:
                client.request("POST", "/", json.dumps(body))
                return json.loads(client.getresponse().read())
            except ConnectionRefusedError:
                pause.wait(0.05)  # another process, which no clock of ours moves
    raise AssertionError("nobody listens")


# status 319
def test_it_judges_without_an_api_server(flags: list[str]) -> None:
    """From its rules alone; and a signal ends it with 0."""
    address = free_address()
    spec = {"podSelector": {}, "port": 80}
    with running(*flags, f"--server-addr={address}") as process:
        assert post(address, review("Server", spec))["response"]["allowed"] is True
        denied = post(address, review("Server", spec | {"accessPolicy": "bogus"}))["response"]
        assert denied["status"]["message"].startswith("spec.accessPolicy: 'bogus' is not one of ")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (0, "")
    assert "denied" in output


def test_switched_off_it_does_not_listen(flags: list[str]) -> None:
    """Not even when the rest of its flags is there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        taken.settimeout(30)
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(*flags, f"--server-addr={address}", "--admission-controller-disabled") as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)  # it did not mind the busy port
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_busy_port_ends_it_with_one_line(flags: list[str]) -> None:
    """Which server wanted which address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, errors = finish(*flags, f"--server-addr={address}")

    assert code == 1
    assert errors == (
        f"trellis: binding the webhook server to {address}: Address already in use"
        " (is another process listening there?)\n"
    )


def test_bad_certificates_end_it_with_one_line(flags: list[str], folder: Folder) -> None:
    """Which file, and what is wrong with it."""
    folder.put(pem(RSA), b"junk")

    assert finish(*flags, "--server-addr=127.0.0.1:0") == (
        1,
        f"trellis: reading the server's certificates: {folder.certs} holds none\n",
    )


def test_flags_that_do_not_go_together_end_it_with_one_line(flags: list[str]) -> None:
    """A webhook needs a key and certificates."""
    code, errors = finish(*(flag for flag in flags if "tls-key" not in flag))

    assert (code, errors) == (2, "trellis: --server-tls-key must be set (or --admission-controller-disabled)\n")
