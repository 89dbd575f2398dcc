"""The embedded API server without sockets: its application is asked directly, so that time can be virtual."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import attrs
import trio

from controller.apiserver.http_app import HttpApp
from controller.apiserver.serving import ApiServer
from controller.apiserver.webhook_client import WebhookClient

Json = Any
POD: Json = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


@attrs.frozen
class Answer:
    """A whole answer; `cut` if it has no end, `took` the seconds that it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool
    took: float

    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json()["items"]]


@attrs.define(eq=False)
class Stream:
    """An answer that comes in pieces: the lines of a watch."""

    _sends: trio.MemorySendChannel[dict[str, Any]]
    _receives: trio.MemoryReceiveChannel[dict[str, Any]]
    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    cut: bool = False
    _waiting: bytes = b""

    async def start(self) -> None:
        message = await self._receives.receive()
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def line(self) -> bytes | None:
        """The next line, or what there is of it when the stream ends; None at the end."""
        while b"\n" not in self._waiting:
            try:
                message = await self._receives.receive()
            except trio.EndOfChannel:
                self.cut = True
                rest, self._waiting = self._waiting, b""
                return rest or None
            if not message.get("more_body", False):
                return None
            self._waiting += message["body"]
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line

    async def event(self) -> tuple[str, Json]:
        """The next event: its type and its object."""
        line = await self.line()
        assert line is not None, "the watch has ended"
        found = json.loads(line)
        return found["type"], found["object"]

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        with trio.move_on_after(seconds):
            self._waiting = (await self.line() or b"") + b"\n" + self._waiting
            return False
        return True


@attrs.define(eq=False)
class Client:
    """Asks the application of one server."""

    server: ApiServer
    app: HttpApp
    nursery: trio.Nursery

    async def __call__(self, method: str, path: str, body: Json = None, **headers: str) -> Answer:
        start = trio.current_time()
        stream = await self._open(method, path, body, headers)
        parts = bytearray()
        cut = False
        while True:
            try:
                message = await stream._receives.receive()
            except trio.EndOfChannel:
                cut = True
                break
            parts += message["body"]
            if not message.get("more_body", False):
                break
        return Answer(stream.status, stream.headers, bytes(parts), cut, trio.current_time() - start)

    @contextlib.asynccontextmanager
    async def watch(self, path: str) -> AsyncGenerator[Stream]:
        """A watch for the length of a block."""
        async with trio.open_nursery() as nursery:
            stream = await attrs.evolve(self, nursery=nursery)._open("GET", path, None, {})
            yield stream
            nursery.cancel_scope.cancel()

    async def _open(self, method: str, path: str, body: Json, headers: dict[str, str]) -> Stream:
        sends, receives = trio.open_memory_channel[dict[str, Any]](1000)
        raw, _, query = path.partition("?")
        given = {"content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        }
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        messages = iter([{"type": "http.request", "body": content, "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in messages:
                return message
            await trio.sleep_forever()
            raise AssertionError

        async def send(message: MutableMapping[str, Any]) -> None:
            await sends.send(dict(message))

        async def answer() -> None:
            with sends:
                await self.app.asgi(scope, receive, send)

        self.nursery.start_soon(answer)
        stream = Stream(sends, receives)
        await stream.start()
        return stream


@contextlib.asynccontextmanager
async def open_client(server: ApiServer | None = None, *, bookmarks: float = 60.0) -> AsyncGenerator[Client]:
    """A client of a server that is not on any socket."""
    chosen = server or ApiServer(controllers=False)
    app = HttpApp(chosen.api, chosen.faults, WebhookClient(), jitter=lambda: 0.5, bookmark_interval=bookmarks)
    async with trio.open_nursery() as nursery:
        yield Client(chosen, app, nursery)
        nursery.cancel_scope.cancel()
