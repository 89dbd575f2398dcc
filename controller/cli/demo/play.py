"""What acts are made of: write something, see what proxies are told, compare with what has to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import attrs
import msgspec
import trio
import yaml
from grpclib.const import Status

from controller.cli.demo.grpc_client import Call, Encodes, Refused
from controller.cli.demo.outbound_rows import outbound_rows
from controller.cli.demo.rows import Row, inbound_rows
from controller.cli.demo.screen import Screen
from controller.cli.demo.stage import Stage
from controller.grpc.gen.linkerd import inbound_pb2, net_pb2, outbound_pb2
from controller.grpc.inbound import SERVICE as INBOUND
from controller.grpc.outbound import SERVICE as OUTBOUND
from controller.k8s.kinds import WATCHED
from controller.k8s.meta import ObjectKey, Resource
from controller.k8s.resource import ResourceType
from controller.runtime.api import PatchType, object_path

M = TypeVar("M")

PATIENCE = 10.0  # seconds that a change may take, outages included
FIELD_MANAGER = "demo"
CONTROLLER = "linkerd.io/policy-controller"  # as statuses name whoever writes them
_TYPES = {(kind.resource.api_version, kind.resource.kind): kind.resource for kind in WATCHED}


class Unmet(Exception):
    """Something that has to be is not; the text says what."""


@attrs.frozen
class Written:
    """A change of an object: when it was sent, and which version it made."""

    resource_type: ResourceType[Resource]
    key: ObjectKey
    at: float
    version: int

    @property
    def path(self) -> str:
        return object_path(self.resource_type, *self.key)


@attrs.define(eq=False)
class Proxy(Generic[M]):
    """A proxy's question, and the stream of its answers."""

    name: str
    ask: Callable[[], Call[M]]
    rows: Callable[[M], tuple[Row, ...]]
    call: Call[M] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ask_again()

    def ask_again(self) -> None:
        """Open a stream, in place of the one before."""
        self.call = self.ask()


