"""What callers are told about where they connect to.

Theory of operation
===================

There are two layers of state, and they change for different reasons:

1) *Primary*: the `OutboundWorld` of Services, EgressNetworks and routes. Only events change it.
2) *Derived*: an `Entry` for each watched port of a Service or an EgressNetwork, with the answers of its callers. They
   are derived from the primary state and from nothing else, and what has changed is found by comparing.

The world marks what a batch of events may have changed; each entry under a mark is derived once, at the end of the
batch. Ports that nobody watches have no entry; a unary question derives its answer and keeps nothing.

What a target is
================

A name means a Service, whether it exists or not. So does an address of a Service with a port that it declares:
`resolve` turns it into the name, and from then on the watch follows the Service, wherever its addresses go. Any other
address is looked up again whenever something about it changes. When something else is found behind it (another
EgressNetwork, none any more, a port that is declared now), its watches end and the callers have to ask again; while it
stays the same, its policy is kept fresh like any other.

Two things are kept although they are gone, because they may be back in a moment and a proxy that is told "not found"
does not ask again: a deleted Service's settings, as long as somebody watches a port of it; and a refusal to connect to
a port that a deleted Service did not declare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import attrs

from controller.core.answer import Answer
from controller.core.cluster import ClusterConfig
from controller.core.outbound import (
    AddressTarget,
    EgressFallback,
    OutboundAnswer,
    OutboundTarget,
    ServiceParent,
    ServiceTarget,
    UndefinedPort,
)
from controller.index.outbound.audit import audit
from controller.index.outbound.entries import Entry, Place, PortKey, PortState, WatchedTarget, answer_at
from controller.index.outbound.loose import LooseTargets
from controller.index.outbound.world import Marks, OutboundWorld
from controller.index.parse.destinations import NO_SETTINGS
from controller.index.parse.parents import ParentKey, ParentKind
from controller.k8s.events import Event

MAX_RECENT = 1_024  # ports of existing parents that were asked about and are not watched; about 2 KB each


@attrs.frozen
class OutboundStatistics:
    """Sizes, in the words of the metrics that show them."""

    service_index: int
    service_info_index: int
    service_route_index: Mapping[str, int]  # by namespace
    service_port_route_index: Mapping[str, int]  # by namespace
    targets: int


class OutboundIndex:
    """Answers what proxies ask about; says after each batch of events which of the watched answers changed."""

    def __init__(self, config: ClusterConfig) -> None:
        self._global_namespace = config.global_egress_network_namespace
        self._world = OutboundWorld(config)
        self._watched: dict[OutboundTarget, WatchedTarget] = {}
        self._entries: dict[ParentKey, dict[int, Entry]] = {}  # by port
        self._recent: dict[PortKey, Entry] = {}
        self._loose = LooseTargets()

    def apply(self, events: Sequence[Event]) -> frozenset[OutboundTarget]:
        """Take events in; return the watched targets whose answer changed, and those that ended."""
        marks = self._world.apply(events)
        if marks:
            self._recent.clear()
        changed = {watched.target for watched in self._suspects(marks) if self._moved(watched)}
        for entry in self._marked(marks):
            changed.update(entry.refresh(self._world.state(entry.key), self._world.routes(entry.key)))
        return frozenset(changed)

    def resolve(self, target: OutboundTarget) -> OutboundTarget:
        """The target to watch: an address that is a Service's, with a port of it, is known by the Service's name."""
        if isinstance(target, AddressTarget):
            match self._world.place(target):
                case PortKey(ParentKey(ParentKind.SERVICE, namespace, name), port):
                    return ServiceTarget(target.source_namespace, namespace, name, port)
                case _:
                    pass
        return target

    def watch(self, target: OutboundTarget) -> Answer[OutboundAnswer] | None:
        """Keep the target's answer fresh until as many `unwatch` calls. `None`: there is nothing behind it."""
        watched = self._watched.get(target)
        if watched is None:
            watched = self._watched[target] = WatchedTarget(target)
        watched.watchers += 1
        if watched.answer is None:
            self._attach(watched, self._world.place(target))
        return watched.answer

    def unwatch(self, target: OutboundTarget) -> None:
        watched = self._watched[target]
        watched.watchers -= 1
        if not watched.watchers:
            self._detach(watched)
            del self._watched[target]

    def answer(self, target: OutboundTarget) -> Answer[OutboundAnswer] | None:
        """The current answer of a watched target; `None` if it ended, and has to be asked about again."""
        return self._watched[target].answer

    def lookup(self, target: OutboundTarget) -> Answer[OutboundAnswer] | None:
        """The answer as of now. Nothing is kept for the target."""
        match self._world.place(target):
            case PortKey() as key:
                entry = self._entries.get(key.parent, {}).get(key.port) or self._passing_entry(key)
                return answer_at(target, entry.answer(target.source_namespace))
            case place:
                return None if place is None else Answer(place)

    def _attach(self, watched: WatchedTarget, place: Place | None) -> None:
        watched.place = place
        match place:
            case PortKey() as key:
                self._entry(key).attach(watched)
            case UndefinedPort() | EgressFallback():
                watched.answer = Answer(place)
            case None:
                return
            case _:
                assert_never(place)
        self._loose.add(watched)

    def _detach(self, watched: WatchedTarget) -> None:
        self._loose.discard(watched)
        if isinstance(watched.place, PortKey):
            ports = self._entries[watched.place.parent]
            entry = ports[watched.place.port]
            entry.detach(watched)
            if not entry.watched:
                del ports[watched.place.port]
                if not ports:
                    del self._entries[watched.place.parent]
        watched.place = watched.answer = None

    def _entry(self, key: PortKey) -> Entry:
        ports = self._entries.setdefault(key.parent, {})
        entry = ports.get(key.port)
        if entry is None:
            entry = ports[key.port] = self._new_entry(key)
        return entry

    def _passing_entry(self, key: PortKey) -> Entry:
        """An entry that nobody watches; until anything changes, whoever asks next finds it again with its answers."""
        entry = self._recent.get(key)
        if entry is None:
            entry = self._new_entry(key)
            if self._world.state(key) is not None:  # anybody can ask for any number of names that mean nothing
                if len(self._recent) >= MAX_RECENT:
                    self._recent.clear()
                self._recent[key] = entry
        return entry

    def _new_entry(self, key: PortKey) -> Entry:
        state = self._world.state(key)
        if state is None:  # only Services are known by name before they exist
            state = PortState(ServiceParent(key.parent.namespace, key.parent.name), NO_SETTINGS)
        return Entry(key, state, self._world.routes(key))

    def _marked(self, marks: Marks) -> Iterator[Entry]:
        entries = dict[PortKey, Entry]()
        for parent, port in marks.ports:
            for entry in self._entries.get(parent, {}).values():
                if port is None or port == entry.key.port:
                    entries[entry.key] = entry
        return iter(entries.values())

    def _suspects(self, marks: Marks) -> Sequence[WatchedTarget]:
        return self._loose.at(marks.addresses, None if self._global_namespace in marks.callers else marks.callers)

    def _moved(self, watched: WatchedTarget) -> bool:
        """Look a watched address up again, and end its watches if something else is there now."""
        if watched.stays(self._world.place(watched.target)):
            return False
        self._detach(watched)
        return True

    def namespaces(self) -> frozenset[str]:
        """Where something is watched, or somebody watches addresses."""
        return frozenset(parent.namespace for parent in self._entries) | self._loose.namespaces()

    def check(self, namespace: str) -> frozenset[OutboundTarget]:
        """The watched targets of a namespace that were told something else than a fresh look at everything gives."""
        return frozenset(audit(namespace, self._world, self._entries, self._loose.at((), (namespace,))))

    def statistics(self) -> OutboundStatistics:
        ports = dict[str, int]()
        for parent, entries in self._entries.items():
            ports[parent.namespace] = ports.get(parent.namespace, 0) + len(entries)
        return OutboundStatistics(
            service_index=self._world.addresses,
            service_info_index=self._world.destinations,
            service_route_index=self._world.portless_http,
            service_port_route_index=ports,
            targets=len(self._watched),
        )
