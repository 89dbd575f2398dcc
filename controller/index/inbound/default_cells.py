"""The cells of all ports that no Server governs."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from controller.core.answer import Answer
from controller.core.cluster import ClusterConfig, DefaultPolicy
from controller.index.inbound.cells import Cell, Probes
from controller.index.inbound.defaults import authenticated, default_server
from controller.index.parse.workloads import WorkloadSettings

_Key: TypeAlias = tuple[DefaultPolicy, bool, Probes]

# Cells that nobody watches are kept up to this many: a unary question finds its answer, encoded.
_SPARE_CELLS = 1024


@attrs.define(eq=False)
class DefaultCells:
    """One cell for all ports, of whatever workload, that are told the same. They never change."""

    _cluster: ClusterConfig
    _cells: dict[_Key, Cell] = attrs.field(factory=dict[_Key, Cell], init=False)

    def cell_of(self, settings: WorkloadSettings, port: int, probes: Probes) -> Cell:
        policy = settings.default_policy or self._cluster.default_policy
        if port in settings.require_identity:
            policy = authenticated(policy)
        key = (policy, port in settings.opaque, probes)
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= _SPARE_CELLS:
                self._cells = {key: cell for key, cell in self._cells.items() if cell.ports}
            server = default_server(policy, opaque=key[1], probes=probes, cluster=self._cluster)
            cell = self._cells[key] = Cell(Answer(server))
        return cell
