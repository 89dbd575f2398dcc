"""Leases under clocks that disagree, answers that are late or lost, and processes that come and go."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from controller.runtime.errors import Unavailable
from controller.runtime.lease_keeper import LeaseKeeper
from tests.shell.lease.server import Server, keeper

NAMES = ("alice", "bob", "carol")


@attrs.frozen
class Network:
    """Between the replicas and the API server."""

    there: float  # seconds that a request takes at most
    back: float  # seconds that its answer takes at most
    trouble: float  # share of requests that fail, on either way


networks = st.builds(
    Network,
    there=st.sampled_from((0.0, 0.5, 5.0)),
    back=st.sampled_from((0.0, 0.5, 5.0)),
    trouble=st.sampled_from((0.0, 0.0, 0.1, 0.5)),
)


@attrs.frozen(eq=False)
class Line:
    """One process's way to the server, which is cut at some time."""

    server: Server
    network: Network
    chance: random.Random
    cut: float

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
    ) -> bytes:
        await self._pass(self.network.there)
        answer = await self.server.request(method, path, params=params, body=body, content_type=content_type)
        await self._pass(self.network.back)
        return answer

    async def _pass(self, slowness: float) -> None:
        await trio.sleep(self.chance.random() * slowness)
        if trio.current_time() >= self.cut:
            await trio.sleep_forever()
        if self.chance.random() < self.network.trouble:
            raise Unavailable("lost")


@attrs.frozen
class Life:
    """A process of one claimant: when it starts, for how long it hears of the server and runs, and how it ends."""

    away: float
    hears: float
    runs: float
    gives_up: bool


lives = st.lists(
    st.builds(
        Life,
        away=st.floats(0, 60),
        hears=st.floats(0, 100) | st.just(math.inf),
        runs=st.floats(1, 200),
        gives_up=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
# Within the minute by which clocks may differ.
skews = st.floats(-29, 29)


@attrs.define(eq=False)
class Election:
    server: Server
    network: Network
    chance: random.Random
    running: dict[str, tuple[float, LeaseKeeper]] = attrs.field(factory=dict[str, Any], init=False)

    async def live(self, name: str, skew: float, history: Sequence[Life]) -> None:
        """Run one process of the claimant after another. Each sees the Lease for the first time."""
        for life in history:
            await trio.sleep(life.away)
            started = trio.current_time()
            # A name of its own each: going on in one's own name is another rule.
            line = Line(self.server, self.network, self.chance, started + life.hears)
            made = keeper(line, f"{name}-{started}", skew=skew)
            self.running[name] = started, made
            with trio.move_on_after(life.runs):
                await made.run()
            if life.gives_up:
                await made.vacate()
            del self.running[name]  # whatever a killed one believed, it does nothing any more

    async def watch(self) -> None:
        while True:
            holders = [name for name, (_, each) in self.running.items() if each.is_held()]
            assert len(holders) <= 1, (trio.current_time(), holders)
            await trio.sleep(0.25)


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), networks, st.lists(st.tuples(skews, lives), min_size=2, max_size=3))
def test_there_are_never_two_holders(
    chance: random.Random, network: Network, claimants: list[tuple[float, list[Life]]]
) -> None:
    """By the one clock that is true, whatever the clocks of the replicas show and the network does."""
    # runtime L15, L16, L17, L18
    server = Server()
    server.put()
    election = Election(server, network, chance)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(election.watch)
            async with trio.open_nursery() as processes:
                for name, (skew, history) in zip(NAMES, claimants, strict=False):
                    processes.start_soon(election.live, name, skew, history)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))
