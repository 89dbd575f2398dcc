"""Whether everything that exists is known."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

import attrs

from controller.core.answer import Answer
from controller.indexer.publications import Observer, Publications
from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType
from controller.runtime.initialized import Handle, Initialized

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")


@attrs.frozen(eq=False)
class Knowledge:
    """The kinds of which no completed list has been taken in yet.

    It only ever grows: a kind that is listed once stays known, however stale it may become later. Freshness is another
    question, and has its own answer.
    """

    _initialized: Initialized
    _handles: Mapping[type[Resource], Handle]

    @classmethod
    def of(cls, kinds: Iterable[ResourceType[Resource]], now: Callable[[], float]) -> Knowledge:
        """Nothing is known of these kinds yet."""
        initialized = Initialized(now)
        return cls(initialized, {kind.model: initialized.add_handle(_name(kind)) for kind in kinds})

    def listed(self, kind: type[Resource]) -> None:
        """A completed list of the kind has been taken in."""
        self._handles[kind].release()

    @property
    def ready(self) -> bool:
        """Whether "there is no such thing" can be said and meant."""
        return self._initialized.is_complete

    def missing(self) -> str | None:
        """What is not known yet, for people, or `None`."""
        outstanding = self._initialized.statistics()
        return f"no complete list yet of {', '.join(each.name for each in outstanding)}" if outstanding else None

    async def wait_complete(self) -> None:
        await self._initialized.wait_complete()


def _name(kind: ResourceType[Resource]) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


@attrs.frozen(eq=False)
class Policies(Generic[T, V]):
    """Publications together with whether they can be trusted: what the policy API asks."""

    _publications: Publications[T, V]
    _knowledge: Knowledge

    @property
    def ready(self) -> bool:
        return self._knowledge.ready

    def lookup(self, target: T, /) -> Answer[V] | None:
        return self._publications.lookup(target)

    def subscribe(self, target: T, observer: Observer[V], /) -> tuple[Answer[V] | None, Callable[[], None]]:
        return self._publications.subscribe(target, observer)


@attrs.frozen(eq=False)
class Destinations(Policies[T, V]):
    """The same for an index that knows some targets by another name."""

    _resolve: Callable[[T], T]

    def resolve(self, target: T, /) -> T:
        """The target that is watched for this one."""
        return self._resolve(target)
