"""An admission webhook for tests: HTTPS with a certificate of its own, and answers that the test decides."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Json = Any
Decide = Callable[[Json], Json]


@attrs.define(eq=False)
class Webhook:
    """A running webhook; `decide` makes the response to a request, `requests` are those it has seen."""

    url: str = ""
    ping_url: str = ""
    pings: int = 0
    ca_bundle: str = ""
    decide: Decide = lambda _: {"allowed": True}
    requests: list[Json] = attrs.field(factory=list)
    status: int = 200

    def configuration(self, group: str, **change: Any) -> Json:
        """A configuration that makes an API server ask about everything in a group."""
        rule = {"operations": ["*"], "apiGroups": [group], "apiVersions": ["*"], "resources": ["*/*"]}
        return {
            "name": "hook.contract.test",
            "clientConfig": {"url": self.url, "caBundle": self.ca_bundle},
            "rules": [rule],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 2,
            "matchPolicy": "Exact",
            **change,
        }


def _certificate(folder: Path) -> tuple[Path, str]:
    """A new self-signed certificate for loopback, with its key, and the certificate as a CA bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "webhook")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    target = folder / "webhook.pem"
    target.write_bytes(pem + secret)
    return target, base64.b64encode(pem).decode()


@contextlib.contextmanager
def running_webhook(folder: Path) -> Iterator[Webhook]:
    """A webhook on a free port."""
    certificate, bundle = _certificate(folder)
    webhook = Webhook(ca_bundle=bundle)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            review = json.loads(body)
            request, status = review["request"], 200
            if self.path.startswith("/ping"):
                webhook.pings += 1
                response = {"uid": request["uid"], "allowed": True}
            else:
                webhook.requests.append(request)
                status = webhook.status
                response = {"uid": request["uid"], **webhook.decide(request)}
            answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002  # as the library has it
            return

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  # same
            return  # API servers drop connections as they like

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    base = f"https://127.0.0.1:{server.server_address[1]}"
    webhook.url, webhook.ping_url = f"{base}/review", f"{base}/ping"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
