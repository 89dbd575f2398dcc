"""The ports that somebody watches: what each of their callers is told, and who listens.

Callers of different namespaces see different routes only where some of those namespaces have routes of their own. All
others share one answer, and with it its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import attrs

from controller.core.answer import Answer
from controller.core.outbound import (
    AddressTarget,
    EgressFallback,
    EgressNetworkParent,
    EgressPolicy,
    OutboundAnswer,
    OutboundPolicy,
    OutboundTarget,
    Parent,
    TrafficSettings,
    UndefinedPort,
)
from controller.index.outbound.routes import AttachedRoute
from controller.index.parse.parents import ParentKey


class PortKey(NamedTuple):
    """A port of a Service or of an EgressNetwork."""

    parent: ParentKey
    port: int


# What stands behind a target; nothing at all is `None`.
Place: TypeAlias = PortKey | UndefinedPort | EgressFallback


@attrs.frozen
class PortState:
    """What the policy of a port is made of besides its routes."""

    parent: Parent
    settings: TrafficSettings


@attrs.define(eq=False)
class WatchedTarget:
    """A target that somebody watches. Without an answer it has ended, and waits for its watchers to notice."""

    target: OutboundTarget
    watchers: int = 0
    place: Place | None = None
    answer: Answer[OutboundAnswer] | None = None

    def stays(self, place: Place | None) -> bool:
        """Whether it is still the same, if this is what stands behind it now.

        A refused port stays refused when its Service is gone.
        """
        return place == self.place or (place is None and isinstance(self.place, UndefinedPort))


@attrs.define(eq=False)
class Caller:
    """The callers of one namespace: their answer, and the targets through which they are listening."""

    answer: Answer[OutboundPolicy]
    targets: dict[OutboundTarget, WatchedTarget] = attrs.field(factory=dict[OutboundTarget, WatchedTarget], init=False)


@attrs.define(eq=False)
class Entry:
    """A port: what it consists of now, and its callers."""

    key: PortKey
    _state: PortState
    _routes: Sequence[AttachedRoute]  # in order; also those that only some callers see
    _callers: dict[str, Caller] = attrs.field(factory=dict[str, Caller], init=False)  # by namespace
    # The answer of callers whose namespace has no routes here, once there has been one.
    _common: Answer[OutboundPolicy] | None = attrs.field(default=None, init=False)

    @property
    def watched(self) -> bool:
        return bool(self._callers)

    def answer(self, namespace: str) -> Answer[OutboundPolicy]:
        """What callers of a namespace are told."""
        caller = self._callers.get(namespace)
        return caller.answer if caller else self._answer(namespace, None)

    def attach(self, watched: WatchedTarget) -> None:
        namespace = watched.target.source_namespace
        caller = self._callers.get(namespace)
        if caller is None:
            caller = self._callers[namespace] = Caller(self._answer(namespace, None))
        caller.targets[watched.target] = watched
        watched.answer = answer_at(watched.target, caller.answer)

    def detach(self, watched: WatchedTarget) -> None:
        namespace = watched.target.source_namespace
        caller = self._callers[namespace]
        del caller.targets[watched.target]
        if not caller.targets:
            del self._callers[namespace]

    def refresh(self, state: PortState | None, routes: Sequence[AttachedRoute]) -> Iterator[OutboundTarget]:
        """Derive anew what every caller is told, and say through which targets they are told something else.

        Without a state the parent is gone, and what was last known of it stays.
        """
        self._state, self._routes = state or self._state, routes
        if self._common is not None:
            self._common = _same_or_new(self._common, self._policy(None))
        for namespace, caller in self._callers.items():
            answer = self._answer(namespace, caller.answer)
            if answer is not caller.answer:
                caller.answer = answer
                for target, watched in caller.targets.items():
                    watched.answer = answer_at(target, answer)
                    yield target

    def misinformed(self, state: PortState | None, routes: Sequence[AttachedRoute]) -> Iterator[OutboundTarget]:
        """The targets that are told something else than this state and these routes give."""
        fresh = Entry(self.key, state or self._state, routes)
        for namespace, caller in self._callers.items():
            if caller.answer.value != fresh.answer(namespace).value:
                yield from caller.targets

    def _answer(self, namespace: str, last: Answer[OutboundPolicy] | None) -> Answer[OutboundPolicy]:
        if any(route.namespace == namespace for route in self._routes) and namespace != self.key.parent.namespace:
            return _same_or_new(last, self._policy(namespace))
        if self._common is None:
            self._common = Answer(self._policy(None))
        return self._common

    def _policy(self, namespace: str | None) -> OutboundPolicy:
        """What callers of a namespace see: the routes of the parent's namespace and those of their own."""
        visible = (self.key.parent.namespace, namespace)
        routes = tuple([attached.route for attached in self._routes if attached.namespace in visible])
        return OutboundPolicy(self._state.parent, self.key.port, self._state.settings, routes)


def _same_or_new(last: Answer[OutboundPolicy] | None, policy: OutboundPolicy) -> Answer[OutboundPolicy]:
    return last if last is not None and last.value == policy else Answer(policy)


def answer_at(target: OutboundTarget, answer: Answer[OutboundPolicy]) -> Answer[OutboundAnswer]:
    """The answer as it is given to a target: behind an EgressNetwork, traffic goes on to the address it was for."""
    if isinstance(answer.value.parent, EgressNetworkParent) and isinstance(target, AddressTarget):
        return Answer(EgressPolicy(answer, target.address))
    return answer
