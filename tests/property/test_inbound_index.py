"""Laws of the inbound index."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from random import Random

import attrs
from hypothesis import given, note, settings
from hypothesis import strategies as st

from controller.core.cluster import ClusterConfig
from controller.core.inbound import InboundServer, PortTarget, ServerRef
from controller.index.inbound import InboundIndex
from controller.index.inbound.cells import Cell, Group
from controller.index.inbound.default_cells import DefaultCells
from controller.index.inbound.shapes import Shapes
from controller.k8s.builtin import Pod
from controller.k8s.events import Applied, Deleted, Event
from controller.k8s.meta import Resource
from controller.k8s.policy import Server
from controller.k8s.workload import ExternalWorkload
from tests.property.inbound_worlds import (
    CLUSTER,
    TARGETS,
    Step,
    Survivors,
    batches,
    histories,
    steps,
    workload_of,
)

watched_sets = st.sets(st.sampled_from(TARGETS))
randoms = st.randoms(use_true_random=False)


def _told(index: InboundIndex) -> dict[PortTarget, InboundServer]:
    answers = {target: index.lookup(target) for target in TARGETS}
    return {target: answer.value for target, answer in answers.items() if answer is not None}


@given(histories, watched_sets, randoms)
def test_history_does_not_matter(history: list[list[Step]], watched: set[PortTarget], random: Random) -> None:
    """Any history gives the answers and counts that its survivors alone would give, in whatever order they come."""
    lived, survivors = InboundIndex(CLUSTER), Survivors()
    for number, batch in enumerate(history):
        lived.apply(survivors.events(batch))
        for target in watched if number % 3 == 0 else ():
            lived.watch(target)
        if number % 2:
            _told(lived)  # what is asked in passing may be kept, and must not be kept too long
    left: list[Event] = [Applied(resource) for resource in survivors.left.values()]
    random.shuffle(left)
    fresh = InboundIndex(CLUSTER)
    fresh.apply(left)

    assert _told(lived) == _told(fresh)
    assert lived.statistics().namespaces == fresh.statistics().namespaces
    assert lived.statistics().authentications == fresh.statistics().authentications


@given(histories, watched_sets)
def test_changes_are_exact(history: list[list[Step]], watched: set[PortTarget]) -> None:
    """A batch reports every watched target whose answer changed or whose workload went, and no other."""
    index, survivors = InboundIndex(CLUSTER), Survivors()
    live: set[PortTarget] = set()
    for batch in history:
        for target in watched - live:
            if index.watch(target) is not None:
                live.add(target)
            index.unwatch(target) if target not in live else None
        before = {target: index.answer(target) for target in live}

        reported = index.apply(survivors.events(batch))

        ended = {target for target in live if workload_of(target) in survivors.ended}
        changed = {t for t in live - ended if index.answer(t).value != before[t].value}  # type: ignore[union-attr]
        assert reported == ended | changed
        assert all(index.answer(target) is None for target in ended)
        for target in ended:
            index.unwatch(target)
        live -= ended


@given(histories, watched_sets)
def test_watched_and_asked_answers_are_the_same(history: list[list[Step]], watched: set[PortTarget]) -> None:
    """A question finds the very answer that a stream was told, and so does who begins from scratch."""
    index, survivors = InboundIndex(CLUSTER), Survivors()
    for batch in history:
        index.apply(survivors.events(batch))
        for target in watched:
            index.watch(target)
            assert index.answer(target) is index.lookup(target) is index.watch(target)
    assert not [target for namespace in index.namespaces() for target in index.check(namespace)]


@given(histories)
def test_the_first_server_that_selects_a_port_governs_it(history: list[list[Step]]) -> None:
    """Looking through all Servers, one after the other, finds the same one as the index does."""
    index, survivors = InboundIndex(CLUSTER), Survivors()
    for batch in history:
        index.apply(survivors.events(batch))

    found = {target: answer.reference for target, answer in _told(index).items()}
    governing = {target: _governing(target, survivors) for target in found}
    assert {t: ref.name if isinstance(ref, ServerRef) else None for t, ref in found.items()} == governing


def _governing(target: PortTarget, survivors: Survivors) -> str | None:
    workload = survivors.left[workload_of(target)]
    servers = [r for r in survivors.left.values() if isinstance(r, Server) and r.key.namespace == target.namespace]
    oldest = dt.datetime.min.replace(tzinfo=dt.UTC)
    for server in sorted(servers, key=lambda s: (s.metadata.creation_timestamp or oldest, s.metadata.name)):
        external = server.spec.external_workload_selector is not None
        selector = server.spec.external_workload_selector or server.spec.pod_selector
        if external is isinstance(workload, Pod) or selector is None or not selector.matches(workload.labels):
            continue
        if target.port in _ports(server.spec.port, workload):
            return server.metadata.name
    return None


def _ports(port: int | str, workload: Resource) -> set[int]:
    if isinstance(port, int):
        return {port}
    if isinstance(workload, Pod):
        assert workload.spec is not None
        declared = [p for c in workload.spec.containers or () for p in c.ports or ()]
        return {p.container_port for p in declared if p.name == port}
    assert isinstance(workload, ExternalWorkload)
    return {p.port for p in workload.spec.ports or () if p.name == port}


@given(histories, batches, watched_sets)
def test_a_batch_is_its_events_in_a_row(history: list[list[Step]], last: list[Step], watched: set[PortTarget]) -> None:
    """Taken in at once or one by one, events give the same answers; at once reports no more than one by one."""
    at_once, one_by_one = InboundIndex(CLUSTER), InboundIndex(CLUSTER)
    survivors = Survivors()
    for batch in history:
        events = survivors.events(batch)
        at_once.apply(events)
        for event in events:
            one_by_one.apply([event])
    for target in watched:
        at_once.watch(target)
        one_by_one.watch(target)
    events = survivors.events(last)

    reported = at_once.apply(events)
    separately = frozenset[PortTarget]().union(*[one_by_one.apply([event]) for event in events])

    assert _told(at_once) == _told(one_by_one)
    assert reported <= separately
    for target in watched:
        assert (at_once.answer(target) is None) == (one_by_one.answer(target) is None)


@given(histories, watched_sets)
def test_nothing_is_left_of_what_is_gone(history: list[list[Step]], watched: set[PortTarget]) -> None:
    """When every watch has ended nothing is watched, and when every object is deleted nothing is kept."""
    index, survivors = InboundIndex(CLUSTER), Survivors()
    for batch in history:
        index.apply(survivors.events(batch))
        _told(index)
        for target in watched:
            index.watch(target)
    for target in watched:
        for _ in history:
            index.unwatch(target)

    kept = list(_kept(index))
    assert not [port for each in kept if isinstance(each, Cell | Group) for port in each.ports]
    index.apply([Deleted(kind, key) for kind, key in [*survivors.left, *index.invalid()]])
    assert {type(each) for each in _kept(index)} == {type(each) for each in _kept(InboundIndex(CLUSTER))}


def _kept(root: object, kept: set[int] | None = None) -> Iterator[object]:
    """Everything that the index holds, through its own objects and containers, but for two caches."""
    kept = set() if kept is None else kept
    if id(root) in kept or isinstance(root, DefaultCells | Shapes | Enum | str | ClusterConfig):
        return
    kept.add(id(root))
    parts: Iterable[object] = ()
    if isinstance(root, Mapping):
        parts = [*root.keys(), *root.values()]
    elif isinstance(root, list | tuple | set | frozenset):
        parts = root
    elif type(root).__module__.startswith("controller."):
        yield root
        if attrs.has(type(root)):
            parts = [getattr(root, field.name) for field in attrs.fields(type(root))]
    for part in parts:
        yield from _kept(part, kept)


@given(st.lists(steps, max_size=8), randoms)
@settings(max_examples=50)
def test_resources_that_come_together_may_come_in_any_order(batch: Sequence[Step], random: Random) -> None:
    """The order of the first lists does not matter."""
    survivors = Survivors()
    survivors.events([step for step in batch if isinstance(step, Applied)])
    left: list[Event] = [Applied(resource) for resource in survivors.left.values()]
    index = InboundIndex(CLUSTER)
    index.apply(left)
    note(str(left))
    random.shuffle(left)
    other = InboundIndex(CLUSTER)
    for event in left:
        other.apply([event])

    assert _told(index) == _told(other)
