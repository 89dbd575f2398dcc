"""Single objects: where they are, and how often a request is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec
import pytest
import trio
import trio.testing

from controller.k8s.meta import ObjectKey
from controller.runtime.api import KubeApi, PatchType, object_path
from controller.runtime.errors import (
    AlreadyExists,
    Conflicted,
    Garbled,
    KubernetesError,
    Status,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from tests.unit.runtime.support import CLUSTER_WIDGETS, WIDGETS, page, widget

A = ObjectKey("ns", "a")
WIDGET = msgspec.json.encode(widget("a"))


@attrs.define
class Server:
    """Answers from a script, and writes down what it was asked."""

    script: list[bytes | KubernetesError | float]
    asked: list[dict[str, Any]] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    refreshed: int = 0

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        self.asked.append(
            {
                "method": method,
                "path": path,
                "params": dict(params or {}),
                "body": None if body is None else msgspec.json.decode(body),
                "content_type": content_type,
            }
        )
        self.times.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        match self.script.pop(0):
            case float() as seconds:
                await trio.sleep(seconds)
                return WIDGET
            case bytes() as answer:
                return answer
            case error:
                raise error

    async def refresh_credentials(self) -> None:
        self.refreshed += 1
        await trio.lowlevel.checkpoint()


def api(*script: bytes | KubernetesError | float) -> tuple[KubeApi, Server]:
    server = Server(list(script))
    return KubeApi(server, lambda: 0.5), server


def test_paths() -> None:
    """Objects are under their kind, namespaced ones under their namespace, and names cannot lead elsewhere."""
    # runtime C24
    assert object_path(WIDGETS, "ns", "a") == "/apis/example.com/v1/namespaces/ns/widgets/a"
    assert object_path(WIDGETS, "ns", "a", "status") == "/apis/example.com/v1/namespaces/ns/widgets/a/status"
    assert object_path(WIDGETS, "ns") == "/apis/example.com/v1/namespaces/ns/widgets"
    assert object_path(CLUSTER_WIDGETS, "", "a") == "/apis/example.com/v1/widgets/a"
    assert object_path(WIDGETS, "n/s", "a%/é") == "/apis/example.com/v1/namespaces/n%2Fs/widgets/a%25%2F%C3%A9"


async def test_reading_and_writing() -> None:
    """Each verb says what it means, and returns the object as it is now."""
    client, server = api(*[WIDGET] * 6)
    found = await client.get(WIDGETS, A)
    assert found.key == A
    await client.create(WIDGETS, {"x": 1}, namespace="ns", params={"fieldManager": "me"})
    await client.put(WIDGETS, A, {"x": 2}, subresource="status")
    await client.patch(WIDGETS, A, {"x": 3}, PatchType.APPLY, subresource="status", field_manager="me", force=True)
    await client.patch(WIDGETS, A, [{"op": "test"}], PatchType.JSON)
    await client.delete(WIDGETS, A, uid="u", resource_version="7", propagation="Foreground")
    path = "/apis/example.com/v1/namespaces/ns/widgets"
    assert [(asked["method"], asked["path"]) for asked in server.asked] == [
        ("GET", f"{path}/a"),
        ("POST", path),
        ("PUT", f"{path}/a/status"),
        ("PATCH", f"{path}/a/status"),
        ("PATCH", f"{path}/a"),
        ("DELETE", f"{path}/a"),
    ]
    assert server.asked[1]["params"] == {"fieldManager": "me"}
    assert server.asked[3]["params"] == {"fieldManager": "me", "force": "true"}
    assert [asked["content_type"] for asked in server.asked[2:5]] == [
        "application/json",
        "application/apply-patch+yaml",
        "application/json-patch+json",
    ]
    assert server.asked[5]["body"] == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
    }


async def test_listing() -> None:
    """All pages are one list, without the objects that cannot be read."""
    client, server = api(page(widget("a"), widget("x", size="bad"), continue_="t"), page(widget("b")))
    found = await client.list(WIDGETS, namespace="ns", label_selector="a=b")
    assert [resource.metadata.name for resource in found] == ["a", "b"]
    assert server.asked[1]["params"] == {"limit": "500", "labelSelector": "a=b", "continue": "t"}


async def test_an_answer_that_is_no_object() -> None:
    """An answer that cannot be read is an error of the protocol."""
    client, _ = api(b"[]")
    with pytest.raises(Garbled):
        await client.get(WIDGETS, A)


BUSY = Unavailable("x", status=Status(code=503))


# runtime C19
@pytest.mark.parametrize(
    ("error", "waited"),
    [
        (Throttled("x", retry_after=2.0), 2.0),
        (Throttled("x", retry_after=300.0), 30.0),
        (Throttled("x"), 0.1),
        (BUSY, 0.1),
        (Unavailable("x", status=Status(code=504)), 0.1),
        (Unavailable("x", reason="connect"), 0.1),
        (Unavailable("x", reason="lost"), 0.1),
    ],
)
async def test_what_may_pass(autojump_clock: trio.testing.MockClock, error: KubernetesError, waited: float) -> None:
    """A read that fails in passing is sent again, after as long as the server wants."""
    server = Server([error, WIDGET])
    await KubeApi(server, lambda: 0.5, timeout=100.0).get(WIDGETS, A)
    assert server.times == pytest.approx([0.0, waited])


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("x", reason="tls"),
        Unavailable("x", reason="timeout"),
        Unavailable("x", status=Status(code=500)),
        Conflicted("x"),
        AlreadyExists("x"),
        Garbled("x"),
    ],
)
async def test_what_will_not_pass(autojump_clock: trio.testing.MockClock, error: KubernetesError) -> None:
    """Everything else is the caller's at once."""
    client, server = api(error)
    with pytest.raises(type(error)):
        await client.get(WIDGETS, A)
    assert len(server.times) == 1


