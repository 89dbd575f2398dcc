"""The embedded API server on a socket: HTTP around the pure `Api`, with faults on command.

`serve` runs in the caller's nursery and tells its address when it listens. Everything a request does to the store
happens between two checkpoints, so requests see each other's writes whole; only waiting (for a revision, a webhook,
more events) lets others in.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import random
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any, cast

import anycorn
import attrs
import msgspec
import trio
from anycorn.config import Config

from controller.apiserver.api import Api
from controller.apiserver.faults import Faults
from controller.apiserver.http_app import HttpApp
from controller.apiserver.janitor import Janitor
from controller.apiserver.metadata import Environment
from controller.apiserver.seeding import parse_manifests, seed, seed_namespaces
from controller.apiserver.status import Object
from controller.apiserver.store import Store
from controller.apiserver.webhook_client import WebhookClient

_BACKLOG = 4096
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


def real_environment() -> Environment:
    """The wall clock and real chance."""

    def suffix() -> str:
        return "".join(random.choices(_SUFFIX, k=5))

    return Environment(
        now=lambda: dt.datetime.fromtimestamp(time.time(), dt.UTC), new_uid=lambda: str(uuid.uuid4()), new_suffix=suffix
    )


@attrs.define(eq=False, kw_only=True)
class ApiServer:
    """An API server that can be filled, asked and broken, before and while it is served."""

    store: Store = attrs.Factory(Store)
    environment: Environment = attrs.Factory(real_environment)
    faults: Faults = attrs.Factory(Faults)
    controllers: bool = True  # finish what a cluster's own controllers would: namespaces, pods, dependents
    bookmark_interval: float = 60.0
    api: Api = attrs.field(init=False)
    url: str = attrs.field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        self.api = Api(self.store, self.environment)
        seed_namespaces(self.api)

    def seed(self, manifests: Iterable[Object] | bytes | str) -> int:
        """Store manifests, or the text of manifests, without HTTP; how many there were."""
        objects = parse_manifests(manifests) if isinstance(manifests, bytes | str) else manifests
        return seed(self.api, objects)

    def compact(self) -> None:
        """Forget all history: older watches and continued lists end with 410."""
        self.store.compact()

    def write_kubeconfig(self, path: str | Path) -> Path:
        """Write a kubeconfig for this server, which must be listening."""
        if not self.url:
            raise RuntimeError("writing a kubeconfig: the server does not listen yet")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "trellis", "cluster": {"server": self.url}}],
            "users": [{"name": "trellis", "user": {"token": "trellis"}}],
            "contexts": [
                {"name": "trellis", "context": {"cluster": "trellis", "user": "trellis", "namespace": "default"}}
            ],
            "current-context": "trellis",
        }
        target = Path(path)
        target.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1))
        return target


async def serve(
    server: ApiServer,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; tells its URL as soon as it listens."""
    listener = _listen(host, port)
    webhooks = WebhookClient()
    app = HttpApp(
        server.api,
        server.faults,
        webhooks,
        jitter=random.random,
        bookmark_interval=server.bookmark_interval,
    )
    async with trio.open_nursery() as nursery:
        if server.controllers:
            await nursery.start(Janitor(server.api).run)
        addresses = await nursery.start(_start, app.asgi, _config(listener))
        server.url = str(addresses[0]).rstrip("/")
        task_status.started(server.url)
        try:
            await trio.sleep_forever()
        finally:
            server.url = ""
            with trio.CancelScope(shield=True):
                await webhooks.aclose()


async def _start(app: Any, config: Config, *, task_status: trio.TaskStatus[list[str]]) -> None:
    serve_app = cast("Any", anycorn).serve  # its types name bare dicts
    await serve_app(app, config, shutdown_trigger=trio.sleep_forever, task_status=task_status, mode="asgi")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _config(listener: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = None
    config.keep_alive_timeout = 3600.0
    config.keep_alive_max_requests = 1 << 60
    config.graceful_timeout = 0.0
    config.h11_max_incomplete_size = 64 * 1024
    config.include_server_header = False
    config.backlog = _BACKLOG
    return config


@contextlib.asynccontextmanager
async def open_api_server(server: ApiServer | None = None, *, port: int = 0) -> AsyncGenerator[ApiServer]:
    """A served API server for the length of a block."""
    chosen = server or ApiServer()
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(serve, chosen, port=port))
        yield chosen
        nursery.cancel_scope.cancel()
