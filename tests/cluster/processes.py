"""The controller as a process, and a proxy that asks it through grpcurl."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

import attrs

from tests.kube import KubeServer, free_port

INBOUND = "io.linkerd.proxy.inbound.InboundServerPolicies"
OUTBOUND = "io.linkerd.proxy.outbound.OutboundPolicies"
FLAGS = ("--admission-controller-disabled", "--default-opaque-ports=25", "--probe-networks=0.0.0.0/0,::/0")

T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, *, within: float = 20.0) -> T:
    """The first result that is something. Real processes keep no time of ours, so this is the one place that waits."""
    pause = threading.Event()
    for _ in range(int(within / 0.05)):
        found = look()
        if found is not None and found is not False:
            return found
        pause.wait(0.05)
    raise AssertionError(f"not within {within:.0f} s: {what}")


@attrs.define(eq=False)
class Controller:
    """A running `trellis run`."""

    process: subprocess.Popen[bytes]
    admin: str
    grpc: str
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an admin page; status 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.get("/ready")[0] == 200

        eventually(ready, f"/ready says 200; log:\n{self.log.read_text()}", within=30)

    def metric(self, line_start: str) -> float:
        """The sum of the samples that begin like this."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(line_start))

    def terminate(self) -> int:
        """Tell it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def controller(
    kube: KubeServer, folder: Path, *flags: str, always: tuple[str, ...] = FLAGS, hostname: str | None = None
) -> Iterator[Controller]:
    """Start the controller against the API server; kill it at the end if it still runs."""
    admin, grpc = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    log = folder / "trellis.log"
    command = [sys.executable, "-m", "controller", "run", f"--kubeconfig={kube.kubeconfig}"]
    command += [f"--admin-addr={admin}", f"--grpc-addr={grpc}", *always, *flags]
    environment = os.environ if hostname is None else {**os.environ, "HOSTNAME": hostname}
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    try:
        yield Controller(process, admin, grpc, log)
    finally:
        process.kill()
        process.wait()


@attrs.define(eq=False)
class Proxy:
    """A stream opened with grpcurl: its messages as they come, and how it ended."""

    process: subprocess.Popen[str]
    _messages: queue.Queue[Any] = attrs.field(factory=queue.Queue, init=False)

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        """Cut grpcurl's output, JSON values with nothing between them, into messages."""
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line.rstrip() == "}":  # only the outermost brace stands at the margin
                self._messages.put(json.loads(text))
                text = ""

    def next(self, *, within: float = 20.0) -> Any:
        return self._messages.get(timeout=within)

    def until(self, accept: Callable[[Any], bool], *, within: float = 20.0) -> Any:
        """The first message that is accepted; a proxy may be told of states in between, and need not be."""
        while not accept(message := self.next(within=within)):
            pass
        return message

    @property
    def quiet(self) -> bool:
        return self._messages.empty()

    def wait_ended(self) -> tuple[int, str]:
        """Exit code and error text of grpcurl: 0 and nothing for a stream that ended with OK."""
        code = self.process.wait(20)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()


@attrs.frozen
class Grpcurl:
    """grpcurl, which knows no definition of ours: it asks the server for them."""

    program: Path
    address: str

    def call(self, *arguments: str) -> str:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, method: str, request: dict[str, Any]) -> str:
        """The error text of a call that must fail."""
        done = self._run("-d", json.dumps(request), self.address, method)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.program), "-plaintext", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def knows(self, workload: str) -> bool:
        """Whether the workload is answered for."""
        request = json.dumps({"workload": workload, "port": 1})
        return self._run("-d", request, self.address, f"{INBOUND}/GetPort").returncode == 0

    def get_port(self, workload: str, port: int) -> Any:
        request = json.dumps({"workload": workload, "port": port})
        return json.loads(self.call("-d", request, self.address, f"{INBOUND}/GetPort"))

    def watch_port(self, workload: str, port: int) -> contextlib.AbstractContextManager[Proxy]:
        return self.watch(f"{INBOUND}/WatchPort", {"workload": workload, "port": port})

    def watch_address(self, workload: str, address: str, port: int) -> contextlib.AbstractContextManager[Proxy]:
        ip = {"ipv4": int(IPv4Address(address))}
        return self.watch(f"{OUTBOUND}/Watch", {"sourceWorkload": workload, "addr": {"ip": ip, "port": port}})

    def watch_authority(self, workload: str, authority: str) -> contextlib.AbstractContextManager[Proxy]:
        return self.watch(f"{OUTBOUND}/Watch", {"sourceWorkload": workload, "authority": authority})

    @contextlib.contextmanager
    def watch(self, method: str, request: dict[str, Any]) -> Iterator[Proxy]:
        """Open a stream; it is cut off at the end of the block."""
        process = subprocess.Popen(
            [str(self.program), "-plaintext", "-d", json.dumps(request), self.address, method],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Proxy(process)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()
