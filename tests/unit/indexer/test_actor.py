"""The indexer: batches in, answers out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import trio

from controller.core.answer import Answer
from controller.indexer.actor import Batch, Indexer
from controller.indexer.publications import Publications, PublicationsStatistics
from controller.k8s.builtin import Pod, Service
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, ObjectMeta


class Names:
    """An index whose answer for a name is the resourceVersion of the pod of that name."""

    def __init__(self) -> None:
        self.pods: dict[str, Answer[str]] = {}
        self.watched: list[str] = []
        self.applied: list[Batch] = []

    def apply(self, events: Sequence[Event]) -> Iterable[str]:
        self.applied.append(list(events))
        changed: dict[str, None] = {}
        for event in events:
            match event:
                case Applied(resource):
                    self.pods[resource.metadata.name] = Answer(resource.metadata.resource_version)
                    changed[resource.metadata.name] = None
                case Deleted(_, key):
                    self.pods.pop(key.name, None)
                    changed[key.name] = None
                case Reset(_, resources, removed):
                    for resource in resources:
                        self.pods[resource.metadata.name] = Answer(resource.metadata.resource_version)
                    for key in removed:
                        self.pods.pop(key.name, None)
        return [name for name in changed if name in self.watched]

    def watch(self, target: str) -> Answer[str] | None:
        self.watched.append(target)
        return self.pods.get(target)

    def unwatch(self, target: str) -> None:
        self.watched.remove(target)

    def answer(self, target: str) -> Answer[str] | None:
        return self.pods.get(target)

    def lookup(self, target: str) -> Answer[str] | None:
        return self.pods.get(target)


def pod(name: str, version: str = "1") -> Applied[Pod]:
    return Applied(Pod(metadata=ObjectMeta(name=name, namespace="ns", resource_version=version)))


def indexer(index: Names, resets: list[type] | None = None) -> tuple[Indexer, Publications[str, str]]:
    publications = Publications[str, str](index)
    done: list[type] = [] if resets is None else resets
    return Indexer(((frozenset({Pod}), publications),), done.append), publications


def test_an_observer_hears_of_later_answers_only() -> None:
    """A subscriber gets the answer of now as a result, and each later one through its observer."""
    actor, publications = indexer(Names())
    actor.apply([pod("a")])
    heard: list[str | None] = []

    answer, _ = publications.subscribe("a", lambda answer: heard.append(answer and answer.value))
    actor.apply([pod("a", "2"), pod("b")])

    assert answer is not None
    assert (answer.value, heard) == ("1", ["2"])


def test_a_target_that_goes_ends_with_none() -> None:
    """The observers of a target without an answer hear `None`."""
    actor, publications = indexer(Names())
    actor.apply([pod("a")])
    heard: list[Answer[str] | None] = []
    publications.subscribe("a", heard.append)

    actor.apply([Deleted(Pod, ObjectKey("ns", "a"))])

    assert heard == [None]


def test_an_unknown_target_is_not_subscribed() -> None:
    """For a target without an answer nothing is kept, and ending the subscription does nothing."""
    index = Names()
    _, publications = indexer(index)

    answer, unsubscribe = publications.subscribe("a", lambda _: None)
    unsubscribe()

    assert answer is None
    assert index.watched == []
    assert publications.statistics() == PublicationsStatistics(0, 0, 0)


def test_the_last_of_several_streams_ends_the_watch() -> None:
    """A target stays watched until its last subscription ends, and ending one twice changes nothing."""
    index = Names()
    actor, publications = indexer(index)
    actor.apply([pod("a")])
    _, first = publications.subscribe("a", lambda _: None)
    _, second = publications.subscribe("a", lambda _: None)

    first()
    first()
    between = list(index.watched)
    second()

    assert (between, index.watched) == (["a"], [])


def test_an_observer_may_unsubscribe_while_it_is_told() -> None:
    """A stream that ends because of what it hears does not disturb the others."""
    actor, publications = indexer(Names())
    actor.apply([pod("a")])
    heard: list[str] = []
    ends = []
    for name in ("first", "second"):

        def observe(_: Answer[str] | None, name: str = name) -> None:
            heard.append(name)
            for end in ends:
                end()

        ends.append(publications.subscribe("a", observe)[1])

    actor.apply([pod("a", "2")])
    actor.apply([pod("a", "3")])

    assert heard == ["first", "second"]


def test_a_kind_that_no_index_wants_is_left_out() -> None:
    """Events reach only the indexes that asked for their kind."""
    index = Names()
    actor, _ = indexer(index)

    actor.apply([Applied(Service(metadata=ObjectMeta(name="s"))), pod("a")])
    actor.apply([Applied(Service(metadata=ObjectMeta(name="s")))])

    assert index.applied == [[pod("a")]]


def test_a_completed_list_is_reported_after_it_was_taken_in() -> None:
    """Readiness hears of a list only when the index knows its objects."""
    index = Names()
    known: list[int] = []
    actor = Indexer(
        ((frozenset({Pod}), Publications[str, str](index)),), lambda kind: known.append((kind, len(index.pods)))
    )

    actor.apply([Reset(Pod, (pod("a").resource, pod("b").resource))])

    assert known == [(Pod, 2)]


async def test_batches_that_wait_are_one_derivation() -> None:
    """A burst is taken in as one batch."""
    index = Names()
    actor, _ = indexer(index)
    send, receive = trio.open_memory_channel[Batch](8)
    async with send:
        for name in ("a", "b", "c"):
            await send.send([pod(name)])
    await actor.run(receive)

    assert index.applied == [[pod("a"), pod("b"), pod("c")]]
    assert actor.statistics().events == 3
