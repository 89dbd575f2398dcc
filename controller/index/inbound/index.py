"""What holds for each port of each workload.

Theory of operation
===================

There are two layers of state:

1) What exists: workloads, Servers, the parts of their policies, authentications. Only events change it, and events do
   nothing else but note what they touched. An event that touches nothing that is watched ends here.
2) What follows: policies and answers. They are derived from the first layer alone when a batch has been taken in, and
   only where somebody watches. A unary question derives what it needs; what it found may be found again for a while.

So an answer cannot depend on the order in which resources came. The targets that changed are found by comparing
answers, never by reasoning about events.

Answers are shared as far as they are equal: see `cells`. This package does no I/O, reads no clock and writes no log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import attrs

from controller.core.answer import Answer
from controller.core.inbound import InboundServer, PortTarget, WorkloadKind
from controller.index.inbound.cells import Cell, Watch
from controller.index.inbound.kinds import ROWS
from controller.index.inbound.resources import Resources
from controller.index.inbound.statistics import InboundStatistics
from controller.index.inbound.survey import ProbeSurvey, ServerSurvey
from controller.index.parse.invalid import Invalid
from controller.index.parse.servers import ServerForm
from controller.k8s.events import Applied, Deleted, Event, Reset
from controller.k8s.meta import ObjectKey, Resource

KINDS: frozenset[type[Resource]] = frozenset(ROWS)  # what an inbound index wants to hear of


@attrs.define(eq=False)
class InboundIndex:
    """Answers questions about ports; says after each batch of events which watched answers changed."""

    _resources: Resources = attrs.field(converter=Resources)
    _watches: dict[PortTarget, Watch] = attrs.field(factory=dict[PortTarget, Watch], init=False)
    # Resources whose latest form means nothing; the form before it holds on.
    _invalid: dict[tuple[type[Resource], ObjectKey], Invalid] = attrs.field(
        factory=dict[tuple[type[Resource], ObjectKey], Invalid], init=False
    )

    def lookup(self, target: PortTarget) -> Answer[InboundServer] | None:
        """The answer for a target, `None` if there is no such workload. Nothing is kept for the target."""
        namespace = self._resources.namespaces.get(target.namespace)
        cell = None if namespace is None else namespace.workloads(target.kind).cell_of(target)
        return None if cell is None else cell.answer

    def watch(self, target: PortTarget) -> Answer[InboundServer] | None:
        """Keep the target's answer fresh until as many calls of `unwatch`, and return it.

        When the workload goes the watch ends, and has no answer even if the workload comes back: one has to watch anew.
        """
        watch = self._watches.get(target)
        if watch is None:
            watch = self._watches[target] = Watch(target)
        watch.count += 1
        if watch.port is None:
            namespace = self._resources.namespaces.get(target.namespace)
            if namespace is not None:
                namespace.workloads(target.kind).attach(watch)
        return watch.answer

    def unwatch(self, target: PortTarget) -> None:
        """End one `watch` of the target."""
        watch = self._watches[target]
        watch.count -= 1
        if watch.count == 0:
            del self._watches[target]
            if watch.port is not None:
                self._resources.namespaces[target.namespace].workloads(target.kind).detach(watch)

    def answer(self, target: PortTarget) -> Answer[InboundServer] | None:
        """The current answer of a watched target; `None` when its watch has ended."""
        return self._watches[target].answer

    def apply(self, events: Sequence[Event]) -> frozenset[PortTarget]:
        """Take in a batch of events; return the watched targets that have another answer now."""
        for event in events:
            match event:
                case Applied(resource):
                    self._apply(resource)
                case Deleted(kind, key):
                    self._remove(kind, key)
                case Reset(kind, resources, removed):
                    for resource in resources:
                        self._apply(resource)
                    for key in removed:
                        self._remove(kind, key)
                case _:
                    assert_never(event)
        return self._resources.settle().targets()

    def _apply(self, resource: Resource) -> None:
        kind, key = type(resource), resource.key
        row = ROWS[kind]
        try:
            form = row.parse(self._resources, resource)
        except Invalid as invalid:
            self._invalid[kind, key] = invalid
            return
        if self._invalid:
            self._invalid.pop((kind, key), None)
        row.put(self._resources, key, form)

    def _remove(self, kind: type[Resource], key: ObjectKey) -> None:
        self._invalid.pop((kind, key), None)
        ROWS[kind].put(self._resources, key, None)

    def namespaces(self) -> tuple[str, ...]:
        return tuple(self._resources.namespaces)

    def check(self, namespace: str) -> frozenset[PortTarget]:
        """Derive the watched answers of a namespace from scratch; return the targets that were told something else.

        There are none, or this package has a bug. It costs as much as the first lists did, so not to be done often.
        """
        lived = self._resources.namespaces.get(namespace)
        if lived is None:
            return frozenset()
        fresh = lived.rebuilt()
        return frozenset(
            watch.target
            for kind in WorkloadKind
            for watch in lived.workloads(kind).watches()
            if not _agree(watch.answer, fresh.workloads(kind).cell_of(watch.target))
        )

    def survey_server(self, namespace: str, form: ServerForm) -> ServerSurvey:
        """What a Server of this form would find, whether or not there is one of that name already."""
        found = self._resources.namespaces.get(namespace)
        return ServerSurvey(0, 0) if found is None else found.workloads(form.selects).survey(form)

    def survey_probes(self, namespace: str, server: str) -> ProbeSurvey | None:
        """What a route for a Server would put an end to; `None` if there is no such Server."""
        found = self._resources.namespaces.get(namespace)
        return None if found is None else found.survey_probes(server)

    def invalid(self) -> Mapping[tuple[type[Resource], ObjectKey], Invalid]:
        """The resources whose latest form means nothing, and why; what they said before still holds."""
        return dict(self._invalid)

    def statistics(self) -> InboundStatistics:
        return InboundStatistics(
            namespaces={name: namespace.counts() for name, namespace in self._resources.namespaces.items()},
            authentications=self._resources.authentications.counts(),
            watched=len(self._watches),
            invalid=len(self._invalid),
        )


def _agree(told: Answer[InboundServer] | None, cell: Cell | None) -> bool:
    return told is not None and cell is not None and told.value == cell.answer.value
