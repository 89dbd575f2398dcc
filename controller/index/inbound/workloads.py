"""The workloads of one kind in one namespace, and the watches on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import attrs
import msgspec

from controller.core.inbound import PortTarget
from controller.index.inbound.cells import Cell, Group, ServerEntry, Watch, WatchedPort
from controller.index.inbound.changes import Changes
from controller.index.inbound.claims import Claims
from controller.index.inbound.survey import LOOKED_AT, ServerSurvey
from controller.index.parse.servers import ServerForm
from controller.index.parse.workloads import WorkloadShape

CellOf: TypeAlias = Callable[[Group, int], Cell]


class Workload(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a workload. There are tens of thousands, so the collector is not to look at them."""

    labels: dict[str, str]
    shape: WorkloadShape


@attrs.define(eq=False)
class Workloads:
    """Workloads by name. What happens to one that nobody watches costs a look into two dictionaries."""

    _cell_of: CellOf
    _members: dict[str, Workload] = attrs.field(factory=dict[str, Workload], init=False)
    _claims: Claims = attrs.field(factory=Claims, init=False)
    # The watches on the ports of each workload.
    _watches: dict[str, dict[int, Watch]] = attrs.field(factory=dict[str, "dict[int, Watch]"], init=False)

    # Since the last time that things were settled: watched workloads that look different now, groups to which a Server
    # came or from which one went, targets whose workload has gone.
    _altered: dict[str, None] = attrs.field(factory=dict[str, None], init=False)
    _disputed: dict[Group, None] = attrs.field(factory=dict[Group, None], init=False)
    _ended: list[PortTarget] = attrs.field(factory=list[PortTarget], init=False)

    def __len__(self) -> int:
        return len(self._members)

    def members(self) -> Iterable[tuple[str, Workload]]:
        return self._members.items()

    def watches(self) -> Iterator[Watch]:
        """Every watch that has an answer."""
        for watches in self._watches.values():
            yield from watches.values()

    def put(self, name: str, workload: Workload) -> bool:
        """Set a workload; say whether somebody should be told."""
        if self._members.get(name) == workload:
            return False
        self._members[name] = workload
        if name not in self._watches:
            return False
        self._altered[name] = None
        return True

    def remove(self, name: str) -> None:
        """Remove a workload, if there is one, and end the watches on it."""
        self._members.pop(name, None)
        for watch in self._watches.pop(name, {}).values():
            watch.detach()
            self._ended.append(watch.target)

    def add_server(self, server: ServerEntry) -> None:
        self._claims.add(server)
        self._dispute(server)

    def remove_server(self, server: ServerEntry) -> None:
        self._claims.remove(server)
        self._dispute(server)

    def _dispute(self, server: ServerEntry) -> None:
        self._disputed.update(dict.fromkeys(self._claims.selected_by(server.form.selector)))

    def cell_of(self, target: PortTarget) -> Cell | None:
        """What a target is told, whether or not it is watched; `None` if there is no such workload."""
        workload = self._members.get(target.name)
        if workload is None:
            return None
        return self._cell_of(self._group_of(workload), target.port)

    def _group_of(self, workload: Workload) -> Group:
        return self._claims.group_of(workload.labels, workload.shape)

    def survey(self, form: ServerForm) -> ServerSurvey:
        """What a Server of this form finds here, whether or not there is a Server of that name already."""
        selected = [workload for workload in self._members.values() if form.selector.matches(workload.labels)]
        without_port, held = 0, Counter[str]()
        looked_at = selected[:LOOKED_AT]
        for (shape, labels), count in self._alike(looked_at):
            ports = form.ports_of(shape.named_ports)
            without_port += 0 if ports else count
            claims = self._claims.claims_of(labels, shape, without=form.name)
            first = {claims[port] for port in ports if port in claims}
            held.update({e.form.name: count for e in first if e.form.precedence < form.precedence})
        return ServerSurvey(len(self._members), len(selected), without_port, len(looked_at), held)

    def probes_of(self, form: ServerForm) -> set[str]:
        """The paths that kubelets probe on the ports that a Server governs."""
        selected = [workload for workload in self._members.values() if form.selector.matches(workload.labels)]
        paths = set[str]()
        for (shape, labels), _ in self._alike(selected[:LOOKED_AT]):
            for number, entry in self._claims.claims_of(labels, shape).items():
                if entry.form.name == form.name:
                    paths.update(shape.probes.get(number, ()))
        return paths

    def _alike(self, workloads: Iterable[Workload]) -> Iterable[tuple[tuple[WorkloadShape, dict[str, str]], int]]:
        """Shapes and labels, one for all workloads that no Server tells apart, and how many these are."""
        looks = dict[tuple[object, ...], tuple[WorkloadShape, dict[str, str]]]()
        counts = Counter[tuple[object, ...]]()
        for workload in workloads:
            key = (id(workload.shape), *self._claims.looks_of(workload.labels))
            looks.setdefault(key, (workload.shape, workload.labels))
            counts[key] += 1
        return [(looks[key], count) for key, count in counts.items()]

    def attach(self, watch: Watch) -> None:
        """Put a watch where its answer is, if there is such a workload."""
        target = watch.target
        workload = self._members.get(target.name)
        if workload is not None:
            watch.attach(self._port_of(self._group_of(workload), target.port))
            self._watches.setdefault(target.name, {})[target.port] = watch

    def detach(self, watch: Watch) -> None:
        """Take a watch away that has an answer."""
        target = watch.target
        watch.detach()
        watches = self._watches[target.name]
        del watches[target.port]
        if not watches:
            del self._watches[target.name]

    def _port_of(self, group: Group, number: int) -> WatchedPort:
        return group.ports.get(number) or WatchedPort.of(group, number, self._cell_of(group, number))

    def settle(self, changes: Changes) -> None:
        """Put every watch where its answer is now."""
        changes.end(self._ended)
        self._ended.clear()
        if self._claims.stale:
            self._claims.regroup()
            self._altered.update(dict.fromkeys(self._watches))
        for group in self._disputed:
            if self._claims.renew(group):
                for port in group.ports.values():
                    changes.move_port(port, self._cell_of(group, port.number))
        self._disputed.clear()
        for name in self._altered:
            if name in self._watches:  # else it went later in the same batch
                self._regroup(name, changes)
        self._altered.clear()

    def _regroup(self, name: str, changes: Changes) -> None:
        group = self._group_of(self._members[name])
        for number, watch in self._watches[name].items():
            changes.move_watch(watch, self._port_of(group, number))
