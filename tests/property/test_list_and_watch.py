"""List and watch are complete: whatever happened on the way, what a consumer believes in the end is what there is."""

from __future__ import annotations

import random

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.k8s.events import Deleted, Reset
from controller.runtime.freshness import WatchState
from tests.property.faulty_server import FaultyServer
from tests.shell.runtime.scripted import Seen, following
from tests.unit.runtime.support import Widget

# Few names, so that objects are often deleted and made anew while nobody is looking.
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
ACTIONS = st.one_of(
    st.tuples(st.just("write"), NAMES),
    st.tuples(st.just("write"), NAMES),
    st.tuples(st.just("spoil"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("forget"), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from([0.02, 0.5, 5.0, 40.0, 300.0])),
)


def act(server: FaultyServer, action: str, argument: object) -> None:
    match action, argument:
        case "write", str(name):
            server.write(name)
        case "spoil", str(name):
            server.write(name, bad=True)
        case "delete", str(name):
            server.delete(name)
        case "forget", _:
            server.forget()
        case _:
            pass


def believed(seen: Seen) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for key, resource in seen.believed.items():
        assert isinstance(resource, Widget)
        sizes[key.name] = None if resource.spec is None else resource.spec.size
    return sizes


def consistent(seen: Seen) -> None:
    """Check that events make sense one by one: nothing is removed that is not known, or listed at the same time."""
    known: set[str] = set()
    for batch in seen.batches:
        for event in batch:
            if isinstance(event, Reset):
                listed = {resource.metadata.name for resource in event.resources}
                removed = {key.name for key in event.removed}
                assert removed == known - listed
                assert len(listed) == len(event.resources)
                known = listed
            elif isinstance(event, Deleted):
                known.discard(event.key.name)
            else:
                known.add(event.resource.metadata.name)


async def live(server: FaultyServer, actions: list[tuple[str, object]]) -> None:
    async with following(server, jitter=server.chance.random) as subject:
        for action, argument in actions:
            act(server, action, argument)
            if isinstance(argument, float):
                await trio.sleep(argument)
        server.faults = False
        # Long enough for the longest pause, a list, and the server's longest silence.
        await trio.sleep(400)
        consistent(subject.seen)
        spoiled = {name for name, stored in server.objects.items() if stored["bad"]}
        found = believed(subject.seen)
        # Of what cannot be read the last good version may remain, until a list shows that it is gone.
        assert {name: size for name, size in found.items() if name not in spoiled} == server.readable()
        assert {entry.key.name for entry in subject.quarantine.statistics()} == spoiled
        assert {key.name for key in subject.record.known} == set(found)
        assert subject.record.state is WatchState.WATCHING
        server.forget()
        server.faults = False
    assert set(found) <= set(server.objects)


# runtime W38
@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    before=st.lists(NAMES, max_size=8),
    actions=st.lists(ACTIONS, max_size=40),
)
def test_the_survivors_are_known(seed: int, before: list[str], actions: list[tuple[str, object]]) -> None:
    """Any interleaving of changes, drops, expiry, garbage and relists ends with exactly what the server has."""
    server = FaultyServer(random.Random(seed))
    for name in before:
        server.write(name)
    trio.run(live, server, actions, clock=trio.testing.MockClock(autojump_threshold=0))


def test_ten_thousand_operations() -> None:
    """A long life, with faults all along, ends with exactly what the server has."""
    # runtime W38
    chance = random.Random(20260101)
    server = FaultyServer(chance)
    names = [f"w{number}" for number in range(40)]
    actions: list[tuple[str, object]] = []
    for _ in range(10_000):
        kind = chance.choices(["write", "spoil", "delete", "forget", "wait"], [50, 5, 30, 1, 14])[0]
        actions.append((kind, chance.choice([0.02, 0.3, 3.0]) if kind == "wait" else chance.choice(names)))
    trio.run(live, server, actions, clock=trio.testing.MockClock(autojump_threshold=0))