@attrs.define(eq=False)
class Play:
    """Plays steps on a stage and shows them."""

    stage: Stage
    screen: Screen
    proxies: list[Proxy[Any]] = attrs.field(factory=list[Proxy[Any]], init=False)
    checks: int = attrs.field(default=0, init=False)

    # -- asking, as proxies do --

    def watch_port(self, namespace: str, pod: str, port: int) -> Proxy[inbound_pb2.Server]:
        """Have the pod's proxy ask what holds on a port."""
        request = inbound_pb2.PortSpec(workload=_workload(namespace, pod), port=port)
        return self._watch(pod, f"/{INBOUND}/WatchPort", request, inbound_pb2.Server.FromString, inbound_rows)

    def watch_authority(self, namespace: str, pod: str, authority: str) -> Proxy[outbound_pb2.OutboundPolicy]:
        """Have the pod's proxy ask how to reach a name."""
        return self._watch_outbound(
            pod, outbound_pb2.TrafficSpec(source_workload=_workload(namespace, pod), authority=authority)
        )

    def watch_address(self, namespace: str, pod: str, ip: str, port: int) -> Proxy[outbound_pb2.OutboundPolicy]:
        """Have the pod's proxy ask how to reach an IPv4 address."""
        number = int.from_bytes(bytes(map(int, ip.split("."))), "big")
        address = net_pb2.TcpAddress(ip=net_pb2.IPAddress(ipv4=number), port=port)
        return self._watch_outbound(
            pod, outbound_pb2.TrafficSpec(source_workload=_workload(namespace, pod), addr=address)
        )

    def _watch_outbound(self, pod: str, request: outbound_pb2.TrafficSpec) -> Proxy[outbound_pb2.OutboundPolicy]:
        return self._watch(pod, f"/{OUTBOUND}/Watch", request, outbound_pb2.OutboundPolicy.FromString, outbound_rows)

    def _watch(
        self,
        name: str,
        path: str,
        request: Encodes,
        decode: Callable[[bytes], M],
        rows: Callable[[M], tuple[Row, ...]],
    ) -> Proxy[M]:
        proxy = Proxy(name, lambda: self.stage.channel.open(path, request, decode), rows)
        self.proxies.append(proxy)
        return proxy

    async def ask_once(self, namespace: str, pod: str, port: int) -> tuple[Row, ...]:
        """Ask what holds on a port, without a stream."""
        request = inbound_pb2.PortSpec(workload=_workload(namespace, pod), port=port)
        path = f"/{INBOUND}/GetPort"
        try:
            return inbound_rows(await self.stage.channel.unary(path, request, inbound_pb2.Server.FromString))
        except Refused as refused:
            raise Unmet(f"{pod}'s proxy asked and got {refused}") from refused

    # -- writing, as people do --

    async def apply(self, manifest: str, *, again: bool = False) -> Written:
        """Show a manifest and apply it on the server's side, as `kubectl apply --server-side` does."""
        resource_type, key = _named(manifest)
        self.screen.written("+", _title(resource_type, key), "" if again else _spec(manifest))
        path, sent = object_path(resource_type, *key), trio.current_time()
        answer = await self.stage.api.request(
            "PATCH",
            path,
            params={"fieldManager": FIELD_MANAGER},
            body=manifest.encode(),
            content_type=PatchType.APPLY.value,
        )
        return Written(resource_type, key, sent, int(msgspec.json.decode(answer)["metadata"]["resourceVersion"]))

    async def delete(self, manifest: str) -> Written:
        """Show which object goes, and delete it."""
        resource_type, key = _named(manifest)
        self.screen.written("−", _title(resource_type, key))
        path, sent = object_path(resource_type, *key), trio.current_time()
        await self.stage.api.request("DELETE", path)
        return Written(resource_type, key, sent, self.stage.server.store.revision)

    async def get(self, path: str) -> dict[str, Any]:
        """Read an object as it is now."""
        return cast("dict[str, Any]", msgspec.json.decode(await self.stage.api.request("GET", path)))

    # -- comparing --

    @staticmethod
    def now() -> float:
        """Return the time, for changes that are no writes."""
        return trio.current_time()

    async def accepted(self, route: Written) -> None:
        """See that a route's status accepts its parent, and that this came after the route, from the controller."""
        found = await self.get(route.path)
        conditions = [
            (parent["controllerName"], condition["type"], condition["status"])
            for parent in found.get("status", {}).get("parents", ())
            for condition in parent["conditions"]
        ]
        version = int(found["metadata"]["resourceVersion"])
        self.check((CONTROLLER, "Accepted", "True") in conditions, f"the status has only {conditions}")
        self.check(version > route.version, "the status was there before the controller could write it")
        self.screen.noted(
            f"status: Accepted, by {CONTROLLER}; your write made version {route.version}, the controller's {version}"
        )

    def check(self, holds: bool, text: str) -> None:
        """Raise `Unmet` with the text unless it holds."""
        self.checks += 1
        if not holds:
            raise Unmet(text)

    async def told(self, proxy: Proxy[M], since: Written | float, *expected: Row, after: str = "") -> None:
        """Wait for the proxy's next message, show it, and see that what is expected is in it.

        `after` names what the time is counted from, where that is not the write before.
        """
        what = f"{proxy.name}'s proxy"
        try:
            with trio.fail_after(PATIENCE):
                told = await proxy.call.next()
        except trio.TooSlowError:
            raise Unmet(f"{what} was told nothing within {PATIENCE:g} s") from None
        except Refused as refused:
            raise Unmet(f"the stream of {what} ended with {refused}") from refused
        taken = told.at - (since.at if isinstance(since, Written) else since)
        rows = proxy.rows(told.message)
        when = f"{_milliseconds(taken)} after {after}," if after else f"{_milliseconds(taken)} later"
        self.screen.told(what, when, rows)
        self.expect(rows, *expected)

    def expect(self, rows: tuple[Row, ...], *expected: Row) -> None:
        """See that each of these rows is there."""
        for row in expected:
            told = [other for other in rows if other.what == row.what]
            self.check(row in told, f"expected {_text(row)}; told was {', '.join(map(_text, told)) or 'nothing of it'}")

    async def quiet(self, written: Written) -> None:
        """See that the controller knows of the change, and that no proxy was told anything."""
        await self.until(lambda kinds: _has_seen(kinds, written), "the controller has seen the change")
        # One question after it, on the same connection: what was to be told before has come before the answer.
        await self.ask_once("payments", "api-0", 8080)
        self.silent()

    def silent(self) -> None:
        """See that no proxy was told anything since somebody looked."""
        for proxy in self.proxies:
            self.check(proxy.call.is_quiet, f"{proxy.name}'s proxy was told something")

    async def until(self, holds: Callable[[list[dict[str, Any]]], bool], what: str) -> list[dict[str, Any]]:
        """Ask for the controller's freshness until something holds, and return it."""
        with trio.move_on_after(PATIENCE):
            while not holds(kinds := await self.stage.freshness()):  # noqa: ASYNC110  # the controller is asked by HTTP
                await trio.sleep(0.005)
            self.checks += 1
            return kinds
        raise Unmet(f"not within {PATIENCE:g} s: {what}")

    async def ended(self, proxy: Proxy[Any]) -> None:
        """See that the proxy's stream ends, and with OK."""
        with trio.move_on_after(PATIENCE):
            status = await proxy.call.wait_ended()
            self.check(status is Status.OK, f"the stream of {proxy.name}'s proxy ended with {status.name}")
            return
        raise Unmet(f"the stream of {proxy.name}'s proxy did not end within {PATIENCE:g} s")


def _workload(namespace: str, pod: str) -> str:
    return msgspec.json.encode({"ns": namespace, "pod": pod}).decode()


def _named(manifest: str) -> tuple[ResourceType[Resource], ObjectKey]:
    value = yaml.safe_load(manifest)
    return _TYPES[value["apiVersion"], value["kind"]], ObjectKey(
        value["metadata"]["namespace"], value["metadata"]["name"]
    )


def _title(resource_type: ResourceType[Resource], key: ObjectKey) -> str:
    return f"{resource_type.kind} {key.namespace}/{key.name}"


def _spec(manifest: str) -> str:
    """Return the lines under `spec`, which come last."""
    _, _, spec = manifest.partition("\nspec:\n")
    return "\n".join(line[2:] for line in spec.splitlines())


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.{0 if seconds >= 0.1 else 1}f} ms"


def _has_seen(kinds: list[dict[str, Any]], written: Written) -> bool:
    wanted = written.resource_type
    return any(
        int(kind["resource_version"] or 0) >= written.version
        for kind in kinds
        if (kind["group"], kind["kind"]) == (wanted.group, wanted.kind)
    )


def _text(row: Row) -> str:
    return f"“{row.what.strip()}: {row.value}” because of “{row.why}”"
