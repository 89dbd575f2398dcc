"""Which watched ports get which answer.

    Watch ───▶ WatchedPort ────▶ Cell ────────▶ Answer
    a target   a port of a       all ports that
               Group of equal    are told the
               workloads         same

Thousands of targets stand on a few watched ports, and those on a few cells. A policy that changes touches the cells of
its Servers; a Server that claims other ports moves watched ports between cells; a workload whose labels change moves
its watches.
"""

from __future__ import annotations

import attrs

from controller.core.answer import Answer
from controller.core.inbound import InboundServer, PortTarget
from controller.index.parse.servers import ServerForm
from controller.index.parse.workloads import WorkloadShape

# Probe routes are all that may differ between two ports under one policy.
Probes = tuple[str, ...]


@attrs.define(eq=False)
class Cell:
    """An answer and the watched ports that get it. Without any it is only kept in case somebody asks again."""

    answer: Answer[InboundServer]
    ports: set[WatchedPort] = attrs.field(factory=set["WatchedPort"], init=False)


@attrs.define(eq=False)
class ServerEntry:
    """A Server, and its cells."""

    form: ServerForm
    # Its policy without default routes, and what was made of that. `None` until somebody asks, and again when any part
    # of the policy changes.
    policy: InboundServer | None = attrs.field(default=None, init=False)
    cells: dict[Probes, Cell] = attrs.field(factory=dict[Probes, Cell], init=False)


@attrs.define(eq=False)
class Group:
    """Workloads of one namespace that no Server tells apart."""

    shape: WorkloadShape
    labels: dict[str, str]  # of those that selectors mention
    claims: dict[int, ServerEntry]
    ports: dict[int, WatchedPort] = attrs.field(factory=dict[int, "WatchedPort"], init=False)


@attrs.define(eq=False)
class WatchedPort:
    """One port of a group, while somebody watches it on at least one of the workloads."""

    group: Group
    number: int
    cell: Cell
    targets: set[PortTarget] = attrs.field(factory=set[PortTarget], init=False)

    @classmethod
    def of(cls, group: Group, number: int, cell: Cell) -> WatchedPort:
        """Begin watching a port."""
        port = group.ports[number] = cls(group, number, cell)
        cell.ports.add(port)
        return port

    def move_to(self, cell: Cell) -> None:
        self.cell.ports.discard(self)
        self.cell = cell
        cell.ports.add(self)


@attrs.define(eq=False)
class Watch:
    """A target that somebody watches. Without `port` there is no answer: its workload is gone, or never was."""

    target: PortTarget
    count: int = 0
    port: WatchedPort | None = None

    @property
    def answer(self) -> Answer[InboundServer] | None:
        return None if self.port is None else self.port.cell.answer

    def attach(self, port: WatchedPort) -> None:
        self.port = port
        port.targets.add(self.target)

    def detach(self) -> None:
        """Leave the port; the last one to leave takes it down."""
        port, self.port = self.port, None
        assert port is not None  # nobody leaves twice
        port.targets.discard(self.target)
        if not port.targets:
            port.cell.ports.discard(port)
            del port.group.ports[port.number]
