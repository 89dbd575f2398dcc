"""The admin server: probes, metrics, diagnostics. It is the outermost part of the process and the last to end.

Binding is apart from serving: a busy port stops the process before anything else begins, and a probe that comes early
waits for its answer instead of being refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from socket import socket
from typing import TYPE_CHECKING, TypeAlias

import attrs
import trio
from prometheus_client import CollectorRegistry

from controller.runtime.diagnostics import Diagnostics
from controller.runtime.listen import SocketAddress, bind
from controller.runtime.readiness import Readiness

if TYPE_CHECKING:
    from controller.runtime.admin_app import AdminApp

Page: TypeAlias = Callable[[Mapping[str, str]], object | Awaitable[object]]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@attrs.define(eq=False)
class Admin:
    """What the admin server shows; the parts of the process fill it."""

    registry: CollectorRegistry
    readiness: Readiness = attrs.field(factory=Readiness)
    diagnostics: Diagnostics = attrs.field(factory=lambda: Diagnostics(_now))
    # Whether `/debug` and `/kubert.json` answer to everybody, and not to this host (or a port-forward) alone.
    open_diagnostics: bool = False
    _pages: dict[str, Page] = attrs.field(factory=dict[str, Page], init=False)

    @property
    def pages(self) -> Mapping[str, Page]:
        return self._pages

    def add_page(self, name: str, page: Page) -> None:
        """Show at `/debug/<name>`, as JSON, what `page` returns for the parameters of the query.

        It runs in the loop, so it is quick, or it is async and moves what is not to a thread. attrs and msgspec
        records, and everything that these can hold, are fine.
        """
        if name in self._pages or not name or "/" in name:
            raise ValueError(f"diagnostics page {name!r}: the name is taken or cannot be part of a path")
        self._pages[name] = page


def bind_admin(address: SocketAddress) -> socket:
    """Open the admin server's socket. Raises `BindError`."""
    return bind(address, name="admin")


async def serve_admin(
    admin: Admin, sock: socket, *, task_status: trio.TaskStatus[SocketAddress] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled. Takes over the socket, and reports where it really listens."""
    # The HTTP machinery takes longer to import than anything else does at start. In a thread it is loaded while the
    # first lists are under way.
    app = await trio.to_thread.run_sync(_load, admin)
    await app.serve(sock, task_status=task_status)


def _load(admin: Admin) -> AdminApp:
    from controller.runtime.admin_app import AdminApp  # noqa: PLC0415  # see `serve_admin`

    return AdminApp(admin)
