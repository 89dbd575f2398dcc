"""Laws of the outbound index, over worlds in which things collide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import Phase, given, settings

from controller.core.answer import Answer
from controller.core.outbound import (
    EgressPolicy,
    OutboundAnswer,
    OutboundPolicy,
    OutboundTarget,
    ServiceTarget,
    UndefinedPort,
)
from controller.grpc.gen.linkerd import outbound_pb2 as pb
from controller.grpc.outbound import OutboundEncoder
from controller.grpc.outbound_to_proto import OutboundDialect, to_outbound_policy
from controller.index.outbound.index import OutboundIndex
from tests.property.outbound_worlds import CONFIG, TARGETS, Cluster, Step, histories
from tests.proxy_rules import complaints

DIALECT = OutboundDialect("cluster.local")
# To explain a failure takes minutes with histories as large as these, and the smallest one says enough.
law = settings(deadline=None, phases=[phase for phase in Phase if phase is not Phase.explain])


def plain(answer: Answer[OutboundAnswer] | None) -> Any:
    """What an answer says, apart from who shares it."""
    if answer is None:
        return None
    value = answer.value
    return (value.shared.value, value.address) if isinstance(value, EgressPolicy) else value


def rebuilt(cluster: Cluster) -> OutboundIndex:
    """An index that knows only what is left."""
    index = OutboundIndex(CONFIG)
    index.apply(cluster.survivors())
    return index


@law
@given(histories)
def test_any_history_gives_what_its_survivors_alone_would_give(history: Sequence[Sequence[Step]]) -> None:
    """However things came to be as they are."""
    cluster, index = Cluster(), OutboundIndex(CONFIG)
    for batch in history:
        index.apply([event for step in batch for event in cluster.perform(step)])
    fresh = rebuilt(cluster)
    for target in TARGETS:
        assert plain(index.lookup(target)) == plain(fresh.lookup(target)), target
    assert index.statistics() == fresh.statistics()


@law
@given(histories)
def test_batches_do_not_matter(history: Sequence[Sequence[Step]]) -> None:
    """One event at a time, or all of them at once."""
    cluster, single, whole = Cluster(), OutboundIndex(CONFIG), OutboundIndex(CONFIG)
    events = [event for batch in history for step in batch for event in cluster.perform(step)]
    whole.apply(events)
    for event in events:
        single.apply([event])
    for target in TARGETS:
        assert plain(single.lookup(target)) == plain(whole.lookup(target)), target


@attrs.define
class Watcher:
    """Watches everything, asks again about what has ended, and holds the index to its word."""

    index: OutboundIndex
    answers: dict[OutboundTarget, Answer[OutboundAnswer]] = attrs.field(factory=dict[Any, Any], init=False)

    def watch_all(self) -> None:
        for target in dict.fromkeys(map(self.index.resolve, TARGETS)):
            if target in self.answers:
                continue
            asked, answer = self.index.lookup(target), self.index.watch(target)
            assert plain(answer) == plain(asked)
            if answer is None:
                self.index.unwatch(target)
            else:
                self.answers[target] = answer

    def check(self, changed: frozenset[OutboundTarget]) -> None:
        """Exactly those are said to have changed whose answer did."""
        assert changed <= self.answers.keys()
        for target, before in tuple(self.answers.items()):
            after = self.index.answer(target)
            if target not in changed:
                assert after is before, target
                continue
            assert plain(after) != plain(before), target
            if after is None:
                self.index.unwatch(target)
                del self.answers[target]
            else:
                self.answers[target] = after


@law
@given(histories)
def test_exactly_what_changed_is_said_to_have_changed(history: Sequence[Sequence[Step]]) -> None:
    """And what is watched is what a fresh index would say, or what it was before its Service went."""
    cluster = Cluster()
    watcher = Watcher(OutboundIndex(CONFIG))
    for batch in history:
        watcher.watch_all()
        watcher.check(watcher.index.apply([event for step in batch for event in cluster.perform(step)]))
    assert not [target for namespace in watcher.index.namespaces() for target in watcher.index.check(namespace)]
    fresh = rebuilt(cluster)
    for target, answer in watcher.answers.items():
        expected, found = plain(fresh.lookup(target)), plain(answer)
        if expected is None:
            assert isinstance(found, UndefinedPort)  # its Service may be back in a moment
        elif isinstance(target, ServiceTarget) and not _exists(cluster, target):
            assert isinstance(found, OutboundPolicy)
            assert attrs.evolve(found, settings=expected.settings) == expected
        else:
            assert found == expected, target


def _exists(cluster: Cluster, target: ServiceTarget) -> bool:
    return ("", "Service", target.namespace, target.name) in cluster.good


@law
@given(histories)
def test_who_stops_watching_leaves_nothing(history: Sequence[Sequence[Step]]) -> None:
    """Whenever they do."""
    cluster = Cluster()
    watcher = Watcher(OutboundIndex(CONFIG))
    for batch in history:
        watcher.watch_all()
        watcher.check(watcher.index.apply([event for step in batch for event in cluster.perform(step)]))
    for target in watcher.answers:
        watcher.index.unwatch(target)
    statistics = watcher.index.statistics()
    assert (statistics.targets, statistics.service_port_route_index) == (0, {})
    for target in TARGETS:
        assert plain(watcher.index.lookup(target)) == plain(rebuilt(cluster).lookup(target))


@law
@given(histories)
def test_a_proxy_takes_every_answer(history: Sequence[Sequence[Step]]) -> None:
    """None breaks a rule over which it would refuse the whole policy, and the bytes say what the answer says."""
    cluster, index, encoder = Cluster(), OutboundIndex(CONFIG), OutboundEncoder(DIALECT)
    for batch in history:
        index.apply([event for step in batch for event in cluster.perform(step)])
    for target in TARGETS:
        answer = index.lookup(target)
        if answer is not None:
            policy = pb.OutboundPolicy.FromString(encoder.encode(answer))
            assert policy == to_outbound_policy(answer.value, DIALECT)
            assert not list(complaints(policy)), target