async def test_five_attempts(autojump_clock: trio.testing.MockClock) -> None:
    """Waits double, and the fifth failure is the last."""
    # runtime C19
    client, server = api(*[BUSY] * 5)
    with pytest.raises(Unavailable):
        await client.get(WIDGETS, A)
    assert server.times == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.5])


async def test_a_create_is_sent_once(autojump_clock: trio.testing.MockClock) -> None:
    """What may have happened is not asked for twice, unless it never left."""
    # runtime C19
    for error in (BUSY, Throttled("x", retry_after=1.0), Unavailable("x", reason="lost")):
        client, server = api(error)
        with pytest.raises(Unavailable):
            await client.create(WIDGETS, {})
        assert len(server.times) == 1
    client, server = api(Unavailable("x", reason="connect"), WIDGET)
    await client.create(WIDGETS, {})
    assert len(server.times) == 2


@pytest.mark.parametrize(
    ("patch_type", "sent"), [(PatchType.APPLY, 2), (PatchType.MERGE, 2), (PatchType.JSON, 1), (PatchType.STRATEGIC, 1)]
)
async def test_patches_that_may_be_sent_twice(
    autojump_clock: trio.testing.MockClock, patch_type: PatchType, sent: int
) -> None:
    """A patch that says how things shall be may be sent again; one that says what to do may not."""
    client, server = api(BUSY, *[WIDGET] * (sent - 1))
    if sent == 2:
        await client.patch(WIDGETS, A, {}, patch_type)
    else:
        with pytest.raises(Unavailable):
            await client.patch(WIDGETS, A, {}, patch_type)
    assert len(server.times) == sent


async def test_deletes_with_preconditions_may_be_sent_twice(autojump_clock: trio.testing.MockClock) -> None:
    """A delete of this very object cannot hit another."""
    client, server = api(BUSY, WIDGET, BUSY)
    await client.delete(WIDGETS, A, uid="u")
    with pytest.raises(Unavailable):
        await client.delete(WIDGETS, A)
    assert len(server.times) == 3


async def test_credentials_are_refreshed_once(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever is refused is sent once more with fresh credentials."""
    client, server = api(Unauthenticated("401"), WIDGET)
    await client.create(WIDGETS, {})
    assert server.refreshed == 1
    client, server = api(Unauthenticated("401"), Unauthenticated("401"))
    with pytest.raises(Unauthenticated):
        await client.get(WIDGETS, A)
    assert server.refreshed == 1


async def test_the_time_limit_holds_for_everything_together(autojump_clock: trio.testing.MockClock) -> None:
    """Attempts and waits share one limit."""
    # runtime C19
    client, _ = api(Throttled("x", retry_after=25.0), 10.0)
    with pytest.raises(Unavailable) as caught:
        await client.get(WIDGETS, A)
    assert (caught.value.reason, trio.current_time()) == ("timeout", 30.0)
