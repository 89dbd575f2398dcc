"""A model of an API server's list and watch for one kind, that fails in every way it can think of."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Mapping

import attrs
import msgspec
import trio

from controller.runtime.errors import (
    Absent,
    AheadOfServer,
    Expired,
    KubernetesError,
    Status,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from tests.unit.runtime.support import bookmark, line, page, status, widget

Stored = dict[str, object]
PAGE = 3  # whatever the client asks for


@attrs.define(eq=False)
class FaultyServer:
    """Holds objects and their history; while `faults` is set, anything may go wrong at any moment."""

    chance: random.Random
    faults: bool = True
    objects: dict[str, Stored] = attrs.field(factory=dict)
    history: list[tuple[int, bytes]] = attrs.field(factory=list)
    version: int = 100
    forgotten: int = 100  # changes up to this version are no longer known
    snapshots: dict[str, tuple[int, list[Stored]]] = attrs.field(factory=dict)
    changed: trio.Event = attrs.field(factory=trio.Event)
    uids: int = 0

    # -- what users do --

    def write(self, name: str, *, bad: bool = False) -> None:
        """Create or change an object; a bad one cannot be read."""
        change = "MODIFIED" if name in self.objects else "ADDED"
        if change == "ADDED":
            self.uids += 1
        self.version += 1
        uid = str(self.objects[name]["uid"]) if name in self.objects else f"uid-{self.uids}"
        resource = widget(name, version=str(self.version), uid=uid, size="bad" if bad else self.version)
        self.objects[name] = {"uid": uid, "json": resource, "bad": bad}
        self._happened(line(change, resource))

    def delete(self, name: str) -> None:
        if name in self.objects:
            self.version += 1
            stored = self.objects.pop(name)
            resource = msgspec.json.decode(msgspec.json.encode(stored["json"]))
            resource["metadata"]["resourceVersion"] = str(self.version)
            self._happened(line("DELETED", resource))

    def forget(self) -> None:
        """Compact: what happened so far cannot be asked for any more."""
        self.forgotten = self.version
        self.snapshots.clear()

    def _happened(self, raw: bytes) -> None:
        self.history.append((self.version, raw))
        self.changed.set()
        self.changed = trio.Event()

    def readable(self) -> dict[str, int]:
        """Each object that can be read, by its size, which no two versions share."""
        return {name: stored["json"]["spec"]["size"] for name, stored in self.objects.items() if not stored["bad"]}  # type: ignore[index]

    # -- what the client sees --

    def _may_fail(self, likely: float) -> None:
        if self.faults and self.chance.random() < likely:
            raise self.chance.choice(
                [
                    Unavailable("refused", reason="connect"),
                    Unavailable("cut", reason="lost"),
                    Unavailable("503", status=Status(code=503), retry_after=1.0),
                    Throttled("429", status=Status(code=429)),
                    Unauthenticated("401"),
                    Absent("404"),
                    AheadOfServer("504"),
                    Expired("410"),
                ]
            )

    @contextlib.asynccontextmanager
    async def list_page(self, _path: str, params: Mapping[str, str]) -> AsyncIterator[FaultyPage]:
        yield FaultyPage(self, await self._page(params))

    async def _page(self, params: Mapping[str, str]) -> bytes:
        await trio.sleep(0.01)
        self._may_fail(0.3)
        if self.faults and self.chance.random() < 0.1:
            return self.chance.choice([b"{", b"", page(kind="Table"), page(version="")])
        token = params.get("continue")
        if token is None:
            version, objects = self.version, [stored["json"] for stored in self.objects.values()]
        elif token in self.snapshots:
            version, objects = self.snapshots.pop(token)
        else:
            raise Expired("the token is too old", status=Status(code=410))
        if "limit" not in params or len(objects) <= PAGE:
            return page(*objects, version=str(version))  # type: ignore[arg-type]
        token = f"token-{self.chance.random()}"
        self.snapshots[token] = version, objects[PAGE:]  # type: ignore[assignment]
        return page(*objects[:PAGE], version=str(version), continue_=token)  # type: ignore[arg-type]

    @contextlib.asynccontextmanager
    async def watch(self, _path: str, params: Mapping[str, str], *, idle: float) -> AsyncIterator[FaultyStream]:
        await trio.sleep(0.01)
        self._may_fail(0.3)
        since = int(params["resourceVersion"])
        if since < self.forgotten:
            raise Expired("410", status=Status(code=410))
        yield FaultyStream(self, since, trio.current_time() + float(params["timeoutSeconds"]), idle)

    async def refresh_credentials(self) -> None:
        await trio.sleep(0.01)


@attrs.define(eq=False)
class FaultyPage:
    _server: FaultyServer
    _left: bytes

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._left and self._server.faults and self._server.chance.random() < 0.05:
            raise Unavailable("cut in the middle", reason="lost")
        size = self._server.chance.randint(1, 2000)
        chunk, self._left = self._left[:size], self._left[size:]
        return chunk


@attrs.define(eq=False)
class FaultyStream:
    _server: FaultyServer
    _since: int
    _deadline: float
    _idle: float
    _pending: bytes = b""
    _broken: KubernetesError | None = None

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._broken is not None:
            raise self._broken
        if not self._pending:
            await self._fill()
        chance = self._server.chance
        size = chance.randint(1, len(self._pending)) if self._pending else 0
        chunk, self._pending = self._pending[:size], self._pending[size:]
        if self._server.faults and self._pending and chance.random() < 0.1:
            self._broken = Unavailable("cut in the middle", reason="lost")
        return chunk

    async def _fill(self) -> None:
        """Wait for something to say: changes, a bookmark, a fault, or (with nothing at all) the end."""
        server = self._server
        if server.faults and server.chance.random() < 0.15:
            self._pending = server.chance.choice(
                [
                    line("ERROR", status(410, "Expired")) + b"\n",
                    line("ERROR", status(500, "InternalError")) + b"\n",
                    line("ERROR", status(429, "TooManyRequests")) + b"\n",
                    b"garbage\n",
                    b"",
                ]
            )
            return
        while True:
            fresh = [(version, raw) for version, raw in server.history if version > self._since]
            if fresh:
                some = fresh[: server.chance.randint(1, len(fresh))]
                self._since = some[-1][0]
                self._pending = b"".join(raw + b"\n" for _, raw in some)
                return
            if trio.current_time() >= self._deadline:
                return
            changed = server.changed
            with trio.move_on_after(min(60.0, self._deadline - trio.current_time())) as scope:
                await changed.wait()
            if scope.cancelled_caught and server.chance.random() < 0.5:
                self._pending = bookmark(str(server.version)) + b"\n"
                return
