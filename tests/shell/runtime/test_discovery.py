"""What the server serves, asked for as seldom as will do; and when everything has been seen."""

from __future__ import annotations

import attrs
import msgspec
import pytest
import trio
import trio.testing

from controller.k8s.kinds import PODS
from controller.k8s.resource import ResourceType
from controller.runtime.discovery import Discovery
from controller.runtime.errors import Absent, Garbled, KubernetesError, Unavailable
from controller.runtime.initialized import Initialized, Outstanding
from tests.unit.runtime.support import WIDGETS, Widget


@attrs.define
class Server:
    """Serves some plurals, or fails."""

    plurals: set[str] | KubernetesError | bytes
    asked: list[tuple[float, str]] = attrs.field(factory=list)

    async def get(self, path: str) -> bytes:
        self.asked.append((trio.current_time(), path))
        await trio.sleep(0.1)
        if isinstance(self.plurals, KubernetesError):
            raise self.plurals
        if isinstance(self.plurals, bytes):
            return self.plurals
        names = [{"name": plural, "kind": "x", "verbs": []} for plural in self.plurals]
        return msgspec.json.encode({"kind": "APIResourceList", "resources": names})


def discovery(server: Server) -> Discovery:
    return Discovery(server, lambda: 0.5)


async def test_what_is_served(autojump_clock: trio.testing.MockClock) -> None:
    """A kind is served if its group and version list it."""
    server = Server({"widgets", "widgets/status"})
    subject = discovery(server)
    assert await subject.is_served(WIDGETS)
    assert not await subject.is_served(ResourceType(Widget, "example.com", "v1", "gadgets", "Gadget"))
    assert not await subject.is_served(PODS)
    assert [path for _, path in server.asked] == ["/apis/example.com/v1", "/api/v1"]


async def test_a_group_that_is_not_there(autojump_clock: trio.testing.MockClock) -> None:
    """A group and version that nobody knows serves nothing."""
    assert not await discovery(Server(Absent("404"))).is_served(WIDGETS)


@pytest.mark.parametrize(
    ("answer", "error"), [(Unavailable("503"), Unavailable), (b"{", Garbled), (b"{}", Garbled), (b"\xff", Garbled)]
)
async def test_not_knowing(
    autojump_clock: trio.testing.MockClock, answer: KubernetesError | bytes, error: type[KubernetesError]
) -> None:
    """Where the server does not say, we do not say either, and ask again next time."""
    server = Server(answer)
    subject = discovery(server)
    with pytest.raises(error):
        await subject.is_served(WIDGETS)
    server.plurals = {"widgets"}
    assert await subject.is_served(WIDGETS)


async def test_those_who_ask_together_ask_once(autojump_clock: trio.testing.MockClock) -> None:
    """Kinds of the same group share an answer for a few seconds."""
    server = Server({"widgets"})
    subject = discovery(server)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(subject.is_served, WIDGETS)
    await trio.sleep(4.8)
    await subject.is_served(WIDGETS)
    assert len(server.asked) == 1
    await trio.sleep(0.2)
    await subject.is_served(WIDGETS)
    assert len(server.asked) == 2


async def test_waiting(autojump_clock: trio.testing.MockClock) -> None:
    """A kind that appears is noticed at the next look, whatever went wrong at the ones before."""
    # runtime W28
    server = Server(Absent("404"))
    subject = discovery(server)

    async def appear() -> None:
        await trio.sleep(15)
        server.plurals = Unavailable("starting")
        await trio.sleep(20)
        server.plurals = {"widgets"}

    async with trio.open_nursery() as nursery:
        nursery.start_soon(appear)
        await subject.wait_served(WIDGETS)
    assert 35.0 <= trio.current_time() <= 45.5
    assert len(server.asked) <= 5


# -- the latch of readiness --


async def test_without_handles_it_is_open(autojump_clock: trio.testing.MockClock) -> None:
    """Where nothing has to be waited for, everything is ready."""
    # runtime N1
    latch = Initialized()
    await latch.wait_complete()
    assert latch.is_complete


async def test_it_opens_with_the_last_handle(autojump_clock: trio.testing.MockClock) -> None:
    """All handles have to be released, each as often as anybody likes; what is outstanding can be seen."""
    # runtime N2, N3, N4, N7
    latch = Initialized()
    pods = latch.add_handle("pods")
    await trio.sleep(5)
    servers = latch.add_handle("servers")
    opened: list[float] = []

    async def wait() -> None:
        await latch.wait_complete()
        opened.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.sleep(1)
        assert latch.statistics() == (Outstanding("pods", 6.0), Outstanding("servers", 1.0))
        pods.release()
        pods.release()
        await trio.sleep(1)
        assert opened == []
        assert [outstanding.name for outstanding in latch.statistics()] == ["servers"]
        servers.release()
    assert opened == [7.0, 7.0]
    assert latch.is_complete


async def test_a_block_that_fails_has_not_initialized_anything(autojump_clock: trio.testing.MockClock) -> None:
    """Leaving a handle's block in peace releases it; an error does not."""
    # runtime N5
    latch = Initialized()
    with pytest.raises(ValueError, match="x"), latch.add_handle("a"):
        raise ValueError("x")
    with trio.CancelScope() as scope, latch.add_handle("b"):
        scope.cancel()
        await trio.lowlevel.checkpoint()
    with latch.add_handle("c"):
        pass
    assert [outstanding.name for outstanding in latch.statistics()] == ["a", "b"]
