"""Who is told when an answer changes: subscriptions to one index."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

import attrs

from controller.core.answer import Answer
from controller.k8s.events import Event

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Observer: TypeAlias = Callable[[Answer[V] | None], None]


class PolicyIndex(Protocol[T, V_co]):
    """What the indexer needs of an index; all of it is pure and returns at once."""

    def apply(self, events: Sequence[Event]) -> Iterable[T]:
        """Take the events in and say which watched targets have another answer now."""
        ...

    def watch(self, target: T) -> Answer[V_co] | None:
        """Keep the target's answer fresh until as many `unwatch` calls; `None` where there is none."""
        ...

    def unwatch(self, target: T) -> None: ...

    def answer(self, target: T) -> Answer[V_co] | None:
        """The current answer of a watched target; `None` ends its streams."""
        ...

    def lookup(self, target: T) -> Answer[V_co] | None:
        """Derive an answer once and keep nothing."""
        ...


@attrs.frozen
class PublicationsStatistics:
    targets: int
    subscriptions: int
    published: int


@attrs.define(eq=False)
class Publications(Generic[T, V]):
    """The subscriptions to one index.

    An observer is a plain function that puts the answer into its stream's slot: it neither waits nor raises, so
    publishing to thousands of streams wakes no task but the writers of their connections.
    """

    index: PolicyIndex[T, V]
    _observers: dict[T, dict[int, Observer[V]]] = attrs.field(factory=dict[T, "dict[int, Observer[V]]"], init=False)
    _next_id: int = attrs.field(default=0, init=False)
    _subscriptions: int = attrs.field(default=0, init=False)
    _published: int = attrs.field(default=0, init=False)

    def lookup(self, target: T) -> Answer[V] | None:
        return self.index.lookup(target)

    def subscribe(self, target: T, observer: Observer[V]) -> tuple[Answer[V] | None, Callable[[], None]]:
        """Return the answer of now and a function that ends the subscription.

        The observer hears of every later answer, and of `None` when there is none any more. For a target without an
        answer nothing is subscribed, and the returned function does nothing.
        """
        answer = self.index.watch(target)
        if answer is None:
            self.index.unwatch(target)
            return None, _nothing
        self._next_id += 1
        number = self._next_id
        self._observers.setdefault(target, {})[number] = observer
        self._subscriptions += 1
        return answer, lambda: self._unsubscribe(target, number)

    def _unsubscribe(self, target: T, number: int) -> None:
        observers = self._observers.get(target)
        if observers is None or observers.pop(number, None) is None:
            return  # it ended before: a second call is harmless
        if not observers:
            del self._observers[target]
        self._subscriptions -= 1
        self.index.unwatch(target)

    def apply(self, events: Sequence[Event]) -> None:
        """Let the index take events in, and tell whoever is concerned."""
        self.publish(self.index.apply(events))

    def publish(self, changed: Iterable[T]) -> None:
        """Tell the observers of these targets. Observers may unsubscribe while they are told."""
        answer_of = self.index.answer
        for target in changed:
            observers = self._observers.get(target)
            if observers is None:
                continue  # its last stream ended within this very batch
            answer = answer_of(target)
            for observer in tuple(observers.values()):
                observer(answer)
            self._published += len(observers)

    def statistics(self) -> PublicationsStatistics:
        return PublicationsStatistics(len(self._observers), self._subscriptions, self._published)


def _nothing() -> None:
    return None
