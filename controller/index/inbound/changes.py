"""Which watched targets a batch of events gives another answer.

While a batch is taken in, every answer that is about to be replaced or left is noted here first; at the end the answers
of then and of now are compared. Whatever happened in between does not count.
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
            self._cells.setdefault(cell, cell.answer)
            cell.answer = Answer(value)

    def move_port(self, port: WatchedPort, cell: Cell) -> None:
        if port.cell is not cell:
            self._ports.setdefault(port, self._before(port))
            port.move_to(cell)

    def move_watch(self, watch: Watch, port: WatchedPort) -> None:
        if watch.port is not None and watch.port is not port:
            self._watches.setdefault(watch, self._before(watch.port))
            watch.detach()
            watch.attach(port)

    def _before(self, port: WatchedPort) -> Answer[InboundServer]:
        return self._ports.get(port) or self._cells.get(port.cell) or port.cell.answer

    def targets(self) -> frozenset[PortTarget]:
        """The watched targets that have another answer now."""
        changed = set(self._ended)
        for cell in self._cells:
            for port in cell.ports:
                if port not in self._ports:
                    self._add(port, changed)
        for port, before in self._ports.items():
            if _differs(port.cell.answer, before):
                self._add(port, changed)
        for watch, before in self._watches.items():
            if watch.answer is not None and _differs(watch.answer, before):
                changed.add(watch.target)
        return frozenset(changed)

    def _add(self, port: WatchedPort, changed: set[PortTarget]) -> None:
        if self._watches:  # those that came from elsewhere had another answer before, and are looked at alone
            moved = {watch.target for watch in self._watches}
            changed.update(port.targets - moved)
        else:
            changed.update(port.targets)


def _differs(answer: Answer[InboundServer], before: Answer[InboundServer]) -> bool:
    return answer is not before and answer.value != before.value
