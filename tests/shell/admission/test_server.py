"""The webhook over TLS, asked by an independent HTTP client."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry

from controller.admission.server import WebhookServer
from controller.admission.webhook import AdmissionMetrics, Webhook
from controller.runtime.certs import CertificateError, CertificateFiles
from controller.runtime.listen import SocketAddress, bind
from tests.shell.runtime_ops.certificates import RSA, Folder, certificate, ec_key, pem
from tests.unit.admission.reviews import UID, review

SPEC = {"podSelector": {}, "port": 80}


@attrs.frozen
class Served:
    url: str
    registry: CollectorRegistry
    stopping: trio.Event
    ended: trio.Event


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.put(pem(RSA), certificate(RSA))
    return folder


def server_of(folder: Folder, registry: CollectorRegistry) -> WebhookServer:
    webhook = Webhook(AdmissionMetrics.register(registry))
    return WebhookServer(webhook, CertificateFiles(folder.key, folder.certs), registry)


@asynccontextmanager
async def serving(folder: Folder) -> AsyncIterator[Served]:
    registry, stopping, ended = CollectorRegistry(), trio.Event(), trio.Event()
    server = server_of(folder, registry)
    sock = bind(SocketAddress.of("127.0.0.1", 0), name="webhook")

    async def serve(*, task_status: trio.TaskStatus[SocketAddress]) -> None:
        await server.serve(sock, wait_stopping=stopping.wait, grace=5, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve)
        with trio.fail_after(30):
            yield Served(f"https://{address}", registry, stopping, ended)
        nursery.cancel_scope.cancel()


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client(**options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=trusting(), trust_env=False, **options)


# runtime S6
@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
async def test_reviews_over_both_versions_of_http(folder: Folder, http2: bool, version: str) -> None:
    """One connection serves many; the path may have a query, and the content type does not matter."""
    async with serving(folder) as served, client(http2=http2) as http:
        for i in range(3):
            spec = SPEC | ({"accessPolicy": "bogus"} if i == 1 else {})
            answer = await http.post(f"{served.url}/?timeout=10s", json=review("Server", spec))
            assert (answer.http_version, answer.status_code) == (version, 200)
            assert answer.headers["content-type"] == "application/json"
            response = answer.json()["response"]
            assert (response["uid"], response["allowed"]) == (UID, i != 1)
        plain = {"content-type": "text/plain"}
        answer = await http.post(served.url, content=json.dumps(review("Server", SPEC)), headers=plain)
        assert answer.json()["response"]["allowed"] is True
        labels = {"kind": "Server.policy.linkerd.io", "operation": "CREATE"}
        counts = [
            served.registry.get_sample_value("admission_reviews_total", labels | {"allowed": allowed})
            for allowed in ("true", "false")
        ]

    assert counts == [3, 1]


# status 319, runtime S6
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("HEAD", "/"), ("PUT", "/"), ("POST", "/validate"), ("POST", "/%2F")]
)
@pytest.mark.parametrize("http2", [True, False])
async def test_nothing_else_is_found(folder: Folder, method: str, path: str, http2: bool) -> None:
    """The answer is empty, and the connection goes on."""
    async with serving(folder) as served, client(http2=http2) as http:
        answer = await http.request(method, served.url + path, content=b"" if method == "HEAD" else b"{}")
        assert (answer.status_code, answer.content) == (404, b"")
        assert (await http.post(served.url, json=review("Server", SPEC))).status_code == 200


# runtime S6
async def test_a_body_beyond_all_objects_is_refused(folder: Folder) -> None:
    """By its announced length, before any of it is sent; it is never judged."""
    async with serving(folder) as served:
        stream = await trio.open_ssl_over_tcp_stream(
            "127.0.0.1", int(served.url.rpartition(":")[2]), ssl_context=trusting(), https_compatible=True
        )
        async with stream:
            head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {4 << 20}\r\n\r\n"
            await stream.send_all(head.encode())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 413")
        assert served.registry.get_sample_value("admission_review_duration_seconds_count") == 0


@pytest.mark.parametrize(
    "filling", ["[" * 500_000 + "]" * 500_000, "[" * 1_000_000, '{"a":' * 300_000, "[]," * 1_000_000 + "0"]
)
async def test_nested_bodies_cost_little(folder: Folder, filling: str) -> None:
    """They are refused as what cannot be decoded."""
    text = json.dumps(review("Server", SPEC)).replace('"port": 80', f'"port": 80, "deep": {filling}')
    async with serving(folder) as served, client() as http:
        answer = await http.post(served.url, content=text)
        assert answer.status_code == 200
        assert answer.json()["response"]["uid"] == ""
        seconds = served.registry.get_sample_value("admission_review_duration_seconds_sum")

    assert seconds is not None
    assert seconds < 0.5


# runtime S3
async def test_a_replaced_certificate_is_used(folder: Folder) -> None:
    """By the next connection; one that cannot be used is not."""

    async def common_name() -> str:
        async with client() as http:
            answer = await http.get(served.url)
            stream = answer.extensions["network_stream"]
            return str(ssl.DER_cert_to_PEM_cert(stream.get_extra_info("ssl_object").getpeercert(binary_form=True)))

    other = ec_key()
    async with serving(folder) as served:
        first = await common_name()
        folder.put(pem(other), certificate(other, "two"))
        second = await common_name()
        folder.put(pem(RSA), b"junk")
        third = await common_name()

    assert first != second == third


# runtime S7
async def test_it_ends_when_told(folder: Folder) -> None:
    """Idle connections are closed and new ones refused."""
    async with serving(folder) as served, client() as http:
        assert (await http.get(served.url)).status_code == 404
        served.stopping.set()
        await served.ended.wait()
        with pytest.raises(httpx.ConnectError):
            await http.get(served.url)


# runtime S1
@pytest.mark.parametrize("certs", [b"", b"junk", certificate(ec_key())])
async def test_without_a_certificate_it_does_not_start(folder: Folder, certs: bytes) -> None:
    """The error is raised to whoever starts it, and the socket is given back."""
    folder.put(pem(RSA), certs)
    sock = bind(SocketAddress.of("127.0.0.1", 0), name="webhook")

    with pytest.raises(CertificateError):
        await server_of(folder, CollectorRegistry()).serve(sock)

    assert sock.fileno() == -1
