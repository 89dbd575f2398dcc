"""Posting reviews to admission webhooks over HTTPS."""

from __future__ import annotations

import base64
import binascii
import ssl
from typing import Any
from urllib.parse import urlsplit

import h11
import msgspec
import trio

from controller.apiserver.effects import CallWebhook, WebhookFailed
from controller.apiserver.shapes import is_object
from controller.apiserver.status import Object

_LIMIT = 3 * 1024 * 1024
_IDLE = 4


class WebhookClient:
    """Connections to webhooks, kept open between reviews."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[tuple[trio.abc.Stream, h11.Connection]]] = {}

    async def call(self, call: CallWebhook) -> Object | WebhookFailed:
        """The response in the webhook's answer, or why there is none."""
        shown = f"{call.url}?timeout={int(call.timeout)}s"
        with trio.move_on_after(call.timeout):
            try:
                return await self._review(call)
            except (OSError, trio.BrokenResourceError, ssl.SSLError, h11.ProtocolError, ValueError) as error:
                return WebhookFailed(f'failed to call webhook: Post "{shown}": {str(error) or type(error).__name__}')
        return WebhookFailed(f'failed to call webhook: Post "{shown}": context deadline exceeded')

    async def _review(self, call: CallWebhook) -> Object | WebhookFailed:
        body = msgspec.json.encode(call.review)
        status, answer = await self._post(call, body)
        if status != 200:
            text = answer[:1024].decode(errors="replace")
            return WebhookFailed(f"failed to call webhook: the server responded with status {status}: {text}")
        try:
            value = msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            return WebhookFailed(f"failed to call webhook: decoding the answer: {error}")
        return _checked(value, call)

    async def _post(self, call: CallWebhook, body: bytes) -> tuple[int, bytes]:
        key = (call.url, call.ca_bundle)
        idle = self._idle.setdefault(key, [])
        while idle:
            stream, connection = idle.pop()
            try:
                return await self._exchange(stream, connection, call, body)
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                await trio.aclose_forcefully(stream)  # it went stale while idle; a fresh one decides
        stream = await _connect(call)
        return await self._exchange(stream, h11.Connection(h11.CLIENT), call, body)

    async def _exchange(
        self, stream: trio.abc.Stream, connection: h11.Connection, call: CallWebhook, body: bytes
    ) -> tuple[int, bytes]:
        healthy = False
        try:
            await stream.send_all(_request(connection, call, body))
            status, answer = await _read_answer(stream, connection)
            healthy = connection.our_state is h11.DONE and connection.their_state is h11.DONE
        finally:
            if not healthy:
                await trio.aclose_forcefully(stream)
        idle = self._idle[call.url, call.ca_bundle]
        if len(idle) < _IDLE:
            connection.start_next_cycle()
            idle.append((stream, connection))
        else:
            await trio.aclose_forcefully(stream)
        return status, answer

    async def aclose(self) -> None:
        for idle in self._idle.values():
            for stream, _ in idle:
                await trio.aclose_forcefully(stream)
        self._idle.clear()


async def _connect(call: CallWebhook) -> trio.abc.Stream:
    parts = urlsplit(call.url)
    host = parts.hostname or "localhost"
    stream = await trio.open_tcp_stream(host, parts.port or 443)
    secure = trio.SSLStream(stream, _context(call.ca_bundle), server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def _context(bundle: str) -> ssl.SSLContext:
    try:
        data = base64.b64decode(bundle, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(f"unable to load root certificates: {error}") from None
    context = ssl.create_default_context(cadata=data or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request(connection: h11.Connection, call: CallWebhook, body: bytes) -> bytes:
    parts = urlsplit(call.url)
    request = h11.Request(
        method="POST",
        target=f"{parts.path or '/'}?timeout={int(call.timeout)}s",
        headers=[
            ("Host", parts.netloc.rpartition("@")[2]),
            ("User-Agent", "kube-apiserver-admission"),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, */*"),
            ("Content-Length", str(len(body))),
        ],
    )
    found = b""
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        found += connection.send(event) or b""
    return found


async def _read_answer(stream: trio.abc.Stream, connection: h11.Connection) -> tuple[int, bytes]:
    status, answer = 0, bytearray()
    while True:
        event: Any = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(65536)))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            answer += event.data
            if len(answer) > _LIMIT:
                raise ValueError("the answer is too large")
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(answer)
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("EOF")


def _checked(value: Any, call: CallWebhook) -> Object | WebhookFailed:
    if not is_object(value) or value.get("kind") != "AdmissionReview":
        return WebhookFailed("received invalid webhook response: expected an AdmissionReview")
    if value.get("apiVersion") != "admission.k8s.io/v1":
        return WebhookFailed(
            "received invalid webhook response: expected webhook response of admission.k8s.io/v1, "
            f"Kind=AdmissionReview, got {value.get('apiVersion')}"
        )
    response = value.get("response")
    if not is_object(response):
        return WebhookFailed("received invalid webhook response: webhook response was absent")
    wanted = call.review["request"]["uid"]
    if response.get("uid") != wanted:
        return WebhookFailed(
            f'received invalid webhook response: expected response.uid="{wanted}", got "{response.get("uid", "")}"'
        )
    return response
