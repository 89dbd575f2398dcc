"""Whether everything that exists is known."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

import attrs
import trio

from controller.core.answer import Answer
from controller.indexer.publications import Observer, Publications
from controller.k8s.meta import Resource
from controller.k8s.resource import ResourceType

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")


@attrs.define(eq=False)
class Knowledge:
    """The kinds of which no completed list has been taken in yet.

    It only ever grows: a kind that is listed once stays known, however stale it may become later. Freshness is another
    question, and has its own answer.
    """

    _missing: dict[type[Resource], str]
    _complete: trio.Event = attrs.field(factory=trio.Event, init=False)

    @classmethod
    def of(cls, kinds: Iterable[ResourceType[Resource]]) -> Knowledge:
        """Nothing is known of these kinds yet."""
        return cls({kind.model: f"{kind.plural}.{kind.group}" if kind.group else kind.plural for kind in kinds})

    def __attrs_post_init__(self) -> None:
        if not self._missing:
            self._complete.set()

    def listed(self, kind: type[Resource]) -> None:
        """A completed list of the kind has been taken in."""
        if self._missing.pop(kind, None) is not None and not self._missing:
            self._complete.set()

    @property
    def ready(self) -> bool:
        """Whether "there is no such thing" can be said and meant."""
        return not self._missing

    def missing(self) -> str | None:
        """What is not known yet, for people, or `None`."""
        return f"no complete list yet of {', '.join(self._missing.values())}" if self._missing else None

    async def wait_complete(self) -> None:
        await self._complete.wait()


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
