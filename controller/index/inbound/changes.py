"""Which watched targets a batch of events gives another answer.

When things are settled after a batch, every answer that is about to be replaced or left is noted here first, once:
cells are renewed, then ports moved, then watches. At the end the answers of then and of now are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from controller.core.answer import Answer
from controller.core.inbound import InboundServer, PortTarget
from controller.index.inbound.cells import Cell, Watch, WatchedPort


@attrs.define(eq=False)
class Changes:
    """The answers before this batch, of all that it changes."""

    _cells: dict[Cell, Answer[InboundServer]] = attrs.field(factory=dict[Cell, "Answer[InboundServer]"], init=False)
    _ports: dict[WatchedPort, Answer[InboundServer]] = attrs.field(
        factory=dict[WatchedPort, "Answer[InboundServer]"], init=False
    )
    _watches: dict[Watch, Answer[InboundServer]] = attrs.field(factory=dict[Watch, "Answer[InboundServer]"], init=False)
    _ended: set[PortTarget] = attrs.field(factory=set[PortTarget], init=False)

    def end(self, targets: Iterable[PortTarget]) -> None:
        """Their workload has gone. That it has come back does not count: its streams end."""
        self._ended.update(targets)

    def renew(self, cell: Cell, value: InboundServer) -> None:
        """Give a cell the answer of now; an equal one keeps its identity."""
        if value != cell.answer.value:
            self._cells[cell] = cell.answer
            cell.answer = Answer(value)

    def move_port(self, port: WatchedPort, cell: Cell) -> None:
        if port.cell is not cell:
            self._ports[port] = self._before(port)
            port.move_to(cell)

    def move_watch(self, watch: Watch, port: WatchedPort) -> None:
        if watch.port is not port:
            assert watch.port is not None  # only those are moved that are somewhere
            self._watches[watch] = self._before(watch.port)
            watch.detach()
            watch.attach(port)

    def _before(self, port: WatchedPort) -> Answer[InboundServer]:
        return self._ports.get(port) or self._cells.get(port.cell) or port.cell.answer

    def targets(self) -> frozenset[PortTarget]:
        """The watched targets that have another answer now."""
        changed: set[PortTarget] = set()
        for port in {*self._ports, *(port for cell in self._cells for port in cell.ports)}:
            if _differs(port.cell.answer, self._before(port)):
                changed |= port.targets
        for watch, before in self._watches.items():  # it is on its port since now, and was told something else before
            if watch.answer is not None and _differs(watch.answer, before):
                changed.add(watch.target)
            else:
                changed.discard(watch.target)
        return frozenset(changed | self._ended)


def _differs(answer: Answer[InboundServer], before: Answer[InboundServer]) -> bool:
    return answer is not before and answer.value != before.value
